"""A tiny synthetic BlockSet whose labels can be read off the pixels, so that a small network learns it in an epoch.

Each node's partition is painted: every rectangle of it gets its own level, with light noise on top. Where the
levels are close and the qindex high the label is NONE, as an encoder would decide, so qindex carries information.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before any torch is imported

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from support.places import TESTS

from integration.codec.libaom_build import Libraries, build
from toolkit.data.blockset import BlockSet, luma_dtype
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.partition import INSIDE_LARGER, NODE, NONE, partitions_of, rectangles

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

QINDEXES = (60, 200)
ENCODER = {"name": "synthetic", "usage": "good", "cpu_used": 1}
MakeBlockset = Callable[..., Path]
Exporter = Callable[[Any], Any]


def _paint(rng: np.random.Generator, partition: int, contrast: int, side: int) -> np.ndarray:
    node = np.empty((side, side), np.int64)
    base = rng.integers(50, 140)
    for i, (r, c, h, w) in enumerate(rectangles(partition, side)):
        # Neighbouring rectangles differ: a checkerboard over 2x2 squares, stripes elsewhere.
        level = (r * 2 // side + c * 2 // side) % 2 if partition == 3 else i % 2 + i // 2 * 0.5
        node[r : r + h, c : c + w] = base + level * contrast
    return node + rng.integers(-2, 3, node.shape)


def make_synthetic(
    path: Path,
    bit_depth: int = 8,
    splits: dict[str, int] | None = None,
    frames: int = 2,
    size: tuple[int, int] = (112, 136),
    partitions: tuple[int, ...] | None = None,
    seed: int = 0,
    node: int = NODE,
) -> Path:
    """Write a BlockSet with so many sources a split; `size` is (height, width), need not be whole nodes."""
    rng = np.random.default_rng(seed)
    partitions = partitions or partitions_of(node)
    sources: list[Source] = []
    records = []
    rows, columns = size[0] // node, size[1] // node
    for split, count in (splits or {"train": 3, "val": 2, "test": 2}).items():
        for _ in range(count):
            luma = rng.integers(50, 140, (frames, *size))
            for frame, row, column in np.ndindex(frames, rows, columns):
                r, c = row * node, column * node
                drawn = int(rng.choice(partitions))
                inside = rng.random() < 0.05
                faint = rng.random() < 0.2
                luma[frame, r : r + node, c : c + node] = _paint(rng, drawn, 15 if faint else 60, node)
                for qindex in QINDEXES:
                    label = INSIDE_LARGER if inside else NONE if faint and qindex > 100 else drawn
                    records.append((len(sources), frame, r, c, qindex, label))
            plane = (luma << (bit_depth - 8)).astype(luma_dtype(bit_depth))
            name = f"{split}-{len(sources)}"
            sources.append(Source(name, split, f"{len(sources):064x}", plane, licence="CC0-1.0", origin="synthetic"))
    blocks = make_records(*np.array(records).T)
    cut = {
        "cut by the frame edge": len(sources) * frames * (-(-size[0] // node) * -(-size[1] // node) - rows * columns)
    }
    write_blockset(path, sources, blocks, bit_depth, ENCODER, block_size=node, excluded=cut)
    return path


@pytest.fixture(scope="session")
def make_blockset() -> MakeBlockset:
    """The writer itself, for tests that need a BlockSet of their own: `make_blockset(path, bit_depth=10, ...)`."""
    return make_synthetic


@pytest.fixture(scope="session")
def blockset_8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only 8-bit BlockSet: 3 train, 2 val and 2 test sources, qindexes 60 and 200."""
    return make_synthetic(tmp_path_factory.mktemp("blockset") / "eight")


@pytest.fixture(scope="session")
def data(blockset_8: Path) -> BlockSet:
    """`blockset_8`, opened."""
    return BlockSet.load(blockset_8)


@pytest.fixture(scope="session")
def blockset_10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in 10 bit."""
    return make_synthetic(tmp_path_factory.mktemp("blockset") / "ten", bit_depth=10)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The originals shipped with the tests."""
    return TESTS / "data"


@pytest.fixture(scope="session")
def exporter() -> Iterator[Exporter]:
    """`export_program`; from here on small models of equal weights are exported once, since each export takes seconds.

    A third of them torch spends on its table of operators, which is the same every time: it is made once as well.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    from export.graph import export
    from export.proof import bisect

    own, known = export.export_program, {}

    def once(model: Any) -> Any:
        weights = {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
        if sum(map(len, weights.values())) > 4 << 20:
            return own(model)
        key = repr(model), repr(model.config), *weights.items()
        if key not in known:
            known[key] = own(model)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        patch.setattr(export, "export_program", once)
        patch.setattr(bisect, "export_program", once)
        yield own


@pytest.fixture(scope="session")
def trained(blockset_8: Path, exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only Stage-2 run of the small network on `blockset_8` that beats every constant."""
    from toolkit.model.config import ModelConfig
    from toolkit.training.config import TrainConfig
    from toolkit.training.run_folder import RunFolder
    from toolkit.training.train import train

    run = RunFolder(tmp_path_factory.mktemp("trained") / "run")
    options = TrainConfig(init="random", epochs=3, batch_size=32, lr=3e-3, device="cpu")
    train(BlockSet.load(blockset_8), run, ModelConfig("2", "small"), options)
    return run.path


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only bundle of the last epoch of `trained`, not yet proven; copy it before you change it."""
    from export.bundle.write import choose_checkpoint, write_bundle

    path = tmp_path_factory.mktemp("exported") / "bundle"
    write_bundle(choose_checkpoint(trained, epoch=3), path)
    return path


@pytest.fixture(scope="module")
def evaluated_here() -> Iterator[None]:
    """`select` and `export RUN` evaluate the best epoch in this process: a fresh one takes seconds to import torch."""
    from toolkit.training import selection

    class Here:
        def submit(self, call: Callable[..., Any], *words: Any) -> "Future[Any]":
            done: Future[Any] = Future()
            done.set_result(call(*words))
            return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "worker_pool", lambda count: nullcontext(Here()))
        yield


@pytest.fixture(scope="session")
def stage_bundles(exported: Path, blockset_8: Path) -> dict[str, Path]:
    """Read-only bundles of every stage, not yet proven: Stage 2 is `exported`, the others have random weights."""
    from support.pipelines import random_stage

    from toolkit.model.checkpoint import load_checkpoint
    from toolkit.partition import STAGES

    data, like = BlockSet.load(blockset_8), load_checkpoint(exported / "checkpoint.pt")
    return {stage: exported if stage == "2" else random_stage(like, data, stage, 0) for stage in STAGES}


@pytest.fixture(scope="session")
def libaom() -> Libraries:
    """libaom with the hook, built where it is not cached; its sanitized build under `make soak`."""
    return build(sanitize=bool(os.environ.get("AV1PART_SANITIZE")))


@pytest.fixture(scope="session")
def webgpu_provider() -> None:
    """ONNX Runtime's WebGPU provider, installed where it is not yet; fails where it has no device to run on."""
    from export.graph import webgpu
    from export.proof.doctor import find_webgpu

    webgpu.install()
    if error := find_webgpu()["error"]:
        pytest.fail(f"`make system` brings libvulkan1 and chromium, and with them a Vulkan device. {error}")
