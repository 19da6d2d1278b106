"""What a benchmark keeps in its folder: a line for each encode, and the labels and masks that others are made from."""

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
    """One encode. Seconds are CPU time of the whole process but `wall_seconds`; inference is apart from encoding.

    `ssim_y` is the frames' mean (`integration.media.ssim`). Nodes are those of the sizes that are masked: `whole_nodes`
    lie inside the frame, whatever was chosen there; at `masked_nodes` of them the mask took something away from the
    search, at `kept_nodes` it would have left nothing. `nodes` are those whose partition the unmasked encode shows, not
    inside a larger block; `lost_nodes` those of them where the mask forbids it.
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

    @property
    def seconds(self) -> float:
        """What the encode cost, inference charged."""
        return self.encode_seconds + self.inference_seconds


class Kept:
    """Measurements and arrays by key: `folder`/measurements.jsonl, appended to at once, and `folder`/references/.

    `reused` counts the measurements that were asked for and were here before this object was.
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
            except (ValueError, TypeError):  # cut short by a kill, or of an older version: encoded again
                continue
        self._earlier = frozenset(self._done)
        self.reused = 0

    def measurement(self, key: str, encode: Callable[[], Measurement]) -> Measurement:
        """The measurement of that key; `encode` makes it where it is not known."""
        self.reused += key in self._earlier
        if key not in self._done:
            made = encode()
            with self._lines.open("a") as out:
                out.write(json.dumps({"key": key, **asdict(made)}) + "\n")
            self._done[key] = made
        return self._done[key]

    def arrays(self, key: str, encode: Callable[[], object]) -> dict[str, NDArray[Any]]:
        """The arrays of that key; where there are none, `encode` has to `keep` them."""
        path = self._path(key)
        if not path.is_file():
            encode()
        with np.load(path) as stored:
            return dict(stored)

    def keep(self, key: str, **arrays: NDArray[Any]) -> None:
        """Write arrays down, in place of what was there."""
        with atomic_file(self._path(key)) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)

    def _path(self, key: str) -> Path:
        return self._references / f"{key}.npz"
