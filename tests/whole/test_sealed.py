"""One reader for every sealed document: the same refusals, whatever lies in the folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

import pytest
from support.sealed import write_json

from export.bundle.bundle import Bundle
from export.bundle.report import load_report
from integration.pipeline.pipeline import read_manifest
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import read_json, seal
from toolkit.sealed import SealedFolder, check_names
from toolkit.shapes import Count, shaped


class Inner(TypedDict):
    n: float


class Thing(TypedDict):
    a: Inner
    flag: bool
    names: list[str]


GOOD: dict[str, Any] = {"kind": "k", "format_version": 1, "a": {"n": 1}, "flag": True, "names": []}


def read(file: Path) -> dict[str, Any]:
    return cast(dict[str, Any], SealedFolder("k", 1, Thing, "a thing's", "Make it again.", file.name).read(file.parent))


def write(folder: Path, document: Any) -> Path:
    file = folder / "x.json"
    write_json(file, document)
    return file


def test_what_was_sealed_is_read(tmp_path: Path) -> None:
    assert read(write(tmp_path, seal(GOOD)))["a"] == {"n": 1}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "not a thing's .kind 'list', expected 'k'"),
        (seal({**GOOD, "kind": "other"}), "not a thing's .kind 'other'"),
        (seal({**GOOD, "format_version": 2}), "format version 2, this av1part reads 1"),
        (seal({**GOOD, "format_version": True}), "format version True"),
        (seal({**GOOD, "format_version": 1.0}), "format version 1.0"),
        ({**seal(GOOD), "names": ["x"]}, "was edited"),
        (seal({**GOOD, "a": []}), r"a is \[\], expected dict"),
        (seal({**GOOD, "a": {}}), "a.n is None, expected int or float"),
        (seal({**GOOD, "a": {"n": True}}), "a.n is True"),
        (seal({**GOOD, "flag": 1}), "flag is 1, expected bool"),
        (seal({**GOOD, "names": ["x", 1]}), r"names\[1\] is 1, expected str"),
    ],
)
def test_anything_else_is_refused_with_a_remedy(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(ToolkitError, match=f"{message}.*Make it again"):
        read(write(tmp_path, document))


class Shelf(TypedDict):
    by_name: dict[str, dict[str, Count]]
    size: NotRequired[int | None]
    colour: NotRequired[Literal["red", "blue"]]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "It is list, expected an object"),
        ({"by_name": []}, r"by_name is \[\], expected dict"),
        ({"by_name": {"x": {}, "y": 7}}, "by_name.y is 7, expected dict"),
        ({"by_name": {"x": {"p": 1}, "y": {"q": 0, "r": -1}}}, "by_name.y.r is -1, expected 0 or more"),
        ({"by_name": {"x": {"p": "1"}}}, "by_name.x.p is '1', expected int"),
        ({"by_name": {}, "size": "1"}, "size is '1', expected int or NoneType"),
        ({"by_name": {}, "colour": "green"}, "colour is 'green', expected one of red, blue"),
    ],
)
def test_a_refusal_names_the_place_what_is_there_and_what_was_expected(document: Any, message: str) -> None:
    assert shaped({"by_name": {"x": {"p": 1}}, "size": None, "more": 1}, Shelf, "It", "Mend it.")["by_name"]
    with pytest.raises(ToolkitError, match=f"{message}. Mend it"):
        shaped(document, Shelf, "It", "Mend it.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 1}', "the key 'a' twice"),
        ('{"b": [{"a": {"c": 1, "c": 2}}]}', "the key 'c' twice"),
        ('{"a": NaN}', "the number NaN is not finite"),
        ('{"a": -Infinity}', "not finite"),
        ('{"a": 9223372036854775809}', "larger than any count"),
        ('{"a": 1e999}', "the number 1e999 is not finite"),
        ("1" * 5000, "not readable as JSON"),
    ],
)
def test_json_that_readers_would_read_differently_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ToolkitError, match=message):
        read_json(tmp_path / "x.json")


def test_a_pipe_a_device_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for file in (tmp_path / "pipe", tmp_path / "endless", tmp_path):
        with pytest.raises(ToolkitError, match="expected an ordinary file"):
            read_json(file)
    with pytest.raises(ToolkitError, match="larger than 10 bytes"):
        read_json(write(tmp_path, GOOD), 10)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b" ",
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: json.dumps(dict(reversed(json.loads(data).items())), indent=1).encode() + b"\n",
        lambda data: data.replace(b"1", b"1.0e0", 1),
        lambda data: data.replace(b"kind", b"\\u006bind", 1),
    ],
)
def test_equal_values_in_other_bytes_are_refused(
    blockset_8: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    file = write(tmp_path, seal(GOOD))
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ToolkitError, match="was edited"):
        read(file)
    copy = Path(shutil.copytree(blockset_8, tmp_path / "data"))
    (copy / "manifest.json").write_bytes(change((copy / "manifest.json").read_bytes()))
    with pytest.raises(ToolkitError, match=r"was edited|not readable|format version"):
        BlockSet.load(copy)


def test_a_document_too_deep_to_be_written_is_refused(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(600):
        deep = [deep]
    file = tmp_path / "x.json"
    file.write_text(json.dumps(seal({**GOOD, "more": deep})))
    with pytest.raises(ToolkitError, match=r"was edited|not readable"):
        read(file)


@pytest.mark.parametrize("name", ["x", "luma/x.npy", "luma/below/x", ".manifest.json.1f", ".lock", "Blocks.npy", "y/"])
def test_only_the_known_names_may_lie_in_a_folder(blockset_8: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(blockset_8, tmp_path / "data"))
    (copy / "README.md").write_text("Mine.")
    assert len(BlockSet.load(copy).blocks)
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).mkdir() if name.endswith("/") else (copy / name).touch()
    with pytest.raises(ToolkitError, match="does not belong in the folder"):
        BlockSet.load(copy)
    with pytest.raises(ToolkitError, match="interrupted" if name.startswith(".") else "Remove it"):
        check_names(copy, BlockSet.load(blockset_8).manifest["files"], ["README.md"])


def test_every_manifest_is_refused_in_the_same_words(tmp_path: Path) -> None:
    for name in ("model.onnx", "checkpoint.pt", "MODEL_CARD.md"):
        (tmp_path / name).touch()
    for wording, version in (("kind 'x', expected", 1), ("format version 99, this av1part reads", 99)):
        for kind, file, reader in (
            ("av1part-bundle", "manifest.json", Bundle.load),
            ("av1part-pipeline", "manifest.json", read_manifest),
            ("av1part-blockset", "manifest.json", BlockSet.load),
            ("av1part-parity", "parity.json", lambda path: load_report(path, "0")),
        ):
            document = seal({"kind": "x" if version == 1 else kind, "format_version": version})
            write_json(tmp_path / file, document)
            with pytest.raises(ToolkitError, match=wording):
                reader(tmp_path)
            (tmp_path / file).unlink()
