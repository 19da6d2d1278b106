"""Bundles: sealed, whole, refused when a byte differs, and refused at export when the model is worthless."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import MakeBlockset
from support.places import ROOT
from support.sealed import edit_manifest

from export.bundle.bundle import Bundle
from export.bundle.write import Chosen, choose_checkpoint, without_paths, write_bundle
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.model.checkpoint import Checkpoint, load_checkpoint, load_torch, save_checkpoint
from toolkit.training.run_folder import RunFolder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


@pytest.mark.numeric
def test_a_bundle_says_what_it_is(exported: Path, trained: Path, blockset_8: Path) -> None:
    bundle = Bundle.load(exported)
    assert (bundle.stage, bundle.classes, bundle.bit_depth) == ("2", ("SPLIT", "RECT", "AB"), 8)
    assert bundle.encoder == BlockSet.load(blockset_8).manifest["encoder"]
    provenance = bundle.manifest["provenance"]
    assert provenance["epoch"] == 3
    assert provenance["data_sha256"] == BlockSet.load(blockset_8).sha256
    assert provenance["metrics"]["macro_f1"] > provenance["baselines"]["best_constant"]["macro_f1"]
    assert provenance["exported_with"]["onnxruntime-gpu"]
    assert bundle.manifest["weak"] == []
    assert bundle.manifest["export_check"]["status"] == "passed"
    assert bundle.manifest["export_check"]["comparisons"] > 0
    assert not bundle.proven("cpu")
    card = (exported / "MODEL_CARD.md").read_text()
    assert "always" in card
    assert "| RECT | 1, 2 |" in card
    assert "(NONE, HORZ_4, VERT_4) were left out" in card
    assert provenance["data_sha256"] in card
    assert "Trained on 3 sources" in card


def test_no_path_and_no_optimiser_state_ships(exported: Path, trained: Path) -> None:
    for file in exported.iterdir():
        content = file.read_bytes()
        for path in (trained.parent, ROOT, Path(torch.__file__).parents[1]):
            assert str(path).encode() not in content, file
    assert "optimizer" not in load_torch(exported / "checkpoint.pt")
    own, run = load_checkpoint(exported / "checkpoint.pt"), load_checkpoint(RunFolder(trained).epoch_path(3))
    assert all(torch.equal(a, b) for a, b in zip(own.model.parameters(), run.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("/home/me/runs/a b", "a b"),
        ("train /home/me/data -o C:\\runs\\one", "train data -o one"),
        ({"from": ["/x/y.pt", 3]}, {"from": ["y.pt", 3]}),
        ("runs/one, cq 20/32, 1.0/255", "runs/one, cq 20/32, 1.0/255"),
    ],
)
def test_absolute_paths_are_cut(value: Any, left: Any) -> None:
    assert without_paths(value) == left


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "checkpoint.pt", "MODEL_CARD.md"])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_byte_changed_is_refused(copy: Path, name: str, where: float) -> None:
    content = bytearray((copy / name).read_bytes())
    index = min(int(where * len(content)), len(content) - 2)
    content[index] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ToolkitError, match=name):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "checkpoint.pt", "MODEL_CARD.md"])
def test_a_missing_truncated_or_linked_file_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    file = copy / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ToolkitError, match=name):
        Bundle.load(copy)
    file.unlink()
    with pytest.raises(ToolkitError, match=f"{name} missing"):
        Bundle.load(copy)
    (tmp_path / "elsewhere").write_bytes(content)
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ToolkitError, match="a link or folder"):
        Bundle.load(copy)


def test_what_does_not_belong_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "weights.bin").write_bytes(b"0")
    with pytest.raises(ToolkitError, match=r"weights\.bin.* does not belong"):
        Bundle.load(copy)
    (copy / "weights.bin").unlink()
    (copy / ".parity.json.1f.json").write_bytes(b"0")
    with pytest.raises(ToolkitError, match=r"does not belong in a bundle\. It was left by a write"):
        Bundle.load(copy)
    for path in (tmp_path / "nowhere", copy / "model.onnx"):
        with pytest.raises(ToolkitError, match="no such folder"):
            Bundle.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(kind="other"), "not a bundle's"),
        (lambda m: m.update(format_version=99), "format version 99"),
        (lambda m: m.update(encoder=[]), r"encoder is \[\]"),
        (lambda m: m.pop("files"), "files is None"),
        (lambda m: m["files"].pop("checkpoint.pt"), "lists"),
        (lambda m: m["files"].update({"../../etc/passwd": m["files"]["model.onnx"]}), "lists"),
        (lambda m: m["files"]["model.onnx"].update(bytes=-1), "has -1 bytes"),
        (lambda m: m["files"]["model.onnx"].update(bytes=1 << 60), "bytes, expected 0 to"),
        (lambda m: m["files"]["model.onnx"].update(bytes=True), "bytes is True, expected int"),
        (lambda m: m["files"]["model.onnx"].update(sha256="0" * 63), "has no sha256"),
        (lambda m: m["files"].update({"model.onnx": "sha"}), "files.model.onnx is 'sha', expected dict"),
        (lambda m: m["contract"].update(stage="1"), "classes is"),
        (lambda m: m["contract"].update(stage=["2"]), "no contract"),
        (lambda m: m["contract"].update(bit_depth=8.0), "Bit depth 8.0"),
        (lambda m: m["contract"].update(qindex_used=1), "qindex_used 1: expected true or false"),
        (lambda m: m["contract"]["classes"].reverse(), "classes is"),
        (lambda m: m["provenance"].update(train_sources="all"), "train_sources is 'all'"),
        (lambda m: m["provenance"].update(train_sources=[["all"]]), r"train_sources\[0\] is \['all'\], expected str"),
        (lambda m: m["provenance"].update(baselines={}), "best_constant is None"),
        (lambda m: m["export_check"].update(rms={}), r"rms is \{\}"),
    ],
)
def test_a_manifest_sealed_by_another_hand_is_still_checked(
    copy: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit_manifest(copy, change)
    with pytest.raises(ToolkitError, match=message):
        Bundle.load(copy)


def test_an_edited_manifest_is_refused(copy: Path) -> None:
    edit_manifest(copy, lambda m: m.update(weak=["none really"]), resealed=False)
    with pytest.raises(ToolkitError, match="was edited"):
        Bundle.load(copy)
    for junk in ("[" * 100_000, '{"kind": NaN}', "\ud800".encode("utf-16", "surrogatepass").decode("latin1"), "[]", ""):
        (copy / "manifest.json").write_text(junk, encoding="latin1")
        with pytest.raises(ToolkitError, match=r"manifest\.json"):
            Bundle.load(copy)


def test_a_model_swapped_after_opening_does_not_run(copy: Path) -> None:
    bundle = Bundle.load(copy)
    (copy / "model.onnx").write_bytes(b"another")
    with pytest.raises(ToolkitError, match="changed since"):
        bundle.session()


def test_other_data_are_refused(exported: Path, make_blockset: MakeBlockset, blockset_8: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(exported)
    bundle.check_data(BlockSet.load(blockset_8))
    with pytest.raises(ToolkitError, match=r"10-bit luma, .* takes 8 bit"):
        bundle.check_data(BlockSet.load(make_blockset(tmp_path / "ten", bit_depth=10)), any_settings=True)
    own = BlockSet.load(blockset_8)
    other = replace(own, manifest={**own.manifest, "encoder": {**own.manifest["encoder"], "usage": "allintra"}})
    with pytest.raises(ToolkitError, match="usage: 'allintra', expected 'good'"):
        bundle.check_data(other)
    bundle.check_data(other, any_settings=True)


def test_training_sources_are_not_held_out(exported: Path, blockset_8: Path) -> None:
    bundle, data = Bundle.load(exported), BlockSet.load(blockset_8)
    bundle.check_held_out(data, "test")
    with pytest.raises(ToolkitError, match="the model was trained on train-0"):
        bundle.check_held_out(data, "train")


@pytest.fixture
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(RunFolder(trained).epoch_path(3))


def export_of(checkpoint: Checkpoint, folder: Path, *, allow_weak: bool = False) -> Bundle:
    save_checkpoint(folder / "weak.pt", checkpoint)
    return write_bundle(Chosen(folder / "weak.pt", "a test"), folder / "bundle", allow_weak=allow_weak)


def test_a_model_no_better_than_a_constant_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    metrics = {**checkpoint.metrics, "macro_f1": checkpoint.baselines["best_constant"]["macro_f1"]}
    with pytest.raises(ToolkitError, match="does not beat the best constant"):
        export_of(replace(checkpoint, metrics=metrics), tmp_path)
    assert not (tmp_path / "bundle").exists()
    bundle = export_of(replace(checkpoint, metrics=metrics), tmp_path, allow_weak=True)
    assert "does not beat" in bundle.manifest["weak"][0]
    assert "Weak model" in (bundle.path / "MODEL_CARD.md").read_text()


def test_a_constant_output_or_a_score_that_is_no_number_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="macro-F1 is nan"):
        export_of(replace(checkpoint, metrics={**checkpoint.metrics, "macro_f1": float("nan")}), tmp_path)
    last = [m for m in checkpoint.model.head.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias[1] = 100.0
    with pytest.raises(ToolkitError, match=r"constant: RECT for each of \d+"):
        export_of(checkpoint, tmp_path)
    with torch.no_grad():
        last.weight.fill_(float("nan"))
    with pytest.raises(ToolkitError, match="NaN or infinite"):
        export_of(checkpoint, tmp_path, allow_weak=True)
    assert [p.name for p in tmp_path.iterdir()] == ["weak.pt"]


@pytest.mark.numeric
def test_a_graph_that_computes_something_else_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import export.bundle.write
    from export.graph.runtime import RuntimeModel

    real = RuntimeModel.one_call
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) * np.float32(1.0001))
    with pytest.raises(ToolkitError, match=r"does not give PyTorch's logits .*Nothing was written"):
        export.bundle.write.write_bundle(choose_checkpoint(trained, 3), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("evaluated_here")
def test_the_commands(trained: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    file, target = RunFolder(trained).epoch_path(3), tmp_path / "bundle"
    done = run(main, ["export", str(trained), "-o", str(target), "--json"])
    assert done.exit_code == 0, done.output
    assert "best macro_f1 of the run" in Bundle.load(target).manifest["provenance"]["chosen"]
    assert json.loads(done.stdout)["sha256"] == Bundle.load(target).sha256
    again = run(main, ["export", str(file), "-o", str(target)])
    assert again.exit_code == 1
    assert "exists already" in again.output
    assert "one checkpoint file" in run(main, ["export", str(file), "--epoch", "1", "-o", "x"]).output
    assert "has no epoch 9" in run(main, ["export", str(trained), "--epoch", "9", "-o", "x"]).output
    verified = run(main, ["bundle", "verify", str(target), "--json"])
    expected = {"verified": True, "sha256": Bundle.load(target).sha256, "proven": [], "signed": "no"}
    assert json.loads(verified.stdout) == expected
    assert "not proven yet" in run(main, ["bundle", "info", str(target)]).output
    (target / "model.onnx").write_bytes(b"")
    assert run(main, ["bundle", "verify", str(target)]).exit_code == 1
