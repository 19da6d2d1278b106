"""What a knowing hand can put into a bundle under good seals: refused with a reason, in bounded time and memory."""

import json
import os
import resource
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from support.sealed import NUMBERS, TEXTS, places, reseal, write_json

from export.bundle.bundle import BESIDE, SIZE_LIMITS, Bundle
from export.bundle.write import choose_checkpoint, write_bundle
from export.commands.bundle import describe
from export.graph.check import check_onnx
from export.graph.runtime import RuntimeModel
from export.proof.config import ParityConfig
from export.proof.prove import prove
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file
from toolkit.model.checkpoint import load_checkpoint


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    for name in BESIDE:  # so that `reseal` finds them to remove
        (bundle / name).touch()
    return bundle


@pytest.fixture
def limited() -> Any:
    """Fail on an allocation that no bundle needs, instead of taking the machine down."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 31), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_any_entry_of_a_manifest_sealed_again_is_read_or_refused(exported: Path, blockset_8: Path, copy: Path) -> None:
    data = BlockSet.load(blockset_8)
    original = json.loads((exported / "manifest.json").read_text())
    for name in BESIDE:
        (copy / name).unlink()
    values = [v for v in (*NUMBERS, *TEXTS) if v != "\ud800"]
    for index, (parent, key) in enumerate(list(places(original))):
        kept = parent[key]
        for value in values[index % 4 :: 4]:  # every value, spread over the entries
            parent[key] = value
            write_json(copy / "manifest.json", seal(original))
            try:
                bundle = Bundle.load(copy)
            except ToolkitError:
                continue
            assert describe(bundle)
            assert bundle.training_known in (True, False)
            bundle.check_data(data, any_settings=True)
            bundle.check_held_out(data, "test")
        parent[key] = kept


@pytest.mark.parametrize("elements", [1 << 26, 1 << 33, 1 << 40])
@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_a_small_graph_cannot_ask_for_gigabytes(copy: Path, limited: None, operator: str, elements: int) -> None:
    proto = onnx.load(copy / "model.onnx")
    graph = proto.graph
    for node in graph.node:
        node.output[:] = ["before" if name == "logits" else name for name in node.output]
    constants = {
        "size": np.array([elements >> 10, 1 << 10]),
        "axes": np.array([0, 1]),
        "one": np.ones((1, 1), np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    inputs = ["one", "size"] if operator == "Expand" else ["size"]
    graph.node.append(helper.make_node(operator, inputs, ["large"]))
    graph.node.append(helper.make_node("ReduceSum", ["large", "axes"], ["sum"]))
    graph.node.append(helper.make_node("Add", ["before", "sum"], ["logits"]))
    (copy / "model.onnx").write_bytes(proto.SerializeToString())
    reseal(copy)
    bundle = Bundle.load(copy)
    with pytest.raises(ToolkitError, match="a size that no block needs"):
        check_onnx(bundle.model_bytes(), bundle.contract)


def test_a_graph_that_fails_while_it_runs_is_an_error_of_ours(exported: Path) -> None:
    class Broken:
        def run(self, *inputs: Any) -> Any:
            raise RuntimeError("[ONNXRuntimeError] : 6 : bad allocation")

    session: RuntimeModel = Bundle.load(exported).session()
    session._session = Broken()
    with pytest.raises(ToolkitError, match="cannot run the model: bad allocation"):
        session.logits(np.zeros((1, 1, 16, 16), np.uint8), np.zeros(1, np.uint8))


def packed(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))


def said_to_be_large(source: Path, target: Path) -> None:
    values = torch.load(source, weights_only=True)
    values["calibration"]["luma"] = torch.zeros((1, 1, 16, 16), dtype=torch.uint8).expand(1 << 40, 1, 16, 16)
    torch.save(values, target)


def of_nan(source: Path, target: Path) -> None:
    values = torch.load(source, weights_only=True)
    values["config"]["bit_depth"] = float("nan")
    torch.save(values, target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (packed, "compresses nothing"),
        (said_to_be_large, "larger than what is stored"),
        (of_nan, r"bit_depth is nan, expected int"),
    ],
)
def test_a_checkpoint_cannot_grow_when_it_is_read(
    exported: Path, copy: Path, limited: None, change: Any, message: str
) -> None:
    change(exported / "checkpoint.pt", copy / "checkpoint.pt")
    reseal(copy)
    with pytest.raises(ToolkitError, match=message):
        Bundle.load(copy).checkpoint()


def test_entries_that_share_their_bytes_are_counted_each(exported: Path, tmp_path: Path) -> None:
    """The overlapping kind of zip bomb: thousands of names for the same stored bytes."""
    file = tmp_path / "x.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", b"0" * 10_000)
        archive.filelist += [archive.filelist[0]] * 50
    with pytest.raises(ToolkitError, match="would unpack to"):
        load_checkpoint(file)


def test_a_checkpoint_swapped_after_opening_is_not_loaded(copy: Path) -> None:
    reseal(copy)
    bundle = Bundle.load(copy)
    with (copy / "checkpoint.pt").open("ab") as file:
        file.write(b"0")
    with pytest.raises(ToolkitError, match=r"checkpoint\.pt"):
        bundle.checkpoint()


@pytest.mark.parametrize(
    "name", ["Model.onnx", "MODEL.ONNX", "manifest.JSON", "model.onnx ", "model.onnx\u200b", "x/y"]
)
def test_a_name_that_another_file_system_takes_for_ours_is_refused(copy: Path, name: str) -> None:
    reseal(copy)
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).touch()
    with pytest.raises(ToolkitError, match=r"does not belong|a link or folder"):
        Bundle.load(copy)


def test_hard_links_are_ordinary_files_and_are_not_written_through(
    exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    """Backups and caches make them. Their content is what the seal says, whoever else has a name for it."""
    first = Path(shutil.copytree(exported, tmp_path / "first"))
    prove(first, blockset_8, ParityConfig(limit=20, providers=("cpu",), batches=(1, 64)))
    second = tmp_path / "second"
    second.mkdir()
    for file in first.iterdir():
        os.link(file, second / file.name)
    before = {file.name: sha256_file(file) for file in first.iterdir()}
    prove(second, blockset_8, ParityConfig(limit=30, providers=("cpu",), batches=(1, 64)))
    assert {file.name: sha256_file(file) for file in first.iterdir()} == before
    assert Bundle.load(second).proven("cpu")
    assert sha256_file(second / "parity.json") != before["parity.json"]


def test_a_device_or_a_socket_in_a_bundle_is_refused(copy: Path) -> None:
    reseal(copy)
    (copy / "MODEL_CARD.md").unlink()
    os.mkfifo(copy / "MODEL_CARD.md")
    with pytest.raises(ToolkitError, match="a link or folder"):
        Bundle.load(copy)


def test_an_export_can_be_made_again_to_the_byte(trained: Path, exported: Path, tmp_path: Path) -> None:
    again = write_bundle(choose_checkpoint(trained, epoch=3), tmp_path / "again")
    assert {n: sha256_file(again.path / n) for n in SIZE_LIMITS} == {n: sha256_file(exported / n) for n in SIZE_LIMITS}
    assert again.sha256 == Bundle.load(exported).sha256
