"""ONNX files that we did not write, against the checkpoint that they are said to come from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.commands import cli as run
from support.commands import message

from export.graph.contract import Contract
from export.proof.config import ForeignConfig
from export.proof.foreign import ForeignModel
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.files import is_sealed, sha256_file


def cli(model: Path, exported: Path, data: Path, *words: object) -> Result:
    common = ["parity-foreign", model, exported / "checkpoint.pt", data, "--limit", 40]
    return run(*common, *words)


class Foreign:
    """The bundle's graph as others would have written it: other inputs, the rest unchanged."""

    def __init__(self, exported: Path, folder: Path) -> None:
        self.proto: ModelProto = onnx.load(exported / "model.onnx")
        self.path = folder / "foreign.onnx"
        del self.proto.metadata_props[:]

    def before(self, name: str, new: str, shape: list[Any], *nodes: Any, dtype: int = TensorProto.FLOAT) -> None:
        """Input `name` becomes an inner value that `nodes` make from a new input."""
        inputs = [v for v in self.proto.graph.input if v.name != name]
        del self.proto.graph.input[:]
        self.proto.graph.input.extend([helper.make_tensor_value_info(new, dtype, shape), *inputs])
        for node in reversed(nodes):
            self.proto.graph.node.insert(0, node)

    def constant(self, name: str, value: Any) -> str:
        self.proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def scaled(self, factor: float, new: str = "x") -> None:
        self.constant("peak", np.float32(factor))
        self.before("luma", new, ["n", 1, 16, 16], helper.make_node("Mul", [new, "peak"], ["luma"]))

    def save(self, **options: Any) -> Path:
        onnx.save(self.proto, self.path, **options)
        return self.path


@pytest.fixture
def foreign(exported: Path, tmp_path: Path) -> Foreign:
    return Foreign(exported, tmp_path)


def test_our_own_graph_passes_and_nothing_is_written(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    before = {f.name: sha256_file(f) for f in exported.iterdir()}
    run = cli(exported / "model.onnx", exported, blockset_8)
    assert run.exit_code == 0, run.output
    assert "luma into luma (nchw, times 1), qindex into qindex, logits from logits" in run.stdout
    assert run.stdout.splitlines()[-1] == "PASSED"
    assert {f.name: sha256_file(f) for f in exported.iterdir()} == before
    assert list(tmp_path.iterdir()) == []


def test_a_report_on_demand_says_what_was_compared(
    foreign: Foreign, exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    foreign.scaled(255.0)
    model = foreign.save()
    run = cli(model, exported, blockset_8, "--input-scale", "1/255", "-o", tmp_path / "r.json", "--json")
    assert run.exit_code == 0, run.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report == json.loads(run.stdout)
    assert is_sealed(report)
    assert report["model"] == {"foreign.onnx": sha256_file(model)}
    assert report["checkpoint"]["sha256"] == sha256_file(exported / "checkpoint.pt")
    assert report["inputs"]["luma"] == {"name": "x", "layout": "nchw", "scale": 1 / 255}
    assert report["comparisons"] > 100
    assert report["rms"] <= report["rms_budget"]


def test_a_wrong_scale_fails_and_the_right_one_is_named(foreign: Foreign, exported: Path, blockset_8: Path) -> None:
    foreign.scaled(255.0)
    run = cli(foreign.save(), exported, blockset_8)
    assert run.exit_code == 1
    assert "equal with --input-scale 1/255 --qindex-scale 1" in run.stdout
    assert run.stdout.splitlines()[-1] == "NOT PASSED"


def test_a_damaged_graph_fails_without_a_hint(foreign: Foreign, exported: Path, blockset_8: Path) -> None:
    weight = max(foreign.proto.graph.initializer, key=lambda t: len(t.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.01
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    run = cli(foreign.save(), exported, blockset_8)
    assert run.exit_code == 1
    assert "exceeds the budget" in run.stdout
    assert "are equal with" not in run.stdout


@pytest.mark.parametrize("layout", ["nhwc", "nhw", "flat", "rgb"])
def test_other_layouts_are_found_by_shape(foreign: Foreign, exported: Path, blockset_8: Path, layout: str) -> None:
    shape = foreign.constant("shape", np.array([-1, 1, 16, 16]))
    if layout == "nhwc":
        foreign.before("luma", "x", ["n", 16, 16, 1], helper.make_node("Transpose", ["x"], ["luma"], perm=[0, 3, 1, 2]))
    elif layout == "rgb":
        mean = helper.make_node("ReduceMean", ["x", foreign.constant("axes", np.array([1]))], ["luma"])
        foreign.before("luma", "x", ["n", 3, 16, 16], mean)
    else:
        own = ["n", 16, 16] if layout == "nhw" else ["n", 256]
        foreign.before("luma", "x", own, helper.make_node("Reshape", ["x", shape], ["luma"]))
    run = cli(foreign.save(), exported, blockset_8, "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["inputs"]["luma"]["layout"] == ("nchw" if layout == "rgb" else layout)


def test_open_shapes_need_a_layout(foreign: Foreign, exported: Path, blockset_8: Path) -> None:
    reshape = helper.make_node("Reshape", ["x", foreign.constant("shape", np.array([-1, 1, 16, 16]))], ["luma"])
    foreign.before("luma", "x", ["n", "a", "b", "c"], reshape)
    model = foreign.save()
    assert "Pass --layout" in message(cli(model, exported, blockset_8))
    assert cli(model, exported, blockset_8, "--layout", "nchw").exit_code == 0
    assert "is no flat layout" in message(cli(model, exported, blockset_8, "--layout", "flat"))


def test_integer_inputs_and_a_bare_qindex(foreign: Foreign, exported: Path, blockset_8: Path) -> None:
    cast = helper.make_node("Cast", ["x"], ["luma"], to=TensorProto.FLOAT)
    foreign.before("luma", "x", ["n", 1, 16, 16], cast, dtype=TensorProto.UINT8)
    reshape = helper.make_node("Reshape", ["q", foreign.constant("column", np.array([-1, 1]))], ["qindex"])
    foreign.before("qindex", "q", ["n"], reshape)
    model = foreign.save()
    assert cli(model, exported, blockset_8).exit_code == 0
    assert "takes whole numbers" in message(cli(model, exported, blockset_8, "--input-scale", "1/255"))


def test_a_fixed_batch_is_filled(foreign: Foreign, exported: Path, blockset_8: Path) -> None:
    for value in (*foreign.proto.graph.input, *foreign.proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 7
    run = cli(foreign.save(), exported, blockset_8, "--json")
    assert run.exit_code == 0, run.output
    assert list(json.loads(run.stdout)["batches"]) == ["7"]


def test_weights_beside_the_file_are_hashed_and_elsewhere_refused(
    foreign: Foreign, exported: Path, blockset_8: Path
) -> None:
    model = foreign.save(save_as_external_data=True, location="foreign.onnx.data", size_threshold=1024)
    run = cli(model, exported, blockset_8, "--json")
    assert run.exit_code == 0, run.output
    assert sorted(json.loads(run.stdout)["model"]) == ["foreign.onnx", "foreign.onnx.data"]
    (model.parent / "foreign.onnx.data").rename(model.parent / "moved")
    assert "expected a file beside it" in message(cli(model, exported, blockset_8))
    for place in ("../x", "/etc/passwd", ""):
        proto = onnx.load(model, load_external_data=False)
        for entry in (e for t in proto.graph.initializer for e in t.external_data if e.key == "location"):
            entry.value = place
        model.write_bytes(proto.SerializeToString())
        assert "expected a file beside it" in message(cli(model, exported, blockset_8))


def test_names_settle_what_shapes_do_not(foreign: Foreign, exported: Path, blockset_8: Path) -> None:
    graph = foreign.proto.graph
    graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["n", 3]))
    graph.node.append(helper.make_node("Neg", ["logits"], ["more"]))
    model = foreign.save()
    assert "--output-name" in message(cli(model, exported, blockset_8))
    assert cli(model, exported, blockset_8, "--output-name", "logits").exit_code == 0
    assert cli(model, exported, blockset_8, "--output-name", "more").exit_code == 1
    assert "no 'y' that fits" in message(cli(model, exported, blockset_8, "--luma-input", "y"))


def test_a_single_logit_of_stage_1_stands_for_two(tmp_path: Path) -> None:
    total = helper.make_node("ReduceSum", ["x", "axes"], ["z"], keepdims=0)
    graph = helper.make_graph(
        [total],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
    )
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "sum.onnx")
    model = ForeignModel(tmp_path / "sum.onnx", Contract("1", 8, False), ForeignConfig(input_scale=0.5))
    assert model.logits(np.ones((2, 1, 16, 16), np.uint8), np.zeros(2, np.uint8)).tolist() == [[0, 128], [0, 128]]
    with pytest.raises(ToolkitError, match="none takes the qindex"):
        ForeignModel(tmp_path / "sum.onnx", Contract("1", 8, True), ForeignConfig())
    with pytest.raises(ToolkitError, match="--output-name"):
        ForeignModel(tmp_path / "sum.onnx", Contract("2", 8, False), ForeignConfig(output="other"))


def test_what_is_no_model_or_no_held_out_data_is_refused(
    exported: Path, blockset_8: Path, make_blockset: Any, tmp_path: Path
) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"\xff junk")
    assert "no ONNX file" in message(cli(tmp_path / "junk.onnx", exported, blockset_8))
    assert "no such file" in message(cli(tmp_path / "nowhere.onnx", exported, blockset_8))
    assert "no ONNX file" in message(cli(exported, exported, blockset_8))
    own = exported / "model.onnx"
    assert "10-bit luma" in message(cli(own, exported, make_blockset(tmp_path / "ten", bit_depth=10)))
    seen = make_blockset(tmp_path / "seen", splits={"test": 3, "val": 2})
    assert "trained on" in message(cli(own, exported, seen))


def test_options_of_the_one_form_do_not_go_with_the_other(exported: Path, blockset_8: Path) -> None:
    own = exported / "model.onnx"
    assert cli(own, exported, blockset_8, "--selftest").exit_code == 2
    assert cli(own, exported, blockset_8, "--provider", "cuda").exit_code == 2
    assert cli(own, exported, blockset_8, "--input-scale", "0").exit_code == 1
    run = CliRunner().invoke(main, ["parity", str(exported), str(blockset_8), "--layout", "nhwc"])
    assert run.exit_code == 2
    assert "No such option" in run.stderr
