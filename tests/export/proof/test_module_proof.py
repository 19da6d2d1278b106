"""Any ONNX file against any torch module or exported program, on inputs of its own: nothing of AV1 is needed."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper
from support.commands import cli, message
from support.places import ROOT

from toolkit.files import is_sealed, sha256_file

EXAMPLE = re.search(
    r"```python\n(import numpy.*?)```", (ROOT / "docs" / "explanation" / "parity.md").read_text(), re.DOTALL
)
MORE = """

def training():
    return TwoHeads()


def program():
    rows = {0: torch.export.Dim("rows", min=1)}
    example = (torch.ones(2, 8), torch.ones(2, 1))
    return torch.export.export(model(), example, dynamic_shapes={"x": rows, "scale": rows})


class One(TwoHeads):
    def forward(self, x, scale):
        return super().forward(x, scale)["scores"]


def other_outputs():
    return One().eval()


def number():
    return 3


class Single(TwoHeads):
    def forward(self, x, scale):
        return {name: value.float() for name, value in super().forward(x, scale).items()}


def single():
    return Single().eval()


class Wide(TwoHeads):
    def __init__(self):
        super().__init__()
        self.place = torch.nn.Linear(16, 4)


def wide():
    return Wide().eval()
"""

FIXED = """
import torch


class Fixed(torch.nn.Module):
    def forward(self, a, i):
        return (a[i] * 3,)


def model():
    return Fixed().eval()
"""


@pytest.fixture(scope="module")
def exported_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's example in it, run as the page says."""
    assert EXAMPLE
    path = tmp_path_factory.mktemp("example")
    (path / "two_heads.py").write_text(EXAMPLE[1])
    subprocess.run([sys.executable, "two_heads.py"], cwd=path, check=True, capture_output=True)
    with (path / "two_heads.py").open("a") as file:
        file.write(MORE)
    return path


@pytest.fixture
def folder(exported_example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, a copy of the example's."""
    copy = Path(shutil.copytree(exported_example, tmp_path / "example"))
    monkeypatch.chdir(copy)
    yield copy
    sys.modules.pop("two_heads", None)


def prove(reference: str = "two_heads:model", *words: object, inputs: str = "inputs.npz") -> Result:
    return cli("parity-foreign", "two_heads.onnx", reference, inputs, *words)


def change(**arrays: Any) -> str:
    """A file of the example's inputs with others in their place; without those that are None."""
    with np.load("inputs.npz") as found:
        own = {name: found[name] for name in found.files} | arrays
    np.savez("changed.npz", **{name: array for name, array in own.items() if array is not None})
    return "changed.npz"


@pytest.mark.numeric
def test_the_example_of_the_page_passes(folder: Path) -> None:
    run = prove("two_heads:model", "--decisions", "scores", "-o", "report.json", "--json")
    assert run.exit_code == 0, run.output
    report = json.loads((folder / "report.json").read_text())
    assert report == json.loads(run.stdout)
    assert is_sealed(report)
    assert (report["rows"], report["status"], report["decisions"]) == (100, "passed", ["scores"])
    assert set(report["placement"]) == {"CPUExecutionProvider"}
    assert report["inputs_sha256"] == sha256_file(folder / "inputs.npz")
    assert "two_heads.onnx" in report["model"]
    for name, width in (("scores", 3), ("place", 2)):
        found = report["outputs"][name]
        assert set(found["batches"]) == {"1", "2", "3", "7", "64", "1000"}
        assert found["batches"]["64"]["comparisons"] == 100 * width
        assert 0 < found["rms"] <= found["rms_budget"] < 1e-5
        assert {repeat["equal"] for repeat in found["repeatability"].values()} == {True}
    text = prove()
    assert text.stdout.startswith("100 rows, cpu-fp32: passed\n  scores: passed, ")
    assert text.stdout.endswith("PASSED\n")


@pytest.mark.numeric
def test_an_exported_program_is_a_reference_too(folder: Path) -> None:
    run = prove("two_heads:program", "--decisions", "scores")
    assert run.exit_code == 0, run.output


@pytest.mark.parametrize(("output", "fails"), [("scores", "output scores"), ("place", "output place")])
def test_a_weight_that_is_off_fails_the_output_that_it_feeds_alone(folder: Path, output: str, fails: str) -> None:
    proto = onnx.load("two_heads.onnx")
    node = next(node for node in proto.graph.node if output in node.output)
    tensor = next(t for t in proto.graph.initializer if t.name in node.input)
    moved = numpy_helper.to_array(tensor) * np.float32(1.001)
    tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    onnx.save(proto, "two_heads.onnx")
    run = prove("two_heads:model", "--json")
    assert run.exit_code == 1
    report = json.loads(run.stdout)
    assert report["reason"].startswith(fails)
    assert {name: found["status"] for name, found in report["outputs"].items()} == {
        name: "failed" if name == output else "passed" for name in ("scores", "place")
    }


@pytest.mark.numeric
def test_each_output_repeats_within_its_own_budget(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scores` a thousand times as large as `place`: what its budget allows is far too much for `place`."""
    from export.compare import batches

    real = batches.run_all

    def drifting(*words: Any) -> batches.Outputs:
        found = real(*words)
        found.calls["fresh session"] = found.calls["first"] + np.float32([0, 0, 0, 1e-4, 0])
        return found

    monkeypatch.setattr("export.proof.isolated.run_all", drifting)
    with (folder / "two_heads.py").open("a") as file:
        file.write("\n\ndef large():\n    made = model()\n    made.scores.weight.data *= 1000\n    return made\n")
    proto = onnx.load("two_heads.onnx")
    node = next(node for node in proto.graph.node if "scores" in node.output)
    tensor = next(t for t in proto.graph.initializer if t.name in node.input and len(t.dims) == 2)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1000), tensor.name))
    onnx.save(proto, "two_heads.onnx")
    report = json.loads(prove("two_heads:large", "--json").stdout)
    assert report["outputs"]["scores"]["max_budget"] > 1e-4 > report["outputs"]["place"]["max_budget"]
    assert report["reason"] == "output place, not repeatable in the fresh session"
    assert {name: found["status"] for name, found in report["outputs"].items()} == {
        "scores": "passed",
        "place": "failed",
    }


def test_decisions_count_where_they_are_asked_for(folder: Path) -> None:
    """All rows the same but for the last bit: the two largest logits are equal, and decisions would prove nothing."""
    proto = onnx.load("two_heads.onnx")
    assert prove("two_heads:model", "--decisions", "place").exit_code == 0
    assert "Decisions of other: the graph's outputs are scores, place" in message(
        prove("two_heads:model", "--decisions", "other")
    )
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(-1), tensor.name))
    onnx.save(proto, "two_heads.onnx")
    assert "decisions differ" in prove("two_heads:model", "--decisions", "scores").stdout
    assert "decisions differ" not in prove("two_heads:model").stdout


def test_names_and_shapes_that_differ_are_said(folder: Path) -> None:
    said = message(prove(inputs=change(scale=None)))
    assert "The graph takes x float32 (any, 8); scale float32 (any, 1); the file holds x float32 (100, 8)" in said
    assert "Input x: float32 (100, 7), the graph takes float32 (any, 8)" in message(
        prove(inputs=change(x=np.ones((100, 7), np.float32)))
    )
    assert "Input x: float64 (100, 8), the graph takes float32" in message(prove(inputs=change(x=np.ones((100, 8)))))
    assert "expected the same number in each" in message(prove(inputs=change(scale=np.ones((9, 1), np.float32))))
    assert "The reference has 1 outputs (output 0), the graph 2 (scores, place)" in message(
        prove("two_heads:other_outputs")
    )
    assert "Output place: the reference gives shape (100, 4), the graph float32 (any, 2)" in message(
        prove("two_heads:wide")
    )


def test_what_is_no_reference_and_no_file_of_inputs_is_refused(folder: Path) -> None:
    assert "is in training mode; call eval()" in message(prove("two_heads:training"))
    assert "returns int, expected a torch module" in message(prove("two_heads:number"))
    assert "AttributeError" in message(prove("two_heads:missing"))
    assert "ModuleNotFoundError" in message(prove("no_such_module_here:model"))
    assert "is torch.float32 where all its inputs and weights are torch.float64" in message(prove("two_heads:single"))
    assert "no such file. Expected the inputs" in message(prove(inputs="missing.npz"))
    (folder / "junk.npz").write_text("junk")
    assert "no .npz file of arrays" in message(prove(inputs="junk.npz"))
    assert prove("two_heads:model", "--layout", "nchw").exit_code == 2
    run = cli("parity-foreign", "two_heads.onnx", "c.pt", "data", "--decisions", "scores")
    assert run.exit_code == 2
    assert "--decisions goes with MODULE:FUNCTION alone" in run.stderr


def test_a_graph_without_rows_is_run_as_it_is(folder: Path) -> None:
    (folder / "fixed.py").write_text(FIXED)
    tensors = {"a": (TensorProto.FLOAT, [5, 4]), "i": (TensorProto.INT64, [2]), "y": (TensorProto.FLOAT, [2, 4])}
    values = {name: helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in tensors.items()}
    nodes = [helper.make_node("Gather", ["a", "i"], ["g"]), helper.make_node("Mul", ["g", "three"], ["y"])]
    three = numpy_helper.from_array(np.float32(3), "three")
    graph = helper.make_graph(nodes, "fixed", [values["a"], values["i"]], [values["y"]], [three])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "fixed.onnx")
    np.savez("fixed.npz", a=np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32), i=np.array([2, 0]))
    run = cli("parity-foreign", "fixed.onnx", "fixed:model", "fixed.npz", "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["rows"] == 1
    sys.modules.pop("fixed")


@pytest.mark.usefixtures("webgpu_provider")
@pytest.mark.numeric
def test_it_runs_on_another_provider_by_the_same_rules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.commands.parity_foreign.BATCHES", (1, 7))
    run = prove("two_heads:model", "--provider", "webgpu", "--json")
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert set(report["placement"]) == {"WebGpuExecutionProvider"}
    assert report["gpu"]["kind"]
    missing = prove("two_heads:model", "--provider", "RknpuExecutionProvider")
    assert missing.exit_code == 1
    assert "RknpuExecutionProvider: not-run" in missing.stdout
