"""Pruners: decisions inside the encoder's search, learnt from its record."""
