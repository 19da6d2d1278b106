"""Records of the search from a foreign hand: each is refused in one line, by every command, and nothing is written."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import cli, done, fails
from support.records import a_source, some_rows, write_record
from support.sealed import edit_manifest, mutations, write_json

from integration.codec import native
from integration.codec.libaom_build import Libraries
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file
from toolkit.pruners.record import ROW, RecordedSource, SearchSet, check_rows
from toolkit.pruners.record import ROWS as ROWS_OF

SPLITS = ("train", "val", "test")
INTER = {"frame_kind": "inter", "kf_max_dist": 60, "lag_in_frames": 0}
ROWS = "rows/train-cq32-00000.npy"
Change = Callable[[dict[str, Any]], Any]


def three() -> list[RecordedSource]:
    return [a_source(split, split, number) for number, split in enumerate(SPLITS)]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A source in each split. Its table of features is no hook's: that is the first thing that `pruner fit` refuses."""
    return write_record(tmp_path / "record", three(), [some_rows(20, seed) for seed in range(3)])


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another record of the same settings, to be merged with."""
    return write_record(tmp_path_factory.mktemp("other") / "record", [a_source("z", "train", 9)], [some_rows(20, 9)])


def commands(record: Path, other: Path, output: Path) -> Iterator[Result]:
    """Every command that reads a record."""
    yield cli("pruner", "fit", record, "-o", output)
    yield cli("data", "merge", record, other, "-o", output)
    yield cli("data", "info", record)


def paths(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.usefixtures("libaom")
def test_any_entry_of_a_manifest_sealed_again_is_read_or_refused_in_one_line(
    record: Path, other: Path, tmp_path: Path
) -> None:
    before = paths(tmp_path)
    for done_to_it in mutations(record / "manifest.json"):
        for result in commands(record, other, tmp_path / "out"):
            if result.exit_code:
                fails(result)
                assert len(result.stderr.strip().splitlines()) == 1, (done_to_it, result.stderr)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert paths(tmp_path) == before, done_to_it


def put(value: object, *place: str | int) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        parent: Any = manifest
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value

    return change


def again(place: str, **changed: object) -> Change:
    """The first entry there once more, with these values."""
    return lambda manifest: manifest[place].append(manifest[place][0] | changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(99, "frames", 0, "source"), "source is 99, expected 0 to 2"),
        (put(-1, "frames", 0, "source"), "source is -1, expected 0 to 2"),
        (put(64, "frames", 0, "cq"), "cq is 64, expected 0 to 63"),
        (put(32.0, "frames", 0, "cq"), "cq is 32.0, expected int"),
        (put(True, "frames", 0, "frame"), "frame is True, expected int"),
        (put(-1, "frames", 0, "frame"), "frame is -1, expected 0"),
        (put(256, "frames", 0, "qindex"), "qindex is 256, expected 0 to 255"),
        (put(0, "frames", 0, "bits"), "bits is 0, expected 1 to"),
        (put(0, "frames", 0, "pixels"), "pixels is 0, expected 1 to"),
        (put(19, "frames", 0, "pixels"), "20 squares of a frame of 19 pixels"),
        (put(0.0, "frames", 0, "seconds"), "seconds are 0.0"),
        (put(1e300, "frames", 0, "seconds"), "seconds are 1e"),
        (put("rows/val-cq32-00000.npy", "frames", 0, "file"), "not in rows/train-cq32-00000.npy"),
        (put("../../../x", "sources", 0, "name"), "Source name '../../../x'"),
        (put("/x", "sources", 0, "name"), "Source name '/x'"),
        (put("val", "sources", 0, "name"), "two sources share a name, val"),
        (put("x", "sources", 0, "split"), "is in split 'x'"),
        (lambda manifest: manifest["sources"][0].pop("split"), "split is None, expected str"),
        (put("0", "sources", 0, "sha256"), "sha256 of source train is '0', no SHA-256"),
        (put("0", "sources", 0, "luma_sha256"), "luma_sha256 of source train"),
        (put(0.05, "sources", 0, "price"), "source train was recorded under a pruner"),
        (lambda manifest: manifest["frames"].pop(0), "source train has no frame"),
        (again("frames"), "two frames are one source's at one cq and place"),
        (again("sources", name="b"), "a source is there twice"),
        (put(7, "bit_depth"), "bit depth 7, expected one of"),
        (put(12, "bit_depth"), "bit depth 12, expected one of"),
        (put("3.12.1\nprice 9", "encoder", "version"), "version, usage, cpu_used or enable_1to4_partitions"),
        (put(-1, "encoder", "cpu_used"), "version, usage, cpu_used or enable_1to4_partitions"),
        (put("inter", "encoder", "frame_kind"), "kf_max_dist is None, expected int"),
        (put(["key"], "encoder", "frame_kind"), "encoder.frame_kind is"),
        (put("0" * 64, "files", "../x"), "the manifest lists '../x'"),
        (lambda manifest: manifest["files"].popitem(), "the manifest does not list 'rows/"),
        (put("f1", "features", 0, "name"), "two features share a name"),
        (put(9, "features", 51, "point"), "sorted by the point"),
    ],
)
def test_a_manifest_sealed_again_is_refused_for_what_is_wrong_in_it(
    record: Path, other: Path, tmp_path: Path, change: Change, message: str
) -> None:
    edit_manifest(record, change)
    before = paths(tmp_path)
    with pytest.raises(ToolkitError) as refused:
        SearchSet.load(record)
    assert message in refused.value.message
    for result in commands(record, other, tmp_path / "out"):
        fails(result)
    assert paths(tmp_path) == before


def array_of(rows: np.ndarray, **header: object) -> bytes:
    """A .npy file whose header says something else than what follows."""
    text = repr({"descr": ROW.descr, "fortran_order": False, "shape": rows.shape} | header).encode()
    text += b" " * (-len(text) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rows.tobytes()


def with_field(name: str, value: object) -> np.ndarray:
    rows = some_rows(20, 0)
    rows[name][3] = value
    return rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a NumPy array"),
        (b"PK\x03\x04 an archive", "not a NumPy array"),
        (array_of(some_rows(20, 0))[:-1], "not a NumPy array"),
        (array_of(some_rows(20, 0))[:30], "not a NumPy array"),
        (array_of(some_rows(20, 0), shape=(1 << 40,)), "not a NumPy array"),
        (array_of(some_rows(20, 0), shape=(-20,)), "not a NumPy array"),
        (array_of(some_rows(20, 0), descr="|O"), "not a NumPy array"),
        (array_of(some_rows(20, 0), descr="}{"), "not a NumPy array"),
        (array_of(some_rows(20, 0), shape=(4, 5)), "expected rows of a search"),
        (array_of(np.zeros(20), descr="<f8"), "expected rows of a search"),
        (with_field("seconds", np.nan), "seconds of a square are not a number from 0"),
        (with_field("seconds", -1), "seconds of a square are not a number from 0"),
        (with_field("features", np.inf), "a feature is not a number"),
        (with_field("bits", np.inf), "the cost of a chosen partition is not known"),
        (with_field("bits", np.nan), "the cost of a chosen partition is not known"),
        (with_field("bits", -1), "costs of a square are not from 0"),
        (with_field("bits", 1e30), "costs of a square are not from 0"),
        (with_field("side", 12), "none of the sides"),
        (with_field("row", -16), "outside of its frame"),
        (with_field("partition", 10), "a partition that is none of AV1's"),
        (with_field("reached", 1024), "a decision that is none of"),
        (with_field("parent", 3), "a square before the one around it"),
        (with_field("parent", -2), "a square before the one around it"),
        (with_field("quarter", 4), "quarter 4, expected 0 to 3"),
    ],
)
def test_rows_that_are_no_search_are_refused_under_a_good_hash(
    record: Path, other: Path, tmp_path: Path, content: bytes | np.ndarray, message: str
) -> None:
    if isinstance(content, bytes):
        (record / ROWS).write_bytes(content)
    else:
        np.save(record / ROWS, content)
    edit_manifest(record, put(sha256_file(record / ROWS), "files", ROWS))
    with pytest.raises(ToolkitError) as refused:
        SearchSet.load(record)
    assert str(record / ROWS) in refused.value.message
    assert message in refused.value.message
    for result in commands(record, other, tmp_path / "out"):
        fails(result)


def test_costs_of_a_search_that_was_cut_short_and_a_frame_without_a_searched_square_are_sound() -> None:
    check_rows(with_field("bits", [100, 100, np.inf, *[np.nan] * 7]), "here")
    check_rows(with_field("limit", np.nan), "here")
    check_rows(some_rows(0, 0), "here")


def test_rows_outside_of_the_record_are_refused(record: Path, tmp_path: Path) -> None:
    shutil.move(record / ROWS, tmp_path / "elsewhere.npy")
    (record / ROWS).symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(ToolkitError, match="leads out of the record"):
        SearchSet.load(record)


@pytest.mark.parametrize("key", ["sha256", "luma_sha256"])
def test_one_photograph_in_two_splits_is_refused_also_by_a_merge(tmp_path: Path, key: str) -> None:
    train, test = a_source("a", "train", 1), a_source("b", "test", 2)
    test[key] = train[key]  # type: ignore[literal-required]
    kind = "original" if key == "sha256" else "luma"
    with pytest.raises(
        ToolkitError, match=rf"a .train. and b .test. are the same source in two splits .the same {kind}"
    ):
        write_record(tmp_path / "both", [train, test], [some_rows(20, seed) for seed in range(2)])
    apart = [write_record(tmp_path / s["name"], [s], [some_rows(20, 0)]) for s in (train, test)]
    fails(cli("data", "merge", *apart, "-o", tmp_path / "m"), "hold the same source, but it is in train and in test")
    second: RecordedSource = {**test, "pruner": "7" * 64, "price": 0.05}  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ToolkitError, match=r"source b was recorded under a pruner.*Record it again with `av1part"):
        write_record(tmp_path / "second", [second], [some_rows(20, 1)])
    apart[1] = write_record(tmp_path / "again", [{**test, "split": "train"}], [some_rows(20, 0)])
    assert not (tmp_path / "m").exists()
    done("data", "merge", *apart, "-o", tmp_path / "m")
    assert [s["split"] for s in SearchSet.load(tmp_path / "m").manifest["sources"]] == ["train"]


def test_one_photograph_coded_in_two_ways_stays_in_one_split(tmp_path: Path) -> None:
    first = a_source("a", "train", 1)
    second: RecordedSource = {**first, "name": "b", "coded": {"chroma": "4:4:4"}}
    rows = [some_rows(20, seed) for seed in range(2)]
    write_record(tmp_path / "m", [first, second], rows)
    SearchSet.load(tmp_path / "m")
    with pytest.raises(ToolkitError, match=r"the same source in two splits"):
        write_record(tmp_path / "n", [first, {**second, "split": "test"}], rows)
    alike: RecordedSource = {**second, "coded": {"chroma": "4:2:0"}}
    with pytest.raises(ToolkitError, match=r"a source is there twice"):
        write_record(tmp_path / "o", [first, alike], rows, encoder={"chroma": "4:2:0"})


def test_a_record_without_hashes_of_luma_is_read_and_merged_by_its_originals(tmp_path: Path) -> None:
    sources = [a_source(name, "train", number) for number, name in enumerate("aba")]
    for source in sources:
        del source["luma_sha256"]
    sources[2] = {**sources[0], "name": "c"}
    apart = [write_record(tmp_path / s["name"], [s], [some_rows(20, 0)]) for s in sources]
    said = done("data", "merge", *apart, "-o", tmp_path / "m").stderr
    assert "hold the same source with the same content: taken once" in said
    assert [s["name"] for s in SearchSet.load(tmp_path / "m").manifest["sources"]] == ["a", "b"]


def of_hook(folder: Path, libaom: Libraries, rows: list[np.ndarray], **encoder: object) -> Path:
    """A record with the hook's own table of features."""
    hook = native.load(libaom.hook)
    kind = str(encoder.get("frame_kind", "key"))
    named = {"feature_table": native.feature_table_name(hook, kind)} | encoder
    return write_record(folder, three(), rows, table=native.feature_table(hook, kind), encoder=named)


QUICK = ("--trees", "2", "--leaves", "4", "--sides", "16", "--decisions", "stop")


def test_a_record_of_inter_frames_from_before_there_were_features_of_motion_is_refused(tmp_path: Path) -> None:
    record = write_record(tmp_path / "record", three(), [some_rows(20, seed) for seed in range(3)])
    manifest = json.loads((record / "manifest.json").read_text())
    manifest["encoder"] |= INTER
    write_json(record / "manifest.json", seal(manifest))
    with pytest.raises(ToolkitError, match=r"of 52 features, expected 78.*Record it again with `av1part record`"):
        SearchSet.load(record)


def test_frames_without_a_searched_square_are_learnt_from_judged_on_and_proven_with(
    libaom: Libraries, tmp_path: Path
) -> None:
    """A packet that only repeats a frame has none; inter records often hold some."""
    record = of_hook(tmp_path / "record", libaom, [some_rows(900, seed, "inter") for seed in range(3)], **INTER)
    manifest = json.loads((record / "manifest.json").read_text())
    for source, split in enumerate(SPLITS):
        name = f"rows/{split}-cq32-00001.npy"
        np.save(record / name, np.zeros(0, ROWS_OF["inter"]))
        manifest["frames"].append(manifest["frames"][source] | {"frame": 1, "bits": 32, "file": name})
        manifest["files"][name] = sha256_file(record / name)
    write_json(record / "manifest.json", seal(manifest))
    for model in (("--model", "trees"), ("--model", "network", "--epochs", "1")):
        said = done("pruner", "fit", record, "-o", tmp_path / model[1], *QUICK, *model).stdout
        assert "proven on 900 rows of 1 others" in said


@pytest.mark.parametrize(("split", "message"), [("val", "of the val split"), ("test", "of the test split")])
def test_a_split_without_a_square_to_decide_about_is_refused_before_the_learning(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, message: str
) -> None:
    monkeypatch.setattr("integration.pruning.fit.learn", lambda *given: pytest.fail("learnt for minutes first"))
    rows = [some_rows(900 if name != split else 0, 0) for name in SPLITS]
    record = of_hook(tmp_path / "record", libaom, rows)
    fails(cli("pruner", "fit", record, "-o", tmp_path / "p", *QUICK), message, "stop at 16x16", f"Record more {split}")
