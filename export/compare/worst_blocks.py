"""Blocks whose logits lie furthest from float64: their places and their pictures."""

import base64
import io
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.data.blockset import Blocks, BlockSet

WORST = 10


class WorstBlock(TypedDict):
    """A report's entry for one block. `margin`: between the two largest float64 logits; `error`: largest of a logit.

    `error` and `logits` hold text where they are not finite. `png`: the window's luma, in base64.
    """

    source: str
    frame: int
    row: int
    column: int
    qindex: int
    label: str
    decision: str
    decision_float64: str
    margin: float
    error: float | str
    logits: list[float | str]
    logits_float64: list[float]
    png: str


def worst_rows(found: NDArray[np.float32], reference: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of logits (N, classes), the worst first: changed decisions, then by largest error.

    Empty where `found` and the reference differ in shape.
    """
    if found.shape != reference.shape:
        return np.empty(0, np.int64)
    errors = np.nan_to_num(np.abs(found - reference), nan=np.inf).max(1)
    order: NDArray[np.int64] = np.lexsort((-errors, found.argmax(1) == reference.argmax(1)))
    return order


def worst_blocks(
    found: NDArray[np.float32], reference: NDArray[np.float64], blocks: Blocks, data: BlockSet, classes: tuple[str, ...]
) -> list[WorstBlock]:
    """The ten worst blocks, as of `worst_rows`."""
    order = worst_rows(found, reference)[:WORST]
    top = np.sort(reference, axis=1)
    return [
        {
            "source": data.sources[int(blocks.source[i])]["name"],
            "frame": int(blocks.frame[i]),
            "row": int(blocks.row[i]),
            "column": int(blocks.column[i]),
            "qindex": int(blocks.qindex[i]),
            "label": classes[int(blocks.target[i])],
            "decision": classes[int(found[i].argmax())],
            "decision_float64": classes[int(reference[i].argmax())],
            "margin": float(top[i, -1] - top[i, -2]),
            "error": _number(np.abs(found[i] - reference[i]).max()),
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
    """The value, or its name where JSON has no number for it: NaN and the infinities."""
    return float(value) if np.isfinite(value) else str(float(value))
