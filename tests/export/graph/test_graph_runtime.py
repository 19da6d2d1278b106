"""ONNX Runtime: integers in, the asked provider or none."""

import sys
from pathlib import Path

import numpy as np
import pytest
from support.gpu import NO_CUDA

from export.bundle.bundle import Bundle
from export.compare.batches import DISTINCT, FULL_BATCH, batch_rows, run_all, run_batches
from export.graph.contract import Contract
from export.graph.runtime import MAX_BATCH, ProviderUnavailable, RuntimeModel
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError

LUMA = np.random.default_rng(0).integers(0, 256, (9, 1, 16, 16)).astype(np.uint8)
QINDEX = np.full(9, 100, np.uint8)


@pytest.fixture(scope="module")
def bundle(exported: Path) -> Bundle:
    return Bundle.load(exported)


@pytest.fixture(scope="module")
def runtime(bundle: Bundle) -> RuntimeModel:
    return bundle.session(threads=1)


@pytest.mark.numeric
def test_blocks_go_in_as_the_data_set_has_them(runtime: RuntimeModel, blockset_8: Path) -> None:
    blocks = BlockSet.load(blockset_8).split_blocks("test", "2")
    logits = runtime.logits(blocks.luma, blocks.qindex)
    assert logits.dtype == np.float32
    assert logits.shape == (len(blocks), 3)
    assert (logits.argmax(1) == blocks.target).mean() > 0.5
    assert set(runtime.placement) == {"CPUExecutionProvider"}
    assert runtime.placement["CPUExecutionProvider"] > 5


@pytest.mark.parametrize(
    ("luma", "qindex", "message"),
    [
        (LUMA / 255.0, QINDEX, "looks scaled already"),
        (LUMA.astype(np.float32), QINDEX, "looks scaled already"),
        (LUMA.astype(np.uint16), QINDEX, "expected raw code values as uint8"),
        (LUMA.astype(np.int64), QINDEX, "expected raw code values as uint8"),
        (LUMA[:, 0], QINDEX, "expected \\(N, 1, 16, 16\\)"),
        (LUMA[:, :, :8], QINDEX, "expected \\(N, 1, 16, 16\\)"),
        (LUMA, QINDEX[:3], "qindex is uint8\\(3,\\)"),
        (LUMA, QINDEX / 255, "qindex is float64"),
    ],
)
def test_anything_else_is_refused(runtime: RuntimeModel, luma, qindex, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ToolkitError, match=message):
        runtime.logits(luma, qindex)


@pytest.mark.numeric
def test_large_calls_are_cut_into_proven_batches(runtime: RuntimeModel) -> None:
    n = 2 * MAX_BATCH + 3
    luma = np.random.default_rng(1).integers(0, 256, (n, 1, 16, 16)).astype(np.uint8)
    q = (np.arange(n) % 256).astype(np.uint8)
    together = runtime.logits(luma, q)
    parts = [runtime.logits(luma[i : i + MAX_BATCH], q[i : i + MAX_BATCH]) for i in range(0, n, MAX_BATCH)]
    np.testing.assert_array_equal(together, np.concatenate(parts))
    assert runtime.logits(luma[:0], q[:0]).shape == (0, 3)


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 1000, 8160])
@pytest.mark.parametrize("blocks", [1, 5, 64, 140, 2000])
def test_a_run_fills_a_batch_and_leaves_a_tail(blocks: int, batch: int) -> None:
    rows = batch_rows(blocks, batch)
    # The sizes beside the main one show what the size does: some of many blocks, spread over all, are enough.
    distinct = blocks if batch == FULL_BATCH else min(blocks, DISTINCT)
    assert len(set(rows)) == distinct
    assert {0, blocks - 1} <= set(rows)
    assert len(rows) > batch
    assert batch == 1 or len(rows) % batch


@pytest.mark.numeric
def test_a_run_takes_each_size(runtime: RuntimeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = RuntimeModel.one_call
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: sizes.append(len(x)) or real(s, x, q))
    found = run_batches(runtime.one_call, (LUMA, QINDEX), (1, 7, 64))
    assert sizes == [1] * 9 + [7, 2] + [64, 1]
    np.testing.assert_allclose(found[64][:9], found[1][:9], atol=1e-6)


@pytest.mark.numeric
def test_a_run_says_whether_it_repeats(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_all(bundle.session, (LUMA, QINDEX), (7,))
    assert found.repeats()["same session"] == found.repeats()["fresh session"] == {"equal": True, "largest": 0.0}
    assert list(found.logits) == [7]
    real, calls = RuntimeModel.one_call, iter(range(99))
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) + np.float32(next(calls)))
    drifting = run_all(bundle.session, (LUMA, QINDEX), (64,)).repeats()
    assert not drifting["same session"]["equal"]
    assert drifting["fresh session"]["largest"] == pytest.approx(2)
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) * np.float32(np.nan))
    same = run_all(bundle.session, (LUMA, QINDEX), (64,)).repeats()["same session"]
    assert same == {"equal": True, "largest": None}


def test_wrong_providers_threads_and_files_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ToolkitError, match="expected one of cpu, cuda"):
        bundle.session("abacus")
    with pytest.raises(ToolkitError, match="expected at least 1"):
        bundle.session(threads=0)
    with pytest.raises(ToolkitError, match="cannot load the model"):
        RuntimeModel(b"junk", bundle.contract)
    with pytest.raises(ToolkitError, match=r"outputs are .* expected"):
        RuntimeModel(bundle.model_bytes(), Contract("1", 8, True))
    with pytest.raises(ToolkitError, match="metadata is"):
        RuntimeModel(bundle.model_bytes(), Contract("2", 10, True))


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_cuda_without_a_gpu_is_an_error_and_not_a_run_on_the_cpu(
    bundle: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProviderUnavailable, match=r"CUDA was asked for .* cannot run .*onnxruntime-gpu"):
        bundle.session("cuda")
    print("still here", file=sys.stderr)
    assert capfd.readouterr() == ("", "still here\n")


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_tensorrt_without_its_libraries_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(ProviderUnavailable, match="TensorRT was asked for"):
        bundle.session("tensorrt")


@pytest.mark.gpu
@pytest.mark.skipif(NO_CUDA, reason="no CUDA device")
def test_cuda_takes_every_node(bundle: Bundle) -> None:
    assert set(bundle.session("cuda").placement) == {"CUDAExecutionProvider"}
