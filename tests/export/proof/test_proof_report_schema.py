"""docs/explanation/parity.md lists exactly the entries that parity.json has."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.gpu import NO_CUDA
from support.places import ROOT

from export.bundle.bundle import Bundle
from export.bundle.quantize import quantize_bundle
from export.bundle.quantize_config import QuantizeConfig
from export.proof.config import ParityConfig
from export.proof.prove import prove
from toolkit.files import read_json

TEXT = (ROOT / "docs" / "explanation" / "parity.md").read_text()


def documented(head: str, kinds: set[str]) -> set[str]:
    """Entries of the table under that heading whose second column is one of these kinds."""
    table = TEXT.split(f"| {head} | in | holds |\n")[1].split("\n\n")[0].splitlines()[1:]
    rows = [row.split(" | ") for row in table]
    names = {name for row in rows if row[1] in kinds for name in re.findall(r"`(\w+)`", row[0])}
    assert {row[1] for row in rows} <= {"all", "ran", "float", "int8"}
    return names


@pytest.fixture(scope="module")
def reports(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("schema")
    single = Path(shutil.copytree(exported, folder / "single"))
    prove(single, blockset_8, ParityConfig(limit=20, batches=(1, 64), profiles=("cpu-fp32", "tensorrt")))
    eight = quantize_bundle(single, blockset_8, folder / "eight", QuantizeConfig(limit=64)).path
    prove(eight, blockset_8, ParityConfig(limit=20, batches=(1, 64)))
    assert Bundle.load(eight).report
    return {"float": read_json(single / "parity.json"), "int8": read_json(eight / "parity.json")}


@pytest.mark.parametrize(("kind", "profile"), [("float", "cpu-fp32"), ("int8", "cpu-int8")])
def test_results_have_the_documented_entries(reports: dict[str, Any], kind: str, profile: str) -> None:
    result = reports[kind]["profiles"][profile]
    assert set(result) == documented("entry of a result", {"all", "ran", kind})
    for comparison in result["batches"].values():
        assert set(comparison) == documented("entry of a comparison", {"all", kind})
    assert not result["budget_assumed"]
    names = re.findall(r"`(\w+)`", TEXT.split("the ten worst blocks: ")[1].split(" (base64)")[0])
    assert set(result["worst"][0]) == set(names)
    names = re.findall(r"`(\w+)`", next(line for line in TEXT.splitlines() if line.startswith("| `data` |")))
    assert set(result["data"]) == set(names) - {"data"}
    assert list(result["batch_variance"]) == ["1"]
    assert result["batch_variance"]["1"] < 1e-5 or kind == "int8"


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_what_was_not_run_has_the_documented_entries_and_says_that_its_budget_is_assumed(
    reports: dict[str, Any],
) -> None:
    result = reports["float"]["profiles"]["tensorrt"]
    assert set(result) == documented("entry of a result", {"all"})
    assert result["status"] == "not-run"
    assert result["budget_assumed"]


def test_the_document_has_the_documented_entries(reports: dict[str, Any]) -> None:
    table = TEXT.split("| entry | holds |\n")[1].split("\n\n")[0].splitlines()[1:]
    names = {name for row in table for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert set(reports["float"]) == names
    assert f"format version {reports['float']['format_version']}:" in TEXT
