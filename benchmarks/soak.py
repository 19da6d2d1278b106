"""The encoder under AddressSanitizer and UBSan: random frames, settings and masks, every stream decoded by dav1d.

    python benchmarks/soak.py [--seconds 180] [--seed N] [--cases N]

A case follows from its seed alone, which is printed before it runs: `--seed N --cases 1` repeats it. It has 1 to 6
frames of 16x16 to 1920x1080 (log-uniform, odd sizes too), 8 or 10 bit, any cq, preset and usage, key frames or an
inter-coded group with or without look-ahead, and 1 or 2 threads. Its masks are random, of one partition, or of bits
without a meaning, for one node size or all, given with the frame or by a callback that may fail. In half of the cases a
pruner decides as well: that of the box, or random trees or networks for all node sizes, at a random price. In others
the search is recorded, with a pruner or without. RD costs of one node size are logged or not. Slow presets get small
frames, so that no case takes much longer than half a minute.

A case fails on a crash or a sanitizer's report; on a stream that dav1d does not decode to the encoder's reconstruction;
on labels of any node size that differ from those of libaom's decoder; and on a mask that forbids nothing but changes
the stream of untouched libaom. At the end, memory that libaom or the hook has lost is a failure as well.

The process starts itself again with the sanitized build, which is made first where there is none. With --plain it stays
in the ordinary build, where neither memory errors nor leaks are seen.
"""

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import click
import numpy as np
from PIL import Image
from sanitizer import lost_memory, restart

import integration.codec.encoder
from integration import zoo
from integration.codec import native
from integration.codec.config import NODE_SIZES
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, Masks
from integration.codec.inspector import inspect_packets
from integration.codec.libaom_build import libraries
from integration.media.containers import IvfWriter
from integration.media.planes import Planes
from integration.media.video import open_clip
from integration.pruning.bundle import NATIVE, current_features
from toolkit.cli.options import commas
from toolkit.data.blockset import Luma, luma_dtype
from toolkit.pruners.forest import NODE, Forest, Trees
from toolkit.pruners.network import HIDDEN, Network
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import check_rows
from toolkit.search.table import DECISIONS, FRAME_KINDS, SIDES

SECONDS_PER_MEGAPIXEL = (150, 60, 50, 25, 15, 7, 5)
"""Rough time to code noise under the sanitizers at cpu-used 0 to 6; decides the largest frames of a preset."""
CASE_SECONDS = 6
STOCK_PIXELS = 100_000
"""Frames up to this size are coded by untouched libaom as well, where the masks forbid nothing."""
FREE = ("none", "zeros", "everything", "nothing that exists", "failing")
RESTRICTING = ("random", "random", "random bits", "single", "only AB")
MASKED_SIZES = (NODE_SIZES, *((size,) for size in NODE_SIZES))
"""Node sizes that masks can be for: all of them, or one."""


@dataclass(frozen=True)
class Case:
    """Everything that a seed decides."""

    seed: int
    config: EncoderConfig
    content: str
    masks: tuple[str, ...]
    by_callback: bool
    cost_nodes: tuple[int, ...]
    cnn_off: bool
    pruner: str

    @classmethod
    def draw(cls, seed: int) -> "Case":
        rng = np.random.default_rng(seed)
        width, height = (int(np.exp(rng.uniform(np.log(16), np.log(top + 1)))) for top in (1920, 1080))
        usage = str(rng.choice(["good", "good", "allintra"]))
        keyint = int(rng.choice([1, 1, 3, 30])) if usage == "good" else 1
        lag = int(rng.choice([0, 2, 20])) if keyint > 1 else 0
        frames = int(rng.integers(1, 4 if keyint == 1 else 7)) if width * height < STOCK_PIXELS else 1
        work = width * height * frames / 1e6
        fitting = [p for p, cost in enumerate(SECONDS_PER_MEGAPIXEL) if work * cost < CASE_SECONDS] or [6]
        config = EncoderConfig(
            width,
            height,
            bit_depth=int(rng.choice([8, 10])),
            cq=int(rng.integers(0, 64)),
            cpu_used=int(rng.choice(fitting)),
            usage=usage,
            threads=int(rng.integers(1, 3)),
            keyint=keyint,
            lag=lag,
        )
        kinds = FREE if rng.random() < 0.3 else RESTRICTING
        masks = tuple(str(kind) for kind in rng.choice(kinds, frames))
        content = str(rng.choice(["noise", "clouds", "shapes", "flat", "extremes"]))
        by_callback, costs, cnn_off = rng.random(3) < (0.4, 0.3, 0.1)
        cost_nodes = (int(rng.choice(NODE_SIZES)),) if costs else ()
        four_way, both = rng.random(2) < (0.6, 0.4)
        config, cost_nodes = replace(config, four_way=bool(four_way)), NODE_SIZES if costs and both else cost_nodes
        pruner = str(rng.choice(["none", "none", "none", "box", "trees", "networks"]))
        # With look-ahead, masks can be given by a callback only.
        return cls(seed, config, content, masks, bool(by_callback or lag), cost_nodes, bool(cnn_off), pruner)

    def __str__(self) -> str:
        c = self.config
        return (
            f"seed {self.seed}: {c.width}x{c.height}, {c.bit_depth} bit, cq {c.cq}, cpu-used {c.cpu_used}, {c.usage}, "
            f"{c.threads} threads, keyint {c.keyint}, lag {c.lag}, {self.content}, "
            f"masks {' + '.join(self.masks)}{' by callback' if self.by_callback else ''}"
            f"{', 4-way' if c.four_way else ''}"
            f"{f', costs at {commas(self.cost_nodes)}' if self.cost_nodes else ''}{', CNN off' if self.cnn_off else ''}"
            f"{'' if self.pruner == 'none' else f', pruner: {self.pruner} in {self.frame_kind} frames'}"
            f"{', recorded' if self.recorded else ''}"
        )

    def planes(self, number: int) -> Planes:
        """Planes of frame `number`: the content of the first, moved a little."""
        rng = np.random.default_rng([self.seed, 1])
        drawn = [self._plane(rng, *self.config.plane_shape(plane)) for plane in range(3)]
        y, u, v = (np.roll(p, (number * 2, number * 3), (0, 1)) for p in drawn)
        return y, u, v

    def _plane(self, rng: np.random.Generator, height: int, width: int) -> Luma:
        top = (1 << self.config.bit_depth) - 1
        shape = (height, width)
        if self.content == "noise":
            values = rng.integers(0, top + 1, shape)
        elif self.content == "flat":
            values = np.full(shape, rng.integers(0, top + 1))
        elif self.content == "extremes":
            values = rng.integers(0, 2, shape) * top
        elif self.content == "clouds":
            total = np.zeros(shape)
            for cell in (128, 32, 8, 2):
                coarse = rng.normal(size=(height // cell + 2, width // cell + 2)).astype(np.float32)
                total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)) * cell
            values = np.clip((total / 200 + 0.5) * top, 0, top)
        else:
            values = np.full(shape, rng.integers(0, top + 1))
            for _ in range(20):
                y, x = rng.integers(0, height), rng.integers(0, width)
                values[y : y + rng.integers(1, 65), x : x + rng.integers(1, 65)] = rng.integers(0, top + 1)
        return values.astype(luma_dtype(self.config.bit_depth))

    def mask(self, number: int) -> Masks | None:
        """Masks of frame `number`; None where there are none, or their source fails."""
        kind = self.masks[number]
        if kind in ("none", "failing"):
            return None
        rng = np.random.default_rng([self.seed, 2, number])
        return {size: self._mask(rng, kind, size) for size in MASKED_SIZES[rng.integers(len(MASKED_SIZES))]}

    def _mask(self, rng: np.random.Generator, kind: str, node_size: int) -> Mask:
        nodes = self.config.grid(node_size)
        drawn: dict[str, Mask] = {
            "zeros": np.zeros(nodes),
            "everything": np.full(nodes, 0x3FF),
            "nothing that exists": rng.integers(1, 64, nodes) << 10,
            "random": rng.integers(0, 1 << 10, nodes),
            "random bits": rng.integers(0, 1 << 16, nodes),
            "single": 1 << rng.integers(0, 10, nodes),
            "only AB": rng.integers(0, 16, nodes) << 4,
        }
        return drawn[kind].astype(np.uint16)

    @property
    def frame_kind(self) -> str:
        """Kind of frames whose search is recorded or pruned; drawn apart, so that the rest of a seed's case stays."""
        inter = self.config.keyint > 1 and np.random.default_rng([self.seed, 5]).random() < 0.5
        return FRAME_KINDS[int(inter)]

    @property
    def recorded(self) -> bool:
        """Whether the search is recorded, under the pruner where there is one; drawn apart as well."""
        return self.config.threads == 1 and np.random.default_rng([self.seed, 6]).random() < 0.5

    def pruner_bytes(self) -> bytes:
        """The pruner as the hook takes it: that of the box, or one whose trees or weights are drawn."""
        if self.pruner == "box":
            return (zoo.FOLDER / "photo-8bit" / NATIVE).read_bytes()
        rng = np.random.default_rng([self.seed, 3])
        drawn = _random_network if self.pruner == "networks" else _random_trees
        keys = [(side, decision) for side in SIDES for decision in DECISIONS]
        features = current_features(self.frame_kind)
        return Pruner(features, {key: drawn(rng, len(features)) for key in keys}).native()

    def encode(self, library: Path | None = None) -> list[EncodedFrame]:
        """Code the frames; with a `library`, that of untouched libaom, without masks."""
        numbers = range(len(self.masks))
        answers = cycle(self.mask(number) for number in numbers)
        source = (lambda luma, qindex: next(answers)) if self.by_callback and not library else None
        with Encoder(self.config, source, library) as encoder:
            if self.cnn_off and not library:
                encoder.disable_cnn()
            if self.cost_nodes and not library:
                encoder.log_costs(*self.cost_nodes)
            if not library:
                encoder.search_frames(self.frame_kind)
            if self.pruner != "none" and not library:
                price = float(np.exp(np.random.default_rng([self.seed, 4]).uniform(-6, 3)))
                encoder.set_pruner(self.pruner_bytes(), price, 64.0)
            if self.recorded and not library:
                encoder.record_search(0.7, self.seed & 0xFFFFFFFF)
            given = None if library or self.by_callback else self.mask
            fed = []
            for number in numbers:
                fed.append(encoder.feed(self.planes(number), given and given(number)))
                if self.recorded and not library:
                    check_rows(encoder.search_rows(), f"rows of frame {number}", self.frame_kind)
            return [frame for frame in [*fed, *(encoder.flush() if self.config.lag else ())] if frame]

    def check(self, folder: Path) -> int:
        """Run the case and return the number of masked nodes. Raises AssertionError with the reason where it fails."""
        coded = self.encode()
        config = self.config
        stream = folder / "case.ivf"
        with stream.open("wb") as file:
            ivf = IvfWriter(file, config.width, config.height, Fraction(30))
            for frame in coded:
                ivf.write(frame.data)
            ivf.finish()
        decoded = list(open_clip(stream).frames())
        assert len(decoded) == len(coded) == len(self.masks), f"{len(decoded)} of {len(self.masks)} frames decoded"
        for frame, planes in zip(coded, decoded, strict=True):
            for name, ours, theirs in zip("yuv", frame.reconstruction, planes, strict=True):
                assert np.array_equal(ours, theirs), f"frame {frame.number}: plane {name} is not what was decoded"
        self.check_labels(coded)
        small = config.width * config.height <= STOCK_PIXELS
        if small and not self.cnn_off and self.pruner == "none" and set(self.masks) <= set(FREE):
            stock = self.encode(libraries().stock)
            assert [f.data for f in stock] == [f.data for f in coded], "nothing was forbidden, yet not stock's stream"
        return sum(frame.masked_nodes for frame in coded)

    def check_labels(self, coded: Sequence[EncodedFrame]) -> None:
        # libaom's inspection needs a coded frame in every packet. With look-ahead some packets only show an earlier
        # frame; they are joined to the next one.
        packets, waiting = [], b""
        for frame in coded:
            waiting += frame.data
            if frame.qindex >= 0:
                packets.append(waiting)
                waiting = b""
        for size in NODE_SIZES:
            seen = inspect_packets(packets, self.config.width, self.config.height, size)
            for frame, (labels, qindex) in zip([f for f in coded if f.qindex >= 0], seen, strict=True):
                equal = np.array_equal(frame.labels[size], labels)
                assert equal, f"frame {frame.number}: labels at {size} are not what was decoded"
                assert frame.qindex == qindex, f"frame {frame.number}: qindex {frame.qindex}, decoded {qindex}"


def _random_network(rng: np.random.Generator, features: int) -> Network:
    sizes = (features, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2)
    first, second, last = (rng.normal(0, size[0] ** -0.5, size).astype(np.float32) for size in sizes)
    biases = tuple(np.zeros(size[1], np.float32) for size in sizes)
    mean, scale = np.zeros(features, np.float32), np.ones(features, np.float32)
    return Network(mean, scale, (first, second, last), biases)


def _random_trees(rng: np.random.Generator, features: int) -> Trees:
    def forest() -> Forest:
        feature, threshold = int(rng.integers(features)), float(np.float32(rng.normal(0, 3)))
        leaves = [(-1, 0, 0, 0.0, float(rng.normal())) for _ in range(2)]
        return Forest(0.0, np.zeros(1, np.uint32), np.array([(feature, 1, 2, threshold, 0.0), *leaves], NODE))

    return Trees(forest(), forest())


def run_cases(first: int, seconds: float, cases: int | None, plant_leak: bool) -> None:
    """Run cases of rising seeds until their time or number is used up; exit with 1 at the first that fails."""
    # The Python encoder refuses bits without a meaning; here they have to reach the C code.
    integration.codec.encoder.check_masks = lambda masks, grids: None  # type: ignore[assignment]
    start, done, frames, pixels, masked = time.monotonic(), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        while (done < cases) if cases else (time.monotonic() - start < seconds):
            case = Case.draw(first + done)
            print(case, flush=True)
            try:
                masked += case.check(Path(folder))
            except Exception as error:  # any error is a finding, and its seed is what matters
                sys.exit(f"Wrong: {type(error).__name__}: {error}")
            done += 1
            frames += len(case.masks)
            pixels += len(case.masks) * case.config.width * case.config.height
    if plant_leak:
        library, handle = native.load(libraries().hook), ctypes.c_void_p()
        library.av1part_inspector_open(64, 64, ctypes.byref(handle))
        handle.value = None
    leaks = lost_memory()
    if leaks:
        sys.exit(f"Wrong: {len(leaks)} leaks, the first:\n{leaks[0]}")
    print(
        f"{done} cases (seeds {first} to {first + done - 1}), {frames} frames, {pixels / 1e6:.1f} megapixels, "
        f"{masked} nodes masked, {time.monotonic() - start:.0f} s: nothing wrong; "
        f"{'leaks were not looked for' if leaks is None else 'no leak'}"
    )


@click.command()
@click.option("--seconds", type=float, default=180, show_default=True, help="No case begins after that.")
@click.option("--seed", type=int, help="Seed of the first case; later ones count up. Default: drawn, and printed.")
@click.option("--cases", type=click.IntRange(1), help="Number of cases, however long they take.")
@click.option("--plain", is_flag=True, help="Run without sanitizers.")
@click.option("--plant-leak", is_flag=True, help="Lose memory on purpose, which has to be found.")
def main(seconds: float, seed: int | None, cases: int | None, plain: bool, plant_leak: bool) -> None:
    """Run random encodes; exits with 1 at the first that fails, whose seed is the last one printed."""
    if not plain and not os.environ.get("AV1PART_SANITIZE"):
        restart(__file__, sys.argv[1:])
    first = int(np.random.default_rng().integers(1 << 31)) if seed is None else seed
    run_cases(first, seconds, cases, plant_leak)


if __name__ == "__main__":
    main()
