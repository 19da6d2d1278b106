"""One block, followed from its file to every place that a model looks at it: the same numbers each time.

PyTorch's inputs are caught by a hook on every module's call, ONNX Runtime's at the session's own `run`.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from export.bundle.write import choose_checkpoint, write_bundle
from export.proof.config import ParityConfig
from export.proof.prove import prove
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig, EvalConfig
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Policy
from integration.pipeline.score import score_pipeline
from integration.pipeline.stages import Cascade
from toolkit.data.blockset import BlockSet
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder
from toolkit.training.selection import _reevaluate
from toolkit.training.train import train


@dataclass
class Seen:
    """Windows that models were given since the last `take`: luma (N, S, S) and qindex (N,), as they came."""

    luma: list[np.ndarray]
    qindex: list[np.ndarray]

    def add(self, luma: np.ndarray, qindex: np.ndarray) -> None:
        assert luma.dtype.kind == qindex.dtype.kind == "f"
        self.luma.append(luma[:, 0].copy())
        self.qindex.append(qindex.reshape(-1).copy())

    def take(self) -> set[bytes]:
        """All of them as bytes of whole numbers, so that float32 and float64 compare alike."""
        luma, qindex = np.concatenate(self.luma), np.concatenate(self.qindex)
        self.luma, self.qindex = [], []
        assert np.array_equal(luma, luma.astype(np.uint16)), "something else than raw code values"
        assert np.array_equal(qindex, qindex.astype(np.uint8))
        return {key(block, q) for block, q in zip(luma.astype(np.uint16), qindex.astype(np.uint8), strict=True)}


def key(luma: np.ndarray, qindex: int) -> bytes:
    return luma.astype(np.uint16).tobytes() + bytes([int(qindex)])


@pytest.fixture
def torch_inputs() -> Iterator[Seen]:
    seen = Seen([], [])

    def catch(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, PartitionNet) and type(inputs[0]) is torch.Tensor:  # not the export's symbolic ones
            seen.add(inputs[0].detach().cpu().numpy(), inputs[1].detach().cpu().numpy())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(catch)
    yield seen
    handle.remove()


@pytest.fixture
def onnx_inputs(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen([], [])
    real = onnxruntime.InferenceSession.run

    def run(self: Any, outputs: Any, feed: dict[str, np.ndarray], *rest: Any, **options: Any) -> Any:
        assert feed["luma"].dtype == feed["qindex"].dtype == np.float32
        seen.add(feed["luma"], feed["qindex"])
        return real(self, outputs, feed, *rest, **options)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    return seen


def around(frame: np.ndarray, row: int, column: int, context: int) -> np.ndarray:
    """A node and its surroundings, by NumPy's own edge padding."""
    size = 16 + 2 * context
    return np.pad(frame, context, mode="edge")[row : row + size, column : column + size]


def from_file(path: Path, split: str, context: int) -> set[bytes]:
    """A split's Stage-2 blocks (AV1 ids 1 to 7), read with NumPy alone, without any of our code."""
    manifest = BlockSet.load(path).manifest
    found = set()
    for record in np.load(path / "blocks.npy"):
        source = manifest["sources"][record["source"]]
        if source["split"] == split and 1 <= record["partition"] <= 7:
            frame = np.load(path / source["luma"], mmap_mode="r")[record["frame"]]
            r, c = int(record["row"]), int(record["column"])
            found.add(key(around(frame, r, c, context), record["qindex"]))
    return found


@pytest.mark.parametrize("context", [0, 8])
@pytest.mark.usefixtures("libaom")
def test_every_consumer_gives_its_model_the_numbers_in_the_file(
    blockset_10: Path, tmp_path: Path, torch_inputs: Seen, onnx_inputs: Seen, context: int
) -> None:
    data = BlockSet.load(blockset_10)
    splits = ("train", "val", "test")
    train_blocks, val_blocks, test_blocks = (from_file(blockset_10, split, context) for split in splits)
    assert max(np.frombuffer(b[:-1], np.uint16).max() for b in val_blocks) > 255  # ten bits, really

    run = RunFolder(tmp_path / "run")
    options = TrainConfig(init="random", epochs=1, batch_size=64, lr=3e-3, augment="none", device="cpu")
    train(data, run, ModelConfig("2", "small", bit_depth=10, context=context), options)
    assert torch_inputs.take() == train_blocks | val_blocks

    _reevaluate(
        run.path, run.epoch_path(1), run.data_path(None), nullcontext
    )  # what `select` runs in a process of its own
    assert torch_inputs.take() == val_blocks

    bundle = tmp_path / "bundle"
    write_bundle(choose_checkpoint(run.path, 1), bundle, allow_weak=True)
    assert onnx_inputs.take() <= val_blocks
    torch_inputs.take()

    assert prove(bundle, blockset_10, ParityConfig(batches=(7, 64), providers=("cpu",)))["passed"]
    assert onnx_inputs.take() == test_blocks
    assert test_blocks <= torch_inputs.take() <= test_blocks | val_blocks  # and the budget's calibration blocks

    build_pipeline([bundle], tmp_path / "pipe", Policy(), BuildConfig())
    pipeline = Pipeline.load(tmp_path / "pipe")
    score_pipeline(pipeline.cascade, pipeline.policy, data, EvalConfig())
    assert onnx_inputs.take() == test_blocks

    # The encoder's way in: whole frames, which C cuts; a model in Python sees what it cut. Each Stage-2 block is among
    # their nodes, and every node is in the file.
    python = Cascade({stage: opened.session() for stage, opened in pipeline.bundles.items()})
    pipeline = replace(pipeline, cascade=python)
    for source, entry in enumerate(data.sources):
        if entry["split"] == "test":
            for frame in data.luma(source):
                for qindex in (60, 200):
                    pipeline.mask(np.ascontiguousarray(frame), qindex)
    nodes = onnx_inputs.take()
    assert test_blocks <= nodes
    everything = {
        key(around(frame, r, c, context), q)
        for source, entry in enumerate(data.sources)
        if entry["split"] == "test"
        for frame in data.luma(source)
        for r in range(0, frame.shape[0] - 15, 16)
        for c in range(0, frame.shape[1] - 15, 16)
        for q in (60, 200)
    }
    assert nodes == everything


def test_the_catch_would_notice_scaled_or_shifted_numbers(torch_inputs: Seen) -> None:
    model = PartitionNet(ModelConfig("2", "small", bit_depth=10)).eval()
    luma = torch.full((1, 1, 16, 16), 700.0)
    model(luma, torch.full((1, 1), 60.0))
    assert torch_inputs.take() == {key(np.full((16, 16), 700), 60)}
    model(luma / 1023, torch.full((1, 1), 60.0))
    with pytest.raises(AssertionError, match="raw code values"):
        torch_inputs.take()
