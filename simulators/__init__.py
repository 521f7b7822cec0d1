"""Simulated estates: a plant that obeys simple physics, served over the real protocols."""
