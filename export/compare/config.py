"""How many blocks a comparison takes, and how many one frame has. Light: imports neither torch nor onnxruntime."""

LIMIT = 2000
"""Blocks of a proof, unless one costs much (export/compare/flops.py)."""
FRAME = (1920 // 16) * (1088 // 16)
"""Blocks of one 1080p frame: 8,160."""
