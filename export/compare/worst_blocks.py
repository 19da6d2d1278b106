"""The blocks on which an output lies furthest from float64: where they are, and what they look like."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.data.blockset import Blocks, BlockSet

WORST = 10


def worst_blocks(
    found: NDArray[np.float32], reference: NDArray[np.float64], blocks: Blocks, data: BlockSet, classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The ten worst blocks, changed decisions first, then by largest error; `png` is the window's luma in base64.

    Empty where `found` has another shape than the reference (N, classes).
    """
    if found.shape != reference.shape:
        return []
    errors = np.nan_to_num(np.abs(found - reference), nan=np.inf).max(1)
    flipped = found.argmax(1) != reference.argmax(1)
    top = np.sort(reference, axis=1)
    order = np.lexsort((-errors, ~flipped))[:WORST]
    return [
        {
            "source": data.sources[int(blocks.source[i])]["name"],
            **{name: int(getattr(blocks, name)[i]) for name in ("frame", "row", "column", "qindex")},
            "label": classes[int(blocks.target[i])],
            "decision": classes[int(found[i].argmax())],
            "decision_float64": classes[int(reference[i].argmax())],
            "margin": float(top[i, -1] - top[i, -2]),
            "error": _number(errors[i]),
            "logits": [_number(v) for v in found[i]],
            "logits_float64": [float(v) for v in reference[i]],
            "png": _png(blocks.luma[i, 0], blocks.bit_depth),
        }
        for i in order
    ]


def _png(luma: NDArray[Any], bit_depth: int) -> str:
    file = io.BytesIO()
    Image.fromarray((luma >> (bit_depth - 8)).astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _number(value: Any) -> float | str:
    """JSON has no NaN and no infinity; say them."""
    return float(value) if np.isfinite(value) else str(float(value))
