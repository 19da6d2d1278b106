"""Proven bundles chained, their policy, and the masks that they give."""
