"""Readers of the older data and checkpoint formats."""
