"""Reader of the triplet format: for each sequence a raw file of blocks, a text of labels and a text of qps."""

import codecs
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.data.splits import assign_splits
from toolkit.errors import ToolkitError
from toolkit.files import open_file, sha256_file
from toolkit.legacy.loose_blocks import Imported, LooseBlocks
from toolkit.partition import NODE

BIT_DEPTH = 10
_BLOCK_BYTES = NODE * NODE * 2
_RAW, _LABELS, _QPS = "_sample_16.txt", "_labels_16_intra.txt", "_qps_16_intra.txt"


def read_triplets(source: Path, split: str) -> Imported:
    """Read SRC/intra_raw_blocks, SRC/labels and SRC/qps; every sequence is a source.

    Luma is mapped and stays on disk. Raises ToolkitError on a missing part, counts that differ, a raw file that is cut
    short, or values beyond 10 bit (big-endian data, for one).
    """
    raws = sorted((source / "intra_raw_blocks").glob(f"*{_RAW}"))
    if not raws:
        raise ToolkitError(f"{source}/intra_raw_blocks: no <sequence>{_RAW} there. Give the folder above it.")
    names = [raw.name.removesuffix(_RAW) for raw in raws]
    parts = [_read_sequence(source, name, raw) for name, raw in zip(names, raws, strict=True)]
    known = {source / "labels" / f"{n}{_LABELS}" for n in names} | {source / "qps" / f"{n}{_QPS}" for n in names}
    spare = {*(source / "labels").glob(f"*{_LABELS}"), *(source / "qps").glob(f"*{_QPS}")} - known
    warnings = [f"{file.parent.name}/{file.name}: there are no blocks for it; left out." for file in sorted(spare)]
    if (top := max(int(p.luma.max()) for p in parts)) < 256:
        warnings.append(f"No code value is above {top}: is this 8-bit luma in 16-bit words? It is kept as 10 bit.")
    return Imported(parts, BIT_DEPTH, assign_splits(names, split), {"split_by": "sequence"}, warnings)


def _read_sequence(source: Path, name: str, raw: Path) -> LooseBlocks:
    """Read one sequence; ToolkitError as `read_triplets`."""
    labels_file, qps_file = source / "labels" / f"{name}{_LABELS}", source / "qps" / f"{name}{_QPS}"
    size = raw.stat().st_size
    if size == 0 or size % _BLOCK_BYTES:
        raise ToolkitError(f"{raw}: {size} bytes, expected a multiple of {_BLOCK_BYTES} (16x16 uint16). Copy it again.")
    luma = np.memmap(raw, dtype="<u2", mode="r").reshape(-1, NODE, NODE)
    if (top := int(luma.max())) >= 1 << BIT_DEPTH:
        swapped = int(luma.byteswap().max()) < 1 << BIT_DEPTH if len(luma) else False
        hint = " Byte-swapped it would fit: it is big-endian." if swapped else ""
        raise ToolkitError(f"{raw}: values reach {top}, expected 10-bit little-endian (at most 1023).{hint}")
    labels, qps = _read_numbers(labels_file), _read_numbers(qps_file)
    for file, values in ((labels_file, labels), (qps_file, qps)):
        if len(values) != len(luma):
            raise ToolkitError(f"{file}: {len(values)} numbers for {len(luma)} blocks of {raw.name}. Copy both again.")
    digests = "".join(sha256_file(f) for f in (raw, labels_file, qps_file))
    return LooseBlocks(name, hashlib.sha256(digests.encode()).hexdigest(), luma, labels, qps, origin=raw.name)


def _read_numbers(file: Path) -> NDArray[np.int64]:
    """Read the whole numbers of a text, separated by blanks, commas or lines."""
    try:
        with open_file(file) as opened:
            text = opened.read().removeprefix(codecs.BOM_UTF8)
        return np.array(text.replace(b",", b" ").split(), dtype=np.bytes_).astype(np.int64)
    except FileNotFoundError:
        raise ToolkitError(f"{file}: missing. Each sequence needs its blocks, labels and qps.") from None
    except (OSError, ValueError, OverflowError) as error:
        raise ToolkitError(f"{file}: expected whole numbers as text ({error}).") from None
