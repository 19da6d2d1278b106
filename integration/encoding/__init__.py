"""Whole clips encoded with a pipeline's masks, made ahead where that is possible."""
