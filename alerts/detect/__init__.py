"""Detectors over whole series: baselines, several channels of one asset, night flow. Pure; time is data."""
