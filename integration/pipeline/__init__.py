"""Stage 008: proven bundles chained, their policy, and the masks that they give."""
