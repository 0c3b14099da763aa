"""Measurements; README.md says how each is run."""
