"""The scripts in examples/ run as a reader would run them, and the packages export what docs/reference/api.md says."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

import av1part
from export.bundle.bundle import Bundle
from integration.codec.libaom_build import Libraries

API = (ROOT / "docs" / "reference" / "api.md").read_text()
PACKAGES = ("toolkit", "export", "integration")


def example(name: str, *words: object) -> str:
    """Run a script of examples/ in a process of its own; returns what it prints."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(code: str) -> str:
    """Run code in a fresh interpreter; returns what it prints."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_read_blockset_shows_the_embedded_set() -> None:
    printed = example("read_blockset", "--limit", 50)
    assert "24 sources, 131,588 labels of 16x16 nodes" in printed
    assert "val, Stage 2: luma uint8 (50, 1, 16, 16)" in printed


def test_a_model_is_trained_exported_proven_and_masks_a_frame(tmp_path: Path, libaom: Libraries) -> None:
    tiny = ["--epochs", 3, "--limit-train", 3000, "--limit-val", 400, "--blocks", 40]
    printed = example("train_and_export", tmp_path, *tiny)
    assert "proof: passed, 0 decisions differ" in printed
    assert Bundle.load(tmp_path / "bundle").proven("cpu")

    printed = example("mask_frame", tmp_path / "bundle", tmp_path / "pipe", "--size", "128x96", "--drop-ab-below", 0.9)
    assert "mask: uint16 (6, 8)" in printed
    masked = re.findall(r"(without|with) masks: (\d+) bytes at qindex 128, (\d+) nodes masked", printed)
    assert [name for name, _, _ in masked] == ["without", "with"]
    assert [int(nodes) > 0 for _, _, nodes in masked] == [False, True]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "examples").glob("*.py")))
def test_an_example_is_short_and_uses_public_names_alone(name: str) -> None:
    text = (ROOT / "examples" / f"{name}.py").read_text()
    assert len(text.splitlines()) < 60
    used = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    assert not [node for node in used if str(node.module).split(".")[0] in PACKAGES]
    ours = [node for node in used if node.module == "av1part"]
    assert ours
    for node in ours:
        assert {alias.name for alias in node.names} <= set(dir(av1part))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_typed_and_documented(name: str) -> None:
    package = importlib.import_module(name)
    tree = ast.parse(Path(str(package.__file__)).read_text())
    typed = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == package._HOME  # what mypy sees is what is imported
    assert set(package.__all__) - {"__version__"} == set(typed)
    documented = re.findall(r"^### `(\w+)", API, re.MULTILINE)
    for public in typed:
        assert callable(getattr(package, public))
        assert public in documented
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # noqa: B018


@pytest.mark.parametrize("name", PACKAGES)
def test_documented_signatures_name_real_parameters(name: str) -> None:
    package, checked = importlib.import_module(name), 0
    for public in set(package.__all__) - {"__version__"}:
        found = re.search(rf"^    {public}\((.*?)\)\s", API, re.MULTILINE | re.DOTALL)
        if found is None:
            continue  # opened with a method, such as BlockSet.load
        written = re.findall(r"(?:^|, |\s)(\w+)(?::|=)", re.sub(r"\(.*?\)+|\[.*?\]+", "", found[1]))
        written += [word for word in re.split(r",\s*", found[1]) if word.isidentifier()]
        assert set(written) <= set(inspect.signature(getattr(package, public)).parameters), public
        assert written or not found[1]
        checked += 1
    assert checked >= 4


def test_importing_the_packages_imports_neither_torch_nor_onnxruntime() -> None:
    code = "import sys, toolkit, export, integration; print([m for m in ('torch', 'onnxruntime') if m in sys.modules])"
    assert python(code) == "[]\n"


def test_one_package_has_all_public_names() -> None:
    assert python("import sys, av1part; print('torch' in sys.modules, 'toolkit' in sys.modules)") == "False False\n"
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            assert getattr(av1part, name) is getattr(package, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        av1part.nonsense  # noqa: B018
    assert all((ROOT / name / "py.typed").is_file() for name in ("av1part", *PACKAGES))


def test_a_foreign_toolkit_is_named_or_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "toolkit.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "script.py").write_text("import av1part\nprint(av1part.BlockSet)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    settings = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([sys.executable, "-m", "av1part", "--version"], **settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("av1part, version")
    (tmp_path / "toolkit.py").write_text("")
    done = subprocess.run([sys.executable, "script.py"], **settings)
    assert done.returncode == 1
    assert f"{tmp_path / 'toolkit.py'} is imported in place of av1part's own toolkit" in done.stderr


def test_a_pruner_in_the_box_is_chosen_and_opened_without_torch() -> None:
    code = (
        "import sys, av1part\n"
        "card, row = av1part.choose('photographs', 8, 'good', 2)\n"
        "pruner = av1part.PrunerBundle.load(card.path)\n"
        "assert card.name in [c.name for c in av1part.cards()] and row.gains and pruner.price == card.price\n"
        "av1part.record, av1part.SearchSet, av1part.RecordConfig()\n"
        "print([m for m in ('torch', 'sklearn', 'onnxruntime') if m in sys.modules])"
    )
    assert python(code) == "[]\n"
