"""IO binding: the same logits as without it, from integers that lie in buffers on the device."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.gpu import NO_CUDA

from benchmarks.bound import BoundModel, with_raw_inputs
from export.bundle.bundle import Bundle
from export.graph.contract import Contract
from export.graph.export import export_onnx
from export.graph.float16 import as_float16
from export.graph.runtime import ProviderUnavailable, RuntimeModel
from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet

BATCH = 9


def blocks(bit_depth: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    luma = rng.integers(0, 1 << bit_depth, (BATCH, 1, 16, 16)).astype(np.uint8 if bit_depth == 8 else np.uint16)
    return luma, rng.integers(0, 256, BATCH).astype(np.uint8)


@pytest.mark.parametrize("bit_depth", [8, 10, 16])
@pytest.mark.parametrize("stage", ["1", "2"])
def test_bound_gives_the_same_logits_call_after_call(stage: str, bit_depth: int) -> None:
    config = ModelConfig(stage, "small", bit_depth=bit_depth)
    model, contract = export_onnx(PartitionNet(config).eval()), Contract.of(config)
    bound, plain = BoundModel(model, contract, BATCH, threads=1), RuntimeModel(model, contract, threads=1)
    kept = []
    for seed in range(3):  # the buffers hold the call before
        luma, qindex = blocks(bit_depth, seed)
        kept.append((bound.logits(luma, qindex), plain.one_call(luma, qindex)))
    for found, expected in kept:
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(kept[0][0], kept[1][0])
    strided = np.repeat(luma, 2, axis=0)[::2]
    np.testing.assert_array_equal(bound.logits(strided, qindex), kept[-1][1])


def test_anything_but_that_many_raw_blocks_is_refused(exported: Path) -> None:
    bundle = Bundle.load(exported)
    bound = BoundModel(bundle.model_bytes(), bundle.contract, BATCH, threads=1)
    luma, qindex = blocks(8)
    for x, q in (
        (luma[1:], qindex[1:]),
        (luma[:, 0], qindex),
        (luma, qindex[1:]),
        (luma, qindex.astype(np.float32)),
        (luma / np.float32(255), qindex),
        (luma.astype(np.uint16), qindex),
    ):
        with pytest.raises(ToolkitError, match="Model input"):
            bound.logits(x, q)
    with pytest.raises(ToolkitError, match="at least 1"):
        BoundModel(bundle.model_bytes(), bundle.contract, 0)


def test_the_bound_graph_takes_bytes_and_is_sound(exported: Path) -> None:
    bundle = Bundle.load(exported)
    for model in (bundle.model_bytes(), as_float16(bundle.model_bytes())):
        proto = onnx.load_model_from_string(with_raw_inputs(model, bundle.contract))
        assert {i.name: i.type.tensor_type.elem_type for i in proto.graph.input} == dict.fromkeys(
            ("luma", "qindex"), onnx.TensorProto.UINT8
        )
    whole = onnx.load_model_from_string(with_raw_inputs(bundle.model_bytes(), bundle.contract))
    onnx.checker.check_model(whole, full_check=True)
    luma, qindex = blocks(8)
    half = BoundModel(as_float16(bundle.model_bytes()), bundle.contract, BATCH, threads=1).logits(luma, qindex)
    np.testing.assert_allclose(half, bundle.session(threads=1).one_call(luma, qindex), atol=0.1)


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_without_a_gpu_it_does_not_bind_to_one(exported: Path) -> None:
    bundle = Bundle.load(exported)
    with pytest.raises(ProviderUnavailable, match="CUDA was asked for"):
        BoundModel(bundle.model_bytes(), bundle.contract, BATCH, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(NO_CUDA, reason="no CUDA device")
def test_bound_on_a_gpu_gives_what_unbound_gives(exported: Path) -> None:
    bundle = Bundle.load(exported)
    luma, qindex = blocks(8)
    found = BoundModel(bundle.model_bytes(), bundle.contract, BATCH, "cuda").logits(luma, qindex)
    np.testing.assert_allclose(found, bundle.session("cuda").one_call(luma, qindex), atol=1e-5)
