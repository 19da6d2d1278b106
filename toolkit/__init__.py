"""The learning part: data sets, models, training and comparison. Imports neither export nor integration."""

__version__ = "0.1.0"
