"""Numbers of blocks of a comparison and of a frame. Light: imports neither torch nor onnxruntime."""

LIMIT = 2000
"""Most blocks of a proof; a large model takes fewer (export/compare/flops.py)."""
FRAME = (1920 // 16) * (1088 // 16)
"""Blocks of one 1080p frame: 8,160."""
