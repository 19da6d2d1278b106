"""The cascade as one graph: the same probabilities, the same masks, sealed and refused like everything else."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.commands import cli
from support.sealed import write_json

from export.bundle.bundle import Bundle
from integration.pipeline.fuse import fuse
from integration.pipeline.fused import FUSED, FusedCascade, FusedModel, write_fused
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import Policy, Thresholds, deviation
from integration.pipeline.stages import Cascade, Layout, conditional, joint_probabilities
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.partition import NODE, STAGES

BELOW = ("1", "3-rect", "3-ab")
CASCADES = [tuple(s for s in STAGES if s == "2" or s in more) for n in range(4) for more in combinations(BELOW, n)]


@pytest.fixture(scope="module")
def bundles(stage_bundles: dict[str, Path]) -> dict[str, Bundle]:
    return {stage: Bundle.load(path) for stage, path in stage_bundles.items()}


@pytest.fixture(scope="module")
def held_out(blockset_8: Path) -> Blocks:
    return BlockSet.load(blockset_8).split_blocks("test", limit=200)


@pytest.fixture(scope="module")
def pipe(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused") / "pipe"
    words = ("-o", path, "--fuse", "--allow-unproven", "--policy", "drop_rect_below=0.3")
    run = cli("pipeline", "build", *(b.path for b in bundles.values()), *words)
    assert run.exit_code == 0, run.output
    return path


def some(bundles: dict[str, Bundle], stages: tuple[str, ...]) -> dict[str, Bundle]:
    return {stage: bundles[stage] for stage in stages}


@pytest.mark.numeric
@pytest.mark.parametrize("stages", CASCADES, ids="+".join)
def test_one_graph_gives_what_the_stages_give_apart(
    bundles: dict[str, Bundle], held_out: Blocks, stages: tuple[str, ...]
) -> None:
    own = some(bundles, stages)
    fused = FusedCascade(FusedModel(fuse(own), own, "cpu"), stages)
    apart = Cascade({stage: b.session() for stage, b in own.items()})
    by_stage = apart.every(held_out.luma, held_out.qindex)
    found = fused.fused.probabilities(held_out.luma, held_out.qindex)
    assert found.shape == (200, 10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, joint_probabilities(by_stage, NODE), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    for stage, p in fused.every(held_out.luma, held_out.qindex).items():
        np.testing.assert_allclose(p, by_stage[stage], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(fused.asker(held_out.luma, held_out.qindex)(stage, np.arange(200)), p, atol=1e-6)
    harsh = Thresholds(0.6, 0.4, 0.6, 0.2, 0.3, 0.3, 0.4, 0.3)
    flat = deviation(held_out.luma, held_out.bit_depth, held_out.window)
    gated = replace(harsh, flat_below=float(np.median(flat)))
    for policy in (
        Policy(),
        Policy(((255, harsh),)),
        Policy(((100, harsh), (255, Thresholds()))),
        Policy(((255, gated),)),
    ):
        masks = [
            policy.masks(held_out.qindex, flat, c.asker(held_out.luma, held_out.qindex), NODE) for c in (fused, apart)
        ]
        assert masks[0].tolist() == masks[1].tolist()
    assert len(np.unique(masks[0])) > 1


def test_the_chain_rule_by_hand() -> None:
    one, two, rect = np.array([[0.5, 0.5]]), np.array([[0.2, 0.3, 0.5]]), np.array([[0.9, 0.1]])
    ab = np.array([[0.1, 0.2, 0.3, 0.4]])
    whole = joint_probabilities({"1": one, "2": two, "3-rect": rect, "3-ab": ab}, NODE)
    assert whole[0] == pytest.approx([0.5, 0.135, 0.015, 0.1, 0.025, 0.05, 0.075, 0.1, 0, 0])
    assert joint_probabilities({"2": two}, NODE)[0] == pytest.approx([0, 0.15, 0.15, 0.2, *[0.125] * 4, 0, 0])
    assert joint_probabilities({"2": two, "3-rect": rect}, NODE)[0] == pytest.approx(
        [0, 0.27, 0.03, 0.2, *[0.125] * 4, 0, 0]
    )
    for stage, p in {"1": one, "2": two, "3-rect": rect, "3-ab": ab}.items():
        assert conditional(whole, stage, NODE)[0] == pytest.approx(p[0])
    assert Layout.of(["2"], NODE).weights[0] == 0


def test_what_cannot_happen_still_has_probabilities() -> None:
    certain = np.zeros((1, 10), np.float32)
    certain[0, 0] = 1
    assert conditional(certain, "1", NODE).tolist() == [[1, 0]]
    assert conditional(certain, "2", NODE)[0] == pytest.approx([1 / 3] * 3)


def test_the_graph_is_what_an_encoder_host_expects(bundles: dict[str, Bundle]) -> None:
    graph = onnx.load_model_from_string(fuse(bundles)).graph
    assert [v.name for v in graph.input] == ["luma", "qindex"]
    assert [v.name for v in graph.output] == ["probabilities"]
    assert len({n.name for n in graph.node}) == len(graph.node)
    assert fuse(bundles) == fuse(bundles)


@pytest.mark.numeric
def test_a_fused_pipeline_runs_as_one_session_and_masks_alike(
    pipe: Path, bundles: dict[str, Bundle], blockset_8: Path
) -> None:
    opened, data = Pipeline.load(pipe, threads=1), BlockSet.load(blockset_8)
    assert isinstance(opened.cascade, FusedCascade)
    check = opened.manifest["fused"]["check"]
    assert check["blocks"] == sum(len(b.checkpoint().calibration) for b in bundles.values())
    assert check["masks_differ"] == 0
    assert check["max_error"] <= check["budget"] < 1e-3
    apart = replace(opened, cascade=Cascade({s: b.session() for s, b in opened.bundles.items()}))
    for frame, qindex in ((0, 60), (1, 200)):
        luma = data.luma(5)[frame]
        assert np.array_equal(opened.mask(luma, qindex), apart.mask(luma, qindex))
    run = cli("pipeline", "eval", pipe, data.path, "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["blocks"] > 100


def test_a_graph_of_other_bundles_is_refused(bundles: dict[str, Bundle]) -> None:
    with pytest.raises(ToolkitError, match="metadata is"):
        FusedModel(fuse(some(bundles, ("1", "2"))), bundles, "cpu")
    with pytest.raises(ToolkitError, match=r"outputs are"):
        FusedModel(bundles["2"].model_bytes(), bundles, "cpu")


def test_a_wrong_fused_graph_is_caught_before_it_is_written(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load_model_from_string(fuse(bundles))
    weights = next(t for t in model.graph.initializer if t.name == "weights")
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0, 4] *= 1.001
    weights.CopyFrom(onnx.numpy_helper.from_array(values, "weights"))
    monkeypatch.setattr("integration.pipeline.fused.fuse", lambda _: model.SerializeToString())
    with pytest.raises(ToolkitError, match="is not the cascade"):
        write_fused(tmp_path, bundles, Policy(), "cpu")
    words = ("-o", tmp_path / "p", "--fuse", "--allow-unproven")
    assert cli("pipeline", "build", *(b.path for b in bundles.values()), *words).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def flip(path: Path) -> None:
    data = bytearray((path / FUSED).read_bytes())
    data[len(data) // 2] ^= 1
    (path / FUSED).write_bytes(data)


def forge(path: Path, value: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["fused"] = value
    write_json(path / "manifest.json", seal({k: v for k, v in manifest.items() if v != "gone"}))


def swap(path: Path) -> None:
    (path / FUSED).rename(path / "elsewhere")
    (path / FUSED).symlink_to(path / "elsewhere")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (flip, "changed"),
        (lambda p: (p / FUSED).unlink(), "missing"),
        (swap, "a link"),
        (lambda p: (p / FUSED).write_bytes(b""), "not of"),
        (lambda p: forge(p, "gone"), "not in the manifest"),
        (lambda p: forge(p, []), r"fused is \[\]"),
        (lambda p: forge(p, {"bytes": -1, "sha256": "0" * 64}), "fused is"),
        (lambda p: forge(p, {"bytes": True, "sha256": "0" * 64}), "fused is"),
    ],
)
def test_a_fused_graph_that_was_changed_does_not_load(
    pipe: Path, tmp_path: Path, edit: Callable[[Path], object], expected: str
) -> None:
    copy = Path(shutil.copytree(pipe, tmp_path / "pipe"))
    edit(copy)
    with pytest.raises(ToolkitError, match=expected):
        Pipeline.load(copy)


def test_at_8x8_nodes_no_probability_goes_to_an_ab() -> None:
    one, two, rect = np.array([[0.25, 0.75]]), np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]])
    found = joint_probabilities({"1": one, "2": two, "3-rect": rect}, 8)
    assert found[0] == pytest.approx([0.25, 0.225, 0.225, 0.3, *[0] * 6])
    assert conditional(found, "2", 8)[0] == pytest.approx(two[0])
    assert joint_probabilities({"2": two}, 8)[0] == pytest.approx([0, 0.3, 0.3, 0.4, *[0] * 6])
