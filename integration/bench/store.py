"""The benchmark's folder: a line for each encode, and the labels and masks that other arms are made from."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.files import atomic_file


@dataclass(frozen=True)
class Measurement:
    """One encode. `kind` is its arm's label, `price` that of a pruner's arm.

    Seconds are CPU time of the whole process, except `wall_seconds`. `encode_seconds` are without inference. `ssim_y`
    is the mean over the frames (`integration.media.ssim`); `psnr_yuv` is of all planes, weighted 6:1:1, None where a
    plane has no error and in measurements of earlier versions.

    Nodes are counted over all sizes that are masked. `whole_nodes` lie wholly inside the frame. At `masked_nodes` of
    them the mask took something away from the search, at `kept_nodes` it would have left nothing. `nodes` are those
    where the unmasked encode chose a partition, because they are not inside a larger block; at `lost_nodes` of these
    the mask forbids that choice. A pruner was `asked` so many times and `skipped` a part of the search so many times.
    """

    clip: str
    cq: int
    kind: str
    cpu_used: int
    threads: int
    repeat: int
    frames: int
    bytes: int
    psnr_y: float
    ssim_y: float
    encode_seconds: float
    inference_seconds: float
    wall_seconds: float
    masked_nodes: int
    kept_nodes: int
    whole_nodes: int
    nodes: int
    lost_nodes: int
    asked: int = 0
    skipped: int = 0
    price: float | None = None
    psnr_yuv: float | None = None

    @property
    def seconds(self) -> float:
        """CPU seconds of the encode, inference included."""
        return self.encode_seconds + self.inference_seconds


class Kept:
    """Measurements and arrays by key, in `folder`/measurements.jsonl and `folder`/references/.

    A measurement is appended as soon as it is made. `reused` counts the measurements that were asked for and had been
    kept before this object was made.
    """

    def __init__(self, folder: Path) -> None:
        self._lines, self._references = folder / "measurements.jsonl", folder / "references"
        self._references.mkdir(parents=True, exist_ok=True)
        self._done: dict[str, Measurement] = {}
        for line in self._lines.read_text().splitlines() if self._lines.is_file() else ():
            try:
                entry = json.loads(line)
                key = entry.pop("key")
                self._done[key] = Measurement(**entry)
            except (ValueError, TypeError):  # cut short by a kill, or written by an older version: encode again
                continue
        self._earlier = frozenset(self._done)
        self.reused = 0

    def measurement(self, key: str, encode: Callable[[], Measurement]) -> Measurement:
        """Measurement under that key; `encode` makes it where none is kept."""
        self.reused += key in self._earlier
        if key not in self._done:
            made = encode()
            with self._lines.open("a") as out:
                out.write(json.dumps({"key": key, **asdict(made)}) + "\n")
            self._done[key] = made
        return self._done[key]

    def arrays(self, key: str, encode: Callable[[], object]) -> dict[str, NDArray[Any]]:
        """Arrays under that key; where none are kept, `encode` is called and has to `keep` them."""
        path = self._path(key)
        if not path.is_file():
            encode()
        with np.load(path) as stored:
            return dict(stored)

    def keep(self, key: str, **arrays: NDArray[Any]) -> None:
        """Write the arrays of a key, replacing older ones."""
        with atomic_file(self._path(key)) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)

    def _path(self, key: str) -> Path:
        return self._references / f"{key}.npz"
