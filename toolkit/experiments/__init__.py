"""Evaluation on any data, reliability of probabilities, comparisons of runs, and sweeps over recipes."""
