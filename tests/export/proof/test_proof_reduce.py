"""A failed proof is cut down to a part that still fails in plain ONNX Runtime, and is as small as it can be."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.commands import cli
from support.sealed import write_json

from export.bundle.bundle import Bundle
from export.graph.deployment import Deployment
from export.graph.profiles import PROFILES
from export.proof import reduce_worker, reproduce
from export.proof.graph_faults import FAULTS
from export.proof.reduce import Search, Values, Way
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file

OWN = ("one kernel 1% too strong", "luma divided by its peak + 1", "qindex dropped", "classes permuted")


def damaged(exported: Path, folder: Path, fault: str) -> Path:
    """A copy of the bundle whose graph has the fault, sealed again."""
    copy = Path(shutil.copytree(exported, folder / "copy"))
    proto = onnx.load(copy / "model.onnx")
    FAULTS[fault](proto)
    onnx.save(proto, copy / "model.onnx")
    manifest = json.loads((copy / "manifest.json").read_text())
    size = (copy / "model.onnx").stat().st_size
    manifest["files"]["model.onnx"] = {"bytes": size, "sha256": sha256_file(copy / "model.onnx")}
    write_json(copy / "manifest.json", seal(manifest))
    return copy


def plain(folder: Path) -> tuple[float, float]:
    """Largest error and the allowed one, as the folder's script prints them in a bare interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "reproduce.py"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    found = re.fullmatch(r"largest error (\S+) allowed (\S+)\n", run.stdout)
    assert found, run.stdout
    return float(found[1]), float(found[2])


@pytest.mark.parametrize("fault", OWN)
def test_what_is_written_still_fails_in_plain_onnx_runtime_and_is_smaller(
    exported: Path, blockset_8: Path, tmp_path: Path, fault: str
) -> None:
    bundle = damaged(exported, tmp_path, fault)
    run = cli("parity", bundle, blockset_8, "--provider", "cpu", "--limit", 20, "--json")
    assert run.exit_code == 1
    reproducer = json.loads(run.stdout)["reproducers"]["cpu-fp32"]
    folder = Path(reproducer["folder"])
    assert folder == tmp_path / "copy-failure-cpu-fp32"
    assert reproducer["message"].endswith("python reproduce.py")
    error, allowed = plain(folder)
    assert error > allowed
    about = json.loads((folder / "manifest.json").read_text())
    part, whole = (onnx.load(path / "model.onnx") for path in (folder, bundle))
    assert (about["blocks"], about["nodes"], about["of"]) == (1, len(part.graph.node), len(whole.graph.node))
    assert about["nodes"] <= 3 < about["of"]
    assert (folder / "model.onnx").stat().st_size < (bundle / "model.onnx").stat().st_size
    assert len((folder / "reproduce.py").read_text().splitlines()) == 4
    assert set(np.load(folder / "case.npz").files) == {*(v.name for v in part.graph.input), "expected"}


def test_the_command_says_where_it_is_and_the_bundle_stays_a_bundle(
    exported: Path, blockset_8: Path, tmp_path: Path
) -> None:
    bundle = damaged(exported, tmp_path, OWN[0])
    for _ in range(2):  # an earlier one is replaced
        run = cli("parity", bundle, blockset_8, "--provider", "cpu", "--limit", 20)
        assert "cpu-fp32, cut down: 1 of " in run.stdout
        assert f"cd {tmp_path / 'copy-failure-cpu-fp32'} && python reproduce.py\nNOT PASSED" in run.stdout
    assert not Bundle.load(bundle).proven("cpu")


def test_a_healthy_bundle_leaves_nothing_beside_it(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    run = cli("parity", copy, blockset_8, "--provider", "cpu", "--limit", 20, "--json")
    assert "reproducers" not in json.loads(run.stdout)
    assert list(tmp_path.iterdir()) == [copy]


def chain(length: int) -> onnx.ModelProto:
    """A graph x -> v1 -> ... -> y of operators Abs, each with a shortcut from x to its output."""
    names = ["x", *(f"v{i}" for i in range(1, length)), "y"]
    nodes = []
    for i in range(length):
        nodes.append(helper.make_node("Abs", [names[i]], [f"a{i}"]))
        nodes.append(helper.make_node("Add", [f"a{i}", "x"], [names[i + 1]]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "chain", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def values_of(length: int, x: np.ndarray) -> Values:
    found: Values = {}
    value = x.astype(np.float64)
    for i in range(length):
        found[f"a{i}"] = value
        value = value + x
        found[f"v{i + 1}" if i + 1 < length else "y"] = value
    return found


@pytest.mark.parametrize(("wrong", "nodes"), [(("Abs",), 1), (("Abs", "Add"), 2), (("Add", "Abs", "Add"), 3)])
def test_a_runtime_that_errs_on_some_operators_in_a_row_is_cut_down_to_these(
    wrong: tuple[str, ...], nodes: int
) -> None:
    """It computes wrong only where the operators follow each other, as a fusion would."""
    x = np.ones((1, 4), np.float32)
    exact = values_of(6, x)

    def run(model: bytes, feed: Values) -> Any:
        proto = onnx.load_model_from_string(model)
        kinds = [node.op_type for node in proto.graph.node]
        errs = any(tuple(kinds[i : i + len(wrong)]) == wrong for i in range(len(kinds)))
        return exact[proto.graph.output[0].name] + errs

    part = Search(chain(6), {"x": x}, exact, dict.fromkeys(exact, 0.1), run).smallest()
    assert part is not None
    assert [node.op_type for node in onnx.load_model_from_string(part.model).graph.node] == list(wrong)
    assert part.nodes == nodes


def test_a_runtime_that_is_right_or_that_refuses_gives_no_part() -> None:
    x = np.ones((1, 4), np.float32)
    exact = values_of(3, x)
    proto = chain(3)
    assert Search(proto, {"x": x}, exact, dict.fromkeys(exact, 1e-6), Way().run).smallest() is None

    def refuse(model: bytes, feed: Values) -> Any:
        raise ToolkitError("no kernel")

    assert Search(proto, {"x": x}, exact, dict.fromkeys(exact, 1e-6), refuse).smallest() is None


def test_a_process_of_its_own_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for CUDA, whose switches hold for a process; here it runs the CPU."""
    x = np.ones((1, 4), np.float32)
    exact = values_of(3, x) | {"v1": values_of(3, x)["v1"] + 1}
    proto, allowed = chain(3), dict.fromkeys(exact, 1e-6)
    own = Search(proto, {"x": x}, exact | {"y": exact["y"] + 1}, allowed, Way().run).smallest()
    apart = reduce_worker.search_apart(
        proto.SerializeToString(), {"x": x}, exact | {"y": exact["y"] + 1}, allowed, PROFILES["cpu-fp32"]
    )
    assert own is not None
    assert apart is not None
    assert (apart.output, apart.error, apart.nodes, apart.model) == (own.output, own.error, own.nodes, own.model)


def test_a_failure_of_one_deployment_is_run_as_it_is_deployed() -> None:
    broken: Any = {"deployments": {"optimisation basic": {"reason": "x"}, "2 threads": {"reason": ""}}, "batches": {}}
    way = reproduce.way_of(PROFILES["cpu-fp32"], broken)
    assert way.deployed == Deployment("optimisation basic", "basic")
    assert "options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC" in reproduce.script(way, 1)
    broken["batches"] = {"7": {"reasons": ["largest error"]}}
    assert reproduce.way_of(PROFILES["cpu-fp32"], broken).deployed is None
    assert "WebGpuExecutionProvider" in reproduce.script(reproduce.way_of(PROFILES["webgpu-fp32"], broken), 1)
