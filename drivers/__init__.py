"""Drivers: one protocol per file; a device model is a YAML profile."""
