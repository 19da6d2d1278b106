"""Scores beyond one run: evaluation on any data, calibration, comparisons and sweeps."""
