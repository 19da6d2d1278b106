"""int8 bundles: calibrated on training blocks alone, sealed, judged by their decisions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from conftest import MakeBlockset
from support.sealed import write_json

import export.bundle.bundle
import export.compare.noninferiority
from export.bundle.bundle import Bundle
from export.bundle.quantize import quantize_bundle, range_blocks
from export.bundle.quantize_config import QuantizeConfig
from export.compare.batches import batch_rows
from export.compare.noninferiority import bootstrap_difference, judge_int8
from export.graph.check import check_onnx
from export.graph.instruction_set import class_of, instruction_set
from export.proof.config import ParityConfig
from export.proof.prove import prove
from export.proof.selftest import selftest
from toolkit.cli.main import main
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.metrics import classification_metrics

CLASSES = ("a", "b", "c")
SMALL = ParityConfig(limit=40, batches=(1, 64))


@pytest.fixture(scope="module")
def proven(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copytree(exported, tmp_path_factory.mktemp("proven") / "bundle"))
    prove(path, blockset_8, ParityConfig(limit=20, batches=(64,), providers=("cpu",)))
    return path


@pytest.fixture(scope="module")
def eight(proven: Path, blockset_8: Path) -> Path:
    """The int8 bundle of `proven`; read-only."""
    return quantize_bundle(proven, blockset_8, proven.parent / "int8", QuantizeConfig(limit=96)).path


@pytest.fixture(scope="module")
def many(make_blockset: MakeBlockset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Held-out data of six sources that the model was not trained on."""
    # The first three sources have the hashes of the training set's: they stay in train.
    splits = {"train": 3, "test": 6}
    return make_blockset(tmp_path_factory.mktemp("many") / "six", splits=splits, frames=2, seed=5)


def test_an_int8_bundle_is_sealed_and_names_its_origin(eight: Path, proven: Path, blockset_8: Path) -> None:
    bundle, origin = Bundle.load(eight), Bundle.load(proven)
    assert bundle.int8
    assert not origin.int8
    about = bundle.manifest["quantization"]
    assert (about["from"], about["split"], about["blocks"]) == (origin.sha256, "train", 96)
    assert about["data_sha256"] == BlockSet.load(blockset_8).sha256
    assert bundle.sha256 != origin.sha256
    assert bundle.report is None  # what the float32 one has proven is not its own
    assert origin.sha256 in (eight / "MODEL_CARD.md").read_text()
    content = bytearray((eight / "model.onnx").read_bytes())
    proto = check_onnx(bytes(content), bundle.contract, int8=True)
    inputs = {i for node in proto.graph.node if node.op_type == "DequantizeLinear" for i in node.input}
    stored = {t.name: t.data_type for t in proto.graph.initializer}
    assert onnx.TensorProto.INT8 in {stored[i] for i in inputs if i in stored}


def test_no_pair_of_int8_products_can_overflow_16_bit(eight: Path) -> None:
    # x86-64 CPUs without VNNI add two products of unsigned values and signed weights in 16 bit, and clip.
    proto = onnx.load(eight / "model.onnx")
    weights = [onnx.numpy_helper.to_array(t) for t in proto.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    largest = max(int(np.abs(w.astype(np.int64)).max()) for w in weights)
    assert 2 * 255 * largest <= np.iinfo(np.int16).max
    assert largest > 60  # the range is used


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind, whose CPU has AVX2 and nothing newer")
def test_an_int8_graph_gives_the_same_logits_on_an_avx2_cpu(eight: Path, blockset_8: Path, tmp_path: Path) -> None:
    blocks = BlockSet.load(blockset_8).split_blocks("test", "2", 64)
    here = Bundle.load(eight).session(threads=1).one_call(blocks.luma, blocks.qindex)
    np.savez(tmp_path / "in.npz", luma=blocks.luma.astype(np.float32), qindex=blocks.qindex[:, None].astype(np.float32))
    code = (
        "import sys, numpy as np, onnxruntime as ort; from export.graph.instruction_set import instruction_set\n"
        "inputs = dict(np.load(sys.argv[2])); options = ort.SessionOptions(); options.intra_op_num_threads = 1\n"
        "session = ort.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])\n"
        "np.save(sys.argv[3], session.run(['logits'], inputs)[0]); print(instruction_set())"
    )
    files = [str(eight / "model.onnx"), str(tmp_path / "in.npz"), str(tmp_path / "out.npy")]
    command = ["valgrind", "--tool=none", "-q", sys.executable, "-c", code, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "x86-64 AVX2"
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), here, atol=0.05)  # full 8-bit weights: 0.7 off


@pytest.mark.parametrize(
    ("machine", "features", "flags", "expected"),
    [
        ("x86_64", {"AVX2", "AVX512F", "AVX512VNNI"}, {"avx2", "avx512f"}, "x86-64 VNNI"),
        ("x86_64", {"AVX2"}, {"avx2", "avx_vnni"}, "x86-64 VNNI"),  # no AVX-512 in this one
        ("x86_64", {"AVX2"}, {"avx2", "avx512f", "avx512_vnni", "avx_vnni"}, "x86-64 AVX2"),  # hidden by an emulator
        ("AMD64", {"AVX2", "AVX512F"}, set(), "x86-64 AVX-512"),
        ("x86_64", {"SSE42"}, set(), "x86-64"),
        ("aarch64", {"ASIMDDP"}, set(), "Arm dot product"),
        ("arm64", set(), set(), "Arm"),
        ("riscv64", set(), set(), "riscv64"),
    ],
)
def test_cpus_are_told_apart_by_their_int8_products(
    machine: str, features: set[str], flags: set[str], expected: str
) -> None:
    assert class_of(machine, features, flags) == expected


def test_an_int8_bundle_proven_on_another_kind_of_cpu_is_named(
    eight: Path, proven: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(export.compare.noninferiority, "F1_MARGIN", 0.05)
    copy = Path(shutil.copytree(eight, tmp_path / "copy"))
    assert prove(copy, many, ParityConfig(limit=2000, batches=(1, 64)))["passed"]
    here = instruction_set()
    assert Bundle.load(copy).report["profiles"]["cpu-int8"]["versions"]["instruction_set"] == here
    assert Bundle.load(copy).manifest["provenance"]["exported_with"]["instruction_set"] == here
    Bundle.load(copy).session()
    assert "another kind of CPU" not in caplog.text
    monkeypatch.setattr(export.bundle.bundle, "instruction_set", lambda: "x86-64 AVX2, tried")
    Bundle.load(copy).session()
    assert f"int8, proven on another kind of CPU ({here}) than this (x86-64 AVX2, tried)" in caplog.text
    caplog.clear()
    Bundle.load(proven).session()
    assert f": proven on another kind of CPU ({here}) than this (x86-64 AVX2, tried)" in caplog.text


def test_no_quantised_node_follows_a_gemm(eight: Path) -> None:
    proto = onnx.load(eight / "model.onnx")
    gemm = [node for node in proto.graph.node if node.op_type in ("Gemm", "MatMul")]
    made = {output for node in gemm for output in node.output}
    assert gemm
    assert not [node for node in proto.graph.node if node.op_type == "QuantizeLinear" and set(node.input) & made]


def test_calibration_takes_training_blocks_alone(
    proven: Path, exported: Path, blockset_8: Path, make_blockset: MakeBlockset, tmp_path: Path
) -> None:
    bundle, data = Bundle.load(proven), BlockSet.load(blockset_8)
    blocks = range_blocks(bundle, data, QuantizeConfig(limit=50))
    assert {data.sources[s]["split"] for s in np.unique(blocks.source)} == {"train"}
    strangers = BlockSet.load(make_blockset(tmp_path / "more", splits={"train": 4}, frames=1))
    with pytest.raises(ToolkitError, match="not trained on train-3"):
        range_blocks(bundle, strangers, QuantizeConfig())
    held_out = BlockSet.load(make_blockset(tmp_path / "test", splits={"test": 2}, frames=1))
    with pytest.raises(ToolkitError, match="train split has no block"):
        range_blocks(bundle, held_out, QuantizeConfig())
    bundle.manifest["provenance"]["train_sources_known"] = False
    with pytest.raises(ToolkitError, match="nobody knows what it was trained on"):
        range_blocks(bundle, data, QuantizeConfig())
    with pytest.raises(ToolkitError, match="not proven on the CPU"):
        quantize_bundle(exported, blockset_8, tmp_path / "x", QuantizeConfig())
    with pytest.raises(ToolkitError, match="at least one block"):
        QuantizeConfig(limit=0)
    assert not (tmp_path / "x").exists()


@pytest.mark.numeric
def test_an_int8_bundle_is_judged_by_its_decisions(
    eight: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network of three epochs on few blocks has too wide an interval for half a point; what decides is tested below.
    monkeypatch.setattr(export.compare.noninferiority, "F1_MARGIN", 0.05)
    copy = Path(shutil.copytree(eight, tmp_path / "copy"))
    result = prove(copy, many, ParityConfig(limit=2000, batches=(1, 64)))
    found = result["profiles"]["cpu-int8"]
    assert list(result["profiles"]) == ["cpu-int8"]
    assert (result["passed"], found["reason"]) == (True, "")
    assert result["providers"]["cpu"] is found
    assert found["noninferiority"]["f1_lower"] > -0.05
    assert found["noninferiority"]["sources"] == 6
    assert found["rms"] > 1e-3  # far outside every float32 budget, and that does not matter
    opened = Bundle.load(copy)
    assert opened.proven("cpu")
    assert "lower bound" in (copy / "parity.md").read_text()
    # Other profiles do not fit it.
    asked = CliRunner().invoke(main, ["parity", str(copy), str(many), "--profile", "cpu-fp32", "--limit", "20"])
    assert asked.exit_code == 1
    assert "The bundle is int8" in asked.output


def test_too_few_sources_prove_nothing(eight: Path, blockset_8: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(eight, tmp_path / "copy"))
    result = prove(copy, blockset_8, SMALL)
    assert not result["passed"]
    assert "2 sources, expected at least 5" in result["profiles"]["cpu-int8"]["reason"]
    assert not Bundle.load(copy).proven("cpu")


def test_a_manifest_that_lies_about_the_precision_is_refused(
    eight: Path, exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    for origin, change in ((eight, "drop"), (exported, "add")):
        copy = Path(shutil.copytree(origin, tmp_path / change))
        manifest = json.loads((copy / "manifest.json").read_text())
        if change == "drop":
            del manifest["quantization"]
        else:
            manifest["quantization"] = json.loads((eight / "manifest.json").read_text())["quantization"]
        write_json(copy / "manifest.json", seal(manifest))
        with pytest.raises(ToolkitError, match="ONNX file: quantised"):
            prove(copy, blockset_8, SMALL)
    with pytest.raises(ToolkitError, match="is int8"):
        selftest(eight, blockset_8, SMALL)
    with pytest.raises(ToolkitError, match="is int8 already"):
        quantize_bundle(eight, blockset_8, tmp_path / "again", QuantizeConfig())


def test_the_command_line(proven: Path, blockset_8: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    words = ["quantize", str(proven), str(blockset_8), "-o", str(tmp_path / "q"), "--limit", "64"]
    done = run(main, words)
    assert done.exit_code == 0, done.output
    assert "calibrated on 64 training blocks of 3 sources" in done.stdout
    assert run(main, ["bundle", "verify", str(tmp_path / "q")]).exit_code == 0
    assert run(main, words).exit_code == 1  # it exists


def judged(found: np.ndarray, exact: np.ndarray, blocks: Blocks) -> list[str]:
    reasons: str = judge_int8({64: found.astype(np.float32)}, exact, blocks, 3, 0)["reason"]
    return reasons.split("; ") if reasons else []


def test_the_judgement_can_fail(blockset_8: Path) -> None:
    rng = np.random.default_rng(0)
    blocks = BlockSet.load(blockset_8).split_blocks("train", "2")[:330]
    object.__setattr__(blocks, "source", (np.arange(330) % 11).astype(np.uint16))
    exact = rng.normal(size=(330, 3)) + 3 * np.eye(3)[blocks.target]
    assert judged(exact, exact, blocks) == []
    worse = exact.copy()
    worse[:30] = np.roll(worse[:30], 1, axis=1)
    assert any("macro-F1 could be" in r for r in judged(worse, exact, blocks))
    # The same decisions with too little confidence: the calibration notices.
    assert [r.split(" ")[:2] for r in judged(exact / 5, exact, blocks)] == [["calibration", "error"]]
    broken = exact.copy()
    broken[0, 0] = np.nan
    assert any("finite" in r for r in judged(broken, exact, blocks))
    # Right in batches of 64, another model in batches of 7.
    rows = {size: batch_rows(330, size) for size in (7, 64)}
    found = {size: (exact if size == 64 else worse)[rows[size]].astype(np.float32) for size in rows}
    assert judge_int8(found, exact, blocks, 3, 0)["reason"].startswith("batch 7 decides 9.")


def test_the_bootstrap_draws_sources_and_is_paired() -> None:
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, 600)
    source = np.arange(600) // 60
    ours, theirs = (np.where(rng.random(600) < share, target, (target + 1) % 3) for share in (0.8, 0.9))
    difference, lower = bootstrap_difference(ours, theirs, target, source, 3, 0)
    expected = [classification_metrics(target, d, CLASSES)["macro_f1"] for d in (ours, theirs)]
    assert difference == pytest.approx(expected[0] - expected[1])
    assert lower < difference < 0
    assert bootstrap_difference(ours, ours, target, source, 3, 0) == (0.0, 0.0)
    # All the harm in one source of ten: as blocks it would look certain, as sources it does not.
    harmed = np.where(source == 0, (target + 1) % 3, target)
    one = bootstrap_difference(harmed, target, target, source, 3, 0)
    even = np.where(np.arange(600) % 10 == 0, (target + 1) % 3, target)
    assert one[1] < bootstrap_difference(even, target, target, source, 3, 0)[1]
