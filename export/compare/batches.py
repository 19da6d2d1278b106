"""Runs of a graph in batches from 1 block to a whole frame, each with a ragged tail, and whether they repeat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.data.blockset import Inputs
from toolkit.progress import track

FULL_BATCH = 64
"""The batch size that runs every block. Other sizes only show what a size changes; fewer blocks suffice for that."""
DISTINCT = 512
_REPEATED = 256


Number = TypeVar("Number", np.float32, np.float64)


class Opened(Protocol):
    """A graph in a session; `placement` and `device` as of `RuntimeModel`."""

    placement: dict[str, int]
    device: dict[str, str]

    def one_call(self, *inputs: Any) -> NDArray[Any]:
        """Outputs (N, numbers) of N rows of every input, in a single call."""


class Difference(TypedDict):
    """Whether two runs agree to the bit, and their largest difference: None where either holds NaN or infinity."""

    equal: bool
    largest: float | None


@dataclass(frozen=True)
class Outputs:
    """Outputs of one session: logits of `batch_rows` by batch size, and number of graph nodes by provider.

    `calls`: what the same rows gave in a "first" call, a second one in the "same session" and one in a "fresh session".
    `device`: as of `RuntimeModel`.
    """

    logits: dict[int, NDArray[Any]]
    placement: dict[str, int]
    calls: dict[str, NDArray[Any]]
    device: dict[str, str] = field(default_factory=dict)

    def repeats(self, columns: slice = slice(None)) -> dict[str, Difference]:
        """The first call against each of the others, in these columns of the outputs."""
        first, *_ = self.calls.values()
        return {
            name: _difference(first[:, columns], again[:, columns])
            for name, again in self.calls.items()
            if again is not first
        }


def batch_rows(blocks: int, batch: int) -> NDArray[np.int64]:
    """Index (rows,) of the block in each row of a run: every block for batches of 64, else up to 512, evenly spread.

    Blocks repeat until one batch is full and the last one is not.
    """
    distinct = np.arange(blocks)
    if batch != FULL_BATCH and blocks > DISTINCT:
        distinct = np.linspace(0, blocks - 1, DISTINCT).astype(np.int64)
    rows = max(len(distinct), batch + 1)
    if batch > 1 and rows % batch == 0:
        rows += 1
    return distinct[np.arange(rows) % len(distinct)]


def run_batches(
    call: Callable[..., NDArray[Number]], inputs: Inputs, batches: Sequence[int]
) -> dict[int, NDArray[Number]]:
    """Logits of `batch_rows` by batch size, each computed in calls of that size with a part of every input."""
    results = {}
    for batch in batches:
        rows = batch_rows(len(inputs[0]), batch)
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        what = f"in ONNX Runtime, batches of {batch}"
        results[batch] = np.concatenate([call(*(values[part] for values in inputs)) for part in track(parts, what)])
    return results


def run_all(open_session: Callable[[], Opened], inputs: Inputs, batches: Sequence[int]) -> Outputs:
    """Run every batch size on a new session, and measure whether calls repeat."""
    session = open_session()
    found = run_batches(session.one_call, inputs, batches)
    part = [values[:_REPEATED] for values in inputs]
    calls = {name: session.one_call(*part) for name in ("first", "same session")}
    calls["fresh session"] = open_session().one_call(*part)
    return Outputs(found, session.placement, calls, session.device)


def between_batches(logits: Mapping[int, NDArray[np.float32]], blocks: int) -> dict[str, float | None]:
    """Largest difference between a block's logits at each batch size and at the first size; None: not finite.

    It need not be 0: kernels are chosen by batch size.
    """
    first = min(logits, key=lambda size: (size != FULL_BATCH, size))
    usual = dict(zip(batch_rows(blocks, first).tolist(), logits[first], strict=False))
    result: dict[str, float | None] = {}
    for size, found in logits.items():
        expected = [usual[row] for row in batch_rows(blocks, size).tolist() if row in usual]
        if size != first:
            same = np.shape(expected) == found.shape  # a graph that drops or adds rows fails elsewhere
            result[str(size)] = _difference(found, np.array(expected))["largest"] if same else None
    return result


def _difference(first: NDArray[Any], second: NDArray[Any]) -> Difference:
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    largest = float(np.abs(first.astype(np.float64) - second).max()) if finite else None
    return {"equal": first.tobytes() == second.tobytes(), "largest": largest}
