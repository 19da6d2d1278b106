"""The pipeline: what it refuses, what it scores, and the masks that it gives."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import f1_score
from support.commands import cli, message
from support.masks import cut_nodes
from support.sealed import edit_manifest, write_json

from export.bundle.bundle import Bundle
from export.proof.config import ParityConfig
from export.proof.prove import prove
from integration.media.raw import RawFormat
from integration.media.video import open_clip
from integration.pipeline.config import EvalConfig
from integration.pipeline.pipeline import Pipeline, check_together
from integration.pipeline.policy import ALL, Policy, Thresholds, bits
from integration.pipeline.score import score_pipeline
from integration.pipeline.stages import Cascade, StageModel
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.partition import NONE, STAGES
from toolkit.windows import Window

WHOLE = ("1", "2", "3-rect", "3-ab")
IDLE = Policy(((255, Thresholds(1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)),))


# -- stand-ins: stages that answer from the labels, through the same interface as ONNX Runtime's


class Oracle:
    """Answers a block by looking it up among labelled ones; `wrong` blocks get the next class instead."""

    window = Window()

    def __init__(self, stage: str, blocks: Blocks, wrong: frozenset[int] = frozenset()) -> None:
        self.classes = len(STAGES[stage].classes)
        targets = STAGES[stage].targets(blocks.partition)
        shift = np.isin(np.arange(len(blocks)), list(wrong))
        answers = (targets + shift) % self.classes
        self.known = {self.key(blocks.luma[i], blocks.qindex[i]): answers[i] for i in range(len(blocks))}

    @staticmethod
    def key(luma: np.ndarray, qindex: np.uint8) -> bytes:
        return luma.tobytes() + bytes([qindex])

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        at = [self.known[self.key(block, q)] for block, q in zip(luma, qindex, strict=True)]
        return 20 * np.eye(self.classes, dtype=np.float32)[np.array(at, dtype=np.int64)]


def oracle(blocks: Blocks, *stages: str, wrong: Mapping[str, frozenset[int]] = {}) -> Cascade:
    return Cascade({s: Oracle(s, blocks, wrong.get(s, frozenset())) for s in stages})


@pytest.fixture(scope="module")
def held_out(data: BlockSet) -> Blocks:
    return data.split_blocks("test")


def test_an_oracle_cascade_is_right_on_every_block_of_ids_0_to_7(data: BlockSet, held_out: Blocks) -> None:
    found = score_pipeline(oracle(held_out, *WHOLE), Policy(), data, EvalConfig())
    assert found["accuracy"] == found["macro_f1"] == 1.0
    assert found["classes"] == ["NONE", "HORZ", "VERT", "SPLIT", "HORZ_A", "HORZ_B", "VERT_A", "VERT_B"]
    counts = np.bincount(held_out.partition, minlength=10).tolist()
    assert [c["support"] for c in found["per_class"].values()] == counts[:8]
    inside = int((data.blocks["partition"][data.blocks["source"] >= 5] == 255).sum())
    assert found["left_out"] == {"HORZ_4": counts[8], "VERT_4": counts[9], "inside a larger block": inside}
    assert set(found["errors_by_stage"].values()) == {0}
    assert found["policy"]["true_removed"] == 0
    assert all(s["accuracy"] == 1.0 for s in found["stages"].values())


@pytest.mark.parametrize(
    ("stages", "classes"),
    [
        (("2",), ["SPLIT", "RECT", "AB"]),
        (("1", "2"), ["NONE", "RECT", "SPLIT", "AB"]),
        (("2", "3-rect"), ["HORZ", "VERT", "SPLIT", "AB"]),
        (("2", "3-ab"), ["RECT", "SPLIT", "HORZ_A", "HORZ_B", "VERT_A", "VERT_B"]),
    ],
)
def test_a_part_of_the_cascade_is_scored_on_what_it_tells_apart(
    data: BlockSet, held_out: Blocks, stages: tuple[str, ...], classes: list[str]
) -> None:
    found = score_pipeline(oracle(held_out, *stages), Policy(), data, EvalConfig())
    assert found["classes"] == classes
    assert found["accuracy"] == 1.0
    assert found["blocks"] == int(((held_out.partition < 8) & (("1" in stages) | (held_out.partition > 0))).sum())
    assert ("NONE" in found["left_out"]) == ("1" not in stages)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_errors_are_counted_at_the_first_stage_that_is_wrong(data: BlockSet, held_out: Blocks, seed: int) -> None:
    ids = held_out.partition
    rng = np.random.default_rng(seed)
    wrong = {stage: frozenset(rng.choice(len(ids), 60, replace=False).tolist()) for stage in WHOLE}
    found = score_pipeline(oracle(held_out, *WHOLE, wrong=wrong), Policy(), data, EvalConfig())
    expected = dict.fromkeys(WHOLE, 0)
    for i in range(len(ids)):
        path = [s for s in WHOLE if STAGES[s].targets(ids[i : i + 1])[0] >= 0] if ids[i] < 8 else []
        first = next((s for s in path if i in wrong[s]), None)
        if first is not None:
            expected[first] += 1
    assert found["errors_by_stage"] == expected
    assert sum(expected.values()) == round((1 - found["accuracy"]) * found["blocks"])


def test_scores_are_scikit_learn_s_beside_the_baselines(data: BlockSet, held_out: Blocks) -> None:
    every_third = frozenset(range(0, len(held_out), 3))
    found = score_pipeline(oracle(held_out, "2", wrong={"2": every_third}), Policy(), data, EvalConfig())
    stage_2 = STAGES["2"].targets(held_out.partition)
    own = stage_2 >= 0
    predicted = ((stage_2 + np.isin(np.arange(len(own)), list(every_third))) % 3)[own]
    assert found["macro_f1"] == pytest.approx(f1_score(stage_2[own], predicted, average="macro"))
    assert found["accuracy"] == pytest.approx((stage_2[own] == predicted).mean())
    shares = np.bincount(stage_2[own], minlength=3) / own.sum()
    constants = found["baselines"]["constant"]
    assert [constants[c]["accuracy"] for c in ("SPLIT", "RECT", "AB")] == pytest.approx(shares.tolist())
    assert found["ab_f1"] == found["per_class"]["AB"]["f1"]
    limited = score_pipeline(oracle(held_out, "2"), Policy(), data, EvalConfig(limit=20, seed=1))
    assert limited["blocks"] == 20


def test_what_the_policy_wrongly_removes_is_counted(data: BlockSet, held_out: Blocks) -> None:
    everything = frozenset(range(len(held_out)))
    found = score_pipeline(oracle(held_out, "2", wrong={"2": everything}), Policy(), data, EvalConfig())
    # Sure of the next class each time: SPLIT is dropped for RECT; RECT is never dropped by default; for AB only
    # NONE and SPLIT are left.
    support = {name: own["support"] for name, own in found["per_class"].items()}
    assert found["accuracy"] == 0
    assert found["policy"]["true_removed"] == pytest.approx((support["SPLIT"] + support["AB"]) / found["blocks"])
    # Where AB seems sure nothing goes, for it keeps its inputs.
    assert found["policy"]["restricted"] == pytest.approx(1 - support["RECT"] / found["blocks"])


def test_only_held_out_splits_are_scored() -> None:
    with pytest.raises(ToolkitError, match="held-out"):
        EvalConfig(split="train")


@pytest.mark.parametrize("stages", [(), ("1",), ("3-rect", "3-ab"), ("2", "4")])
def test_cascades_that_make_no_sense(stages: tuple[str, ...], held_out: Blocks) -> None:
    model: StageModel = Oracle("2", held_out)
    with pytest.raises(ToolkitError, match="expected Stage 2"):
        Cascade(dict.fromkeys(stages, model))


def mask_of(model: StageModel, luma: np.ndarray, qindex: int, bit_depth: int = 8) -> np.ndarray:
    """The mask that the engine makes with this Stage 2 alone, by the default policy."""
    return Pipeline(Path("pipe"), {"bit_depth": bit_depth}, {}, Cascade({"2": model}), Policy()).mask(luma, qindex)


class Broken:
    window = Window()

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        return np.full((len(luma), 3), np.nan, np.float32)


@pytest.mark.usefixtures("libaom")
def test_logits_that_are_no_numbers_are_an_error(held_out: Blocks) -> None:
    for call in (
        lambda: mask_of(Broken(), np.zeros((16, 16), np.uint8), 9),
        lambda: Cascade({"2": Broken()}).every(held_out.luma[:1], held_out.qindex[:1]),
    ):
        with pytest.raises(ToolkitError, match="Stage 2 gave logits that are no finite numbers"):
            call()


# -- masks of frames


def test_the_frame_s_nodes_are_the_data_set_s_blocks(data: BlockSet) -> None:
    source = 5
    frame = data.luma(source)[1]
    at = np.flatnonzero((data.blocks["source"] == source) & (data.blocks["frame"] == 1) & (data.blocks["qindex"] == 60))
    blocks = data.take(at)
    nodes = cut_nodes(frame, Window(), *np.indices((frame.shape[0] // 16, frame.shape[1] // 16)).reshape(2, -1))
    columns = frame.shape[1] // 16
    assert len(nodes) == len(blocks)
    for i in range(len(blocks)):
        node = int(blocks.row[i]) // 16 * columns + int(blocks.column[i]) // 16
        assert np.array_equal(nodes[node], blocks.luma[i])


@pytest.mark.usefixtures("libaom")
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 255), st.sampled_from([8, 10]))
def test_masks_cover_any_frame_and_leave_cut_nodes_alone(height: int, width: int, qindex: int, bit_depth: int) -> None:
    class Bright:
        """SPLIT for sure where the first code value is odd; remembers what it was asked."""

        window = Window()

        def logits(self, luma: np.ndarray, qindexes: np.ndarray) -> np.ndarray:
            assert luma.dtype == (np.uint8 if bit_depth == 8 else np.uint16)
            assert (qindexes == qindex).all()
            odd = luma[:, 0, 0, 0] % 2
            return np.stack([9.0 * odd, 0 * odd, 0 * odd], axis=1).astype(np.float32)

    luma = np.random.default_rng(height * 71 + width).integers(0, 1 << bit_depth, (height, width))
    luma = luma.astype(np.uint8 if bit_depth == 8 else np.uint16)
    mask = mask_of(Bright(), luma, qindex, bit_depth)
    assert (mask.dtype, mask.shape) == (np.uint16, (-(-height // 16), -(-width // 16)))
    for row, column in np.ndindex(*mask.shape):
        whole = 16 * row + 16 <= height and 16 * column + 16 <= width
        sure = whole and luma[16 * row, 16 * column] % 2
        assert mask[row, column] == (bits(0, 3) if sure else ALL if whole else 0)


@pytest.mark.parametrize(
    ("luma", "qindex", "expected"),
    [
        (np.zeros((16, 16), np.float32), 9, "scaled already"),
        (np.zeros((16, 16), np.uint16), 9, "uint16, expected"),
        (np.zeros((1, 16, 16), np.uint8), 9, "expected .height, width."),
        (np.zeros((16, 16), np.uint8), 256, "qindex 256"),
        (np.zeros((16, 16), np.uint8), -1, "qindex -1"),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_frames_that_are_refused(luma: np.ndarray, qindex: int, expected: str) -> None:
    with pytest.raises(ToolkitError, match=expected):
        mask_of(Broken(), luma, qindex)


# -- the folder, from real bundles


@pytest.fixture(scope="module")
def bundles(
    blockset_8: Path, stage_bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A proven bundle of every stage."""
    root = tmp_path_factory.mktemp("bundles")
    paths = {stage: Path(shutil.copytree(path, root / stage)) for stage, path in stage_bundles.items()}
    for path in paths.values():
        assert prove(path, blockset_8, ParityConfig(limit=60, batches=(1, 64), providers=("cpu",)))["passed"]
    return paths


@pytest.fixture(scope="module")
def pipe(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline") / "pipe"
    run = cli("pipeline", "build", *(bundles[s] for s in ("3-ab", "2", "1", "3-rect")), "-o", path)
    assert run.exit_code == 0, run.output
    return path


def test_the_built_pipeline_evaluates_and_says_what_it_is(pipe: Path, data: BlockSet, bundles: dict[str, Path]) -> None:
    run = cli("pipeline", "eval", pipe, data.path, "--json")
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert {"accuracy", "macro_f1", "per_class", "baselines", "confusion", "errors_by_stage"} <= found.keys()
    assert found["data_sha256"] == data.sha256
    assert sum(found["errors_by_stage"].values()) == found["blocks"] - np.trace(found["confusion"])
    opened = Pipeline.load(pipe)
    assert opened.manifest["bundles"] == {s: Bundle.load(bundles[s]).sha256 for s in WHOLE}
    assert opened.encoder == data.manifest["encoder"]
    assert opened.bit_depth == 8
    tables = cli("pipeline", "eval", pipe, data.path, "--split", "val").stdout
    for word in ("3-rect", "always", "HORZ_B", "wrong here first"):
        assert word in tables


def test_stage_2_alone_beats_every_constant_on_data_it_never_saw(
    bundles: dict[str, Path], data: BlockSet, tmp_path: Path
) -> None:
    assert cli("pipeline", "build", bundles["2"], "-o", tmp_path / "p", "--policy", "drop_ab_below=0").exit_code == 0
    found = json.loads(cli("pipeline", "eval", tmp_path / "p", data.path, "--json").stdout)
    assert found["classes"] == ["SPLIT", "RECT", "AB"]
    assert found["macro_f1"] > found["baselines"]["best_constant"]["macro_f1"]
    assert Pipeline.load(tmp_path / "p").policy.at(9).drop_ab_below == 0


def test_the_built_pipeline_masks_every_frame_of_a_clip(pipe: Path, data: BlockSet, tmp_path: Path) -> None:
    luma = data.luma(6)
    height, width = luma.shape[1:]
    chroma = np.full((height // 2, width // 2), 128, np.uint8).tobytes() * 2
    (tmp_path / "clip.yuv").write_bytes(b"".join(frame.tobytes() + chroma for frame in luma))
    clip = open_clip(tmp_path / "clip.yuv", raw=RawFormat.parse(f"{width}x{height}"))
    opened = Pipeline.load(pipe)
    masks = [opened.mask(planes[0], 200) for planes in clip.frames()]
    assert len(masks) == 2
    assert opened.sha256 == json.loads((pipe / "manifest.json").read_text())["sha256"]
    again = Pipeline.load(pipe, threads=1)
    for frame, mask in zip(luma, masks, strict=True):
        assert (mask.dtype, mask.shape) == (np.uint16, (-(-height // 16), -(-width // 16)))
        assert np.array_equal(mask, again.mask(frame, 200))
    first = next(open_clip(tmp_path / "clip.yuv", limit=1, raw=RawFormat(width, height)).frames())[0]
    assert np.array_equal(opened.mask(first, 200), masks[0])
    assert any((mask != 0).any() for mask in masks)
    Image.fromarray(luma[0]).save(tmp_path / "photo.png")
    (photo,) = open_clip(tmp_path / "photo.png").frames()
    assert opened.mask(photo[0], 9).shape == masks[0].shape
    assert opened.node == 16
    with pytest.raises(ToolkitError, match="expected"):
        opened.mask(luma[0].astype(np.uint16), 200)
    assert cli("pipeline", "run", pipe, tmp_path / "clip.yuv", "-o", tmp_path / "m.npz").exit_code == 2, "it is gone"


def test_probabilities_are_softmax_of_every_stage(pipe: Path, held_out: Blocks) -> None:
    opened = Pipeline.load(pipe, threads=1)
    found = opened.cascade.every(held_out.luma[:9], held_out.qindex[:9])
    assert tuple(found) == WHOLE
    for stage, p in found.items():
        assert p.shape == (9, len(STAGES[stage].classes))
        assert p.sum(axis=1) == pytest.approx(1)
        logits = opened.bundles[stage].session().logits(held_out.luma[:9], held_out.qindex[:9])
        assert p.argmax(axis=1).tolist() == logits.argmax(axis=1).tolist()
        assert np.log(p[:, 0] / p[:, 1]) == pytest.approx((logits[:, 0] - logits[:, 1]).astype(float), abs=1e-4)


def test_a_policy_that_removes_nothing_leaves_every_node_open(pipe: Path, data: BlockSet) -> None:
    opened = replace(Pipeline.load(pipe), policy=IDLE)
    mask = opened.mask(data.luma(0)[0], 60)
    assert set(mask[:, :-1].ravel().tolist()) == {ALL}
    assert set(mask[:, -1].tolist()) == {0}


# -- what build and load refuse


def test_one_changed_byte_in_a_bundle_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    for name in ("model.onnx", "checkpoint.pt", "manifest.json", "parity.json", "MODEL_CARD.md"):
        copy = Path(shutil.copytree(bundles["2"], tmp_path / name))
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        message(cli("pipeline", "build", copy, "-o", tmp_path / "p"))
        message(cli("pipeline", "build", copy, "-o", tmp_path / "p", "--allow-unproven"))
    assert not (tmp_path / "p").exists()


def test_a_folder_with_the_fused_graph_of_an_earlier_version_loads_and_its_stages_are_run(
    exported: Path, data: BlockSet, tmp_path: Path
) -> None:
    path = tmp_path / "p"
    assert cli("pipeline", "build", exported, "-o", path, "--allow-unproven").exit_code == 0
    (path / "fused.onnx").write_bytes(b"one graph")
    with pytest.raises(ToolkitError, match=r"'fused\.onnx' does not belong"):
        Pipeline.load(path)
    edit_manifest(path, lambda manifest: manifest.update(fused={"bytes": 9, "sha256": "0" * 64}))
    assert Pipeline.load(path).cascade.stages == ("2",)


def test_an_unproven_bundle_needs_an_explicit_word_that_is_logged_and_recorded(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = message(cli("pipeline", "build", exported, "-o", tmp_path / "p"))
    assert "not proven on cpu (no report on it)" in said
    assert "av1part parity" in said
    with caplog.at_level(logging.WARNING):
        assert cli("pipeline", "build", exported, "-o", tmp_path / "p", "--allow-unproven").exit_code == 0
    assert "Stage 2 is not proven on cpu" in caplog.text
    caplog.clear()
    assert Pipeline.load(tmp_path / "p").manifest["unproven"] == ["2"]
    assert "Stage 2 is not proven on cpu" in caplog.text


def test_a_proof_on_one_provider_is_none_on_another(pipe: Path, bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="not proven on cuda"):
        Pipeline.load(pipe, "cuda")
    assert "cuda" in message(cli("pipeline", "build", bundles["2"], "-o", tmp_path / "p", "--provider", "cuda"))


def test_a_failed_report_is_no_proof(bundles: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundles["2"], tmp_path / "b"))
    report = json.loads((copy / "parity.json").read_text())
    report["providers"]["cpu"]["status"] = report["profiles"]["cpu-fp32"]["status"] = "failed"
    write_json(copy / "parity.json", seal(report))
    assert "its report says: failed" in message(cli("pipeline", "build", copy, "-o", tmp_path / "p"))


def test_another_bundle_s_report_is_no_proof(bundles: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundles["2"], tmp_path / "b"))
    for name in ("parity.json", "parity.md"):
        shutil.copy(bundles["1"] / name, copy / name)
    assert "written for another bundle" in message(cli("pipeline", "build", copy, "-o", tmp_path / "p"))


def test_two_of_a_stage_and_a_missing_stage_2_are_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    twin = shutil.copytree(bundles["2"], tmp_path / "twin")
    assert "both of stage 2" in message(cli("pipeline", "build", bundles["2"], twin, "-o", tmp_path / "p"))
    assert "expected Stage 2" in message(cli("pipeline", "build", bundles["1"], "-o", tmp_path / "p"))
    assert cli("pipeline", "build", "-o", tmp_path / "p").exit_code == 2
    assert "exists already" in message(cli("pipeline", "build", bundles["2"], "-o", twin))


def test_bundles_of_other_bit_depths_or_encoder_settings_do_not_mix(bundles: dict[str, Path]) -> None:
    one, two = Bundle.load(bundles["1"]), Bundle.load(bundles["2"])
    check_together([one, two])
    with pytest.raises(ToolkitError, match="takes 10 bit"):
        check_together([one, replace(two, contract=replace(two.contract, bit_depth=10))])
    other = {**two.manifest, "encoder": {**two.encoder, "cpu_used": 4}}
    with pytest.raises(ToolkitError, match="cpu_used: 4, expected 1"):
        check_together([one, replace(two, manifest=other)])


Edit = Callable[[Path], object]


def forge(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    write_json(path / "manifest.json", seal({**manifest, **changes}))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda p: (p / "bundles/2/model.onnx").write_bytes(b"x"), "model.onnx"),
        (lambda p: shutil.rmtree(p / "bundles/3-ab"), "no such folder"),
        (lambda p: (p / "bundles/2/parity.json").unlink(), "parity"),
        (lambda p: (p / "manifest.json").write_text("{}"), "not a pipeline's"),
        (
            lambda p: (p / "manifest.json").write_text((p / "manifest.json").read_text().replace("0.95", "0.5")),
            "edited",
        ),
        (lambda p: forge(p, bit_depth=10), "not the bundles'"),
        (lambda p: forge(p, encoder={}), "not the bundles'"),
        (lambda p: forge(p, bundles={"2": "0" * 64}), "not the bundle"),
        (lambda p: forge(p, bundles={"../2": "0" * 64, "2": "0" * 64}), "expected Stage 2"),
        (lambda p: forge(p, bundles=[]), "bundles is"),
        (lambda p: forge(p, policy={"drop_ab_below": 7}), "drop_ab_below"),
        (lambda p: forge(p, provider="tpu"), "not proven on tpu"),
        (lambda p: forge(p, format_version=2), "format version 2"),
    ],
)
def test_a_pipeline_that_was_changed_does_not_load(pipe: Path, tmp_path: Path, edit: Edit, expected: str) -> None:
    copy = Path(shutil.copytree(pipe, tmp_path / "pipe"))
    Pipeline.load(copy)
    edit(copy)
    with pytest.raises(ToolkitError, match=expected):
        Pipeline.load(copy)


def test_eval_refuses_data_it_was_trained_on_and_other_settings(
    pipe: Path, data: BlockSet, make_blockset: Callable[..., Path], tmp_path: Path
) -> None:
    ten = make_blockset(tmp_path / "ten", bit_depth=10)
    assert "10-bit luma" in message(cli("pipeline", "eval", pipe, ten))
    # Its test split holds what the models were trained on: the same originals under other splits.
    swapped = make_blockset(tmp_path / "swapped", splits={"test": 3, "val": 2})
    assert "trained on" in message(cli("pipeline", "eval", pipe, swapped))
    assert cli("pipeline", "eval", pipe, data.path, "--split", "train").exit_code == 2


def test_none_is_kept_in_every_mask_of_stage_2_alone(bundles: dict[str, Path], data: BlockSet, tmp_path: Path) -> None:
    assert cli("pipeline", "build", bundles["2"], "-o", tmp_path / "p", "--policy", "drop_ab_below=0.5").exit_code == 0
    mask = Pipeline.load(tmp_path / "p").mask(data.luma(5)[0], 60)[:, :-1]
    assert (mask & bits(NONE) != 0).all()
    assert (mask != ALL).any()
