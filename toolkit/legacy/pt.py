"""Reader of the pt format: train.pt and val.pt, whose luma was scaled to float and whose sequences are lost."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.data.format import luma_dtype
from toolkit.errors import ToolkitError, first_line
from toolkit.files import sha256_file
from toolkit.legacy.loose_blocks import Imported, LooseBlocks
from toolkit.partition import NODE

SCALINGS = (("divided by 1023", 1023.0, 10), ("divided by 1023 twice", 1023.0**2, 10), ("divided by 255", 255.0, 8))
"""Name, divisor and bit depth of each scaling that is tried."""
CHUNK = 8192
"""Blocks held as float64 at a time."""
BY_BLOCK = (
    "The pt format has lost its sequences: train.pt and val.pt were split by block, so neighbouring blocks of one "
    "frame may lie in both and validation scores are too good. Import the triplets where you have them."
)


def read_pt(source: Path) -> Imported:
    """Read SRC/train.pt and SRC/val.pt without running code, find how luma was scaled and undo it exactly.

    Raises ToolkitError where a file, key or shape is not as expected, or where no one scaling explains every value.
    """
    files = [source / f"{split}.pt" for split in ("train", "val") if (source / f"{split}.pt").is_file()]
    if not files:
        raise ToolkitError(f"{source}: neither train.pt nor val.pt there. Give the folder that holds them.")
    found = [_read_file(file) for file in files]
    depths = {depth for _, _, depth in found}
    if len(depths) > 1:
        said = ", ".join(f"{f.name} {scaling}" for f, (_, scaling, _) in zip(files, found, strict=True))
        raise ToolkitError(f"{source}: files of different bit depths ({said}). Import each from a folder of its own.")
    parts = [part for part, _, _ in found]
    scalings = {f.name: scaling for f, (_, scaling, _) in zip(files, found, strict=True)}
    warnings = [BY_BLOCK]
    if len(set(scalings.values())) > 1:
        warnings.append(f"The files were scaled differently ({scalings}); both are undone.")
    return Imported(
        parts, depths.pop(), {p.name: p.name for p in parts}, {"split_by": "block", "scaled": scalings}, warnings
    )


def _read_file(file: Path) -> tuple[LooseBlocks, str, int]:
    """Read one file: its blocks, the name of its scaling, and its bit depth."""
    digest = sha256_file(file)  # first, since torch would wait for a pipe
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # torch raises many kinds on damaged or unsafe files
        raise ToolkitError(
            f"{file}: not loadable as plain tensors ({first_line(error)}). Copy it or save it again."
        ) from None
    keys = ("samples", "labels_stage0", "qps")
    if not isinstance(content, dict) or any(k not in content for k in keys):
        has = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ToolkitError(f"{file}: expected a dict with {', '.join(keys)}; found {has}.")
    samples = content["samples"]
    if not isinstance(samples, Tensor) or samples.dtype != torch.float32 or samples.shape[1:] != (1, NODE, NODE):
        has = f"{samples.dtype}{tuple(samples.shape)}" if isinstance(samples, Tensor) else type(samples).__name__
        raise ToolkitError(f"{file}: samples are {has}, expected float32 (N, 1, {NODE}, {NODE}).")
    labels, qps = (_whole_numbers(content[k], len(samples), f"{file}: {k}") for k in ("labels_stage0", "qps"))
    scaling, divisor, bit_depth = find_scaling(samples, str(file))
    luma = np.empty((len(samples), NODE, NODE), luma_dtype(bit_depth))
    for start, chunk in _chunks(samples):
        luma[start : start + len(chunk)] = np.rint(chunk * divisor)
    return LooseBlocks(file.stem, digest, luma, labels, qps, origin=file.name), scaling, bit_depth


def _whole_numbers(values: Any, n: int, what: str) -> NDArray[np.int64]:
    """Convert n whole numbers of any type to (n,) int64; ToolkitError on anything else."""
    array = np.asarray(values)
    if array.size != n or array.dtype.kind not in "iuf" or not (np.isfinite(array) & (array == np.rint(array))).all():
        raise ToolkitError(f"{what} is {array.dtype}{array.shape}, expected {n} whole numbers.")
    return array.reshape(n).astype(np.int64)


def _chunks(samples: Tensor) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Start and float64 luma (n, 16, 16) of each chunk of samples."""
    for start in range(0, len(samples), CHUNK):
        yield start, samples[start : start + CHUNK, 0].numpy().astype(np.float64)


def find_scaling(samples: Tensor, what: str) -> tuple[str, float, int]:
    """Find the one scaling that turns every value into a code value: (name, divisor, bit depth).

    A value fits where its product with the divisor is a whole number k of that bit depth, within the error of two
    float32 divisions (k times 2^-22). Raises ToolkitError on NaN, where no scaling fits, and where several do.
    """
    if not len(samples):
        raise ToolkitError(f"{what}: no samples.")
    possible = list(SCALINGS)
    low, high = np.inf, -np.inf
    for start, chunk in _chunks(samples):
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        if not np.isfinite(chunk).all():
            raise ToolkitError(f"{what}: NaN or infinity among the samples (block {start} and on). Make it again.")
        fitting = [s for s in possible if _fits(chunk, s[1], s[2])]
        if not fitting:
            raise ToolkitError(
                f"{what}: cannot tell how luma was scaled. Values so far run from {low:.6g} to {high:.6g}; "
                f"{_shares(chunk, possible)} of blocks {start} to {start + len(chunk) - 1} are whole code values. "
                f"Expected every value {' or '.join(s[0] for s in SCALINGS)}. Import the raw blocks (triplets)."
            )
        possible = fitting
    if len(possible) > 1:
        raise ToolkitError(
            f"{what}: luma fits {' as well as '.join(s[0] for s in possible)} (values {low:.6g} to {high:.6g}): "
            "too few different values to tell. Import the raw blocks (triplets)."
        )
    return possible[0]


def _whole(chunk: NDArray[np.float64], divisor: float, bit_depth: int) -> NDArray[np.bool_]:
    """Whether each value, times the divisor, is a whole code value of the bit depth."""
    scaled = chunk * divisor
    code = np.rint(scaled)
    result: NDArray[np.bool_] = (np.abs(scaled - code) <= code * 2.0**-22) & (code < 1 << bit_depth)
    return result


def _fits(chunk: NDArray[np.float64], divisor: float, bit_depth: int) -> bool:
    return bool(_whole(chunk, divisor, bit_depth).all())


def _shares(chunk: NDArray[np.float64], possible: list[tuple[str, float, int]]) -> str:
    """Share of values that fit each scaling, in words."""
    return ", ".join(f"{_whole(chunk, d, b).mean():.1%} if {name}" for name, d, b in possible)
