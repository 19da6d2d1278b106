"""What learns: the data contract, the models and their training. Imports neither export nor integration."""

__version__ = "0.1.0"
