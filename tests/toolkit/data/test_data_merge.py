"""`av1part data merge`: what was made apart is what would have been made at once, and nothing is taken twice."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.commands import cli, done, fails
from support.pictures import CHELSEA
from support.sealed import edit_manifest, mutations

from integration.recording.config import LabelConfig
from integration.recording.label import label
from integration.recording.record import RecordConfig, record
from toolkit.cli.main import main
from toolkit.data.blockset import COST_DTYPE, BlockSet
from toolkit.data.group import write_group
from toolkit.data.merge import merge_blocksets
from toolkit.data.write import Source, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.pruners.record import SearchSet

QUICK = LabelConfig(cq=(30, 50), cpu_used=4, size=None, split="train", jobs=1, with_costs=False)
ENCODER = {"name": "libaom", "version": "3.12.1", "cpu_used": 1, "cq": [30], "enable_1to4_partitions": 1}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photographs"
    folder.mkdir()
    with Image.open(CHELSEA) as cat:
        for i in range(3):
            cat.crop((60 * i, 100, 60 * i + 70, 152)).save(folder / f"part{i}.png")
    return sorted(folder.iterdir())


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def small(path: Path, *seeds: int, split: str = "train", costs: bool = True, label: int = 3, **more: Any) -> Path:
    """Set of a source of 40x36 for each seed, which decides pixels, name and hash; all its labels are `label`."""
    sources, records = [], []
    for index, seed in enumerate(seeds):
        luma = np.random.default_rng(seed).integers(0, 256, (2, 36, 40)).astype(np.uint8)
        name = more.get("name", f"source{seed}")
        sources.append(Source(name, split, f"{seed:064x}", luma, "CC0-1.0", "synthetic"))
        records += [(index, f, r, c, 120, label) for f in (0, 1) for r in (0, 16) for c in (0, 16)]
    found = np.zeros(len(records), COST_DTYPE)
    found["rd"] = 1 + np.arange(10) + sum(seeds)
    encoder = ENCODER | more.get("encoder", {})
    blocks = make_records(*np.array(records).T)
    cut = {"cut by the frame edge": len(seeds) * 2 * (9 - 4)}
    write_blockset(path, sources, blocks, 8, encoder, costs=found if costs else None, excluded=cut)
    return path


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("nodes", [(16,), (16, 32)])
def test_sets_labelled_apart_become_the_set_that_is_labelled_at_once(
    tmp_path: Path, pictures: list[Path], nodes: tuple[int, ...]
) -> None:
    config = replace(QUICK, nodes=nodes)
    label(pictures, tmp_path / "once", config)
    label(pictures[:2], tmp_path / "a", config)
    label(pictures[2:], tmp_path / "b", config)
    result = done("data", "merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "merged")
    assert result.stdout.strip() == str(tmp_path / "merged")
    assert files(tmp_path / "merged") == files(tmp_path / "once")
    fails(cli("data", "merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "merged"), "exists already")


def test_costs_splits_and_counts_come_along(tmp_path: Path) -> None:
    paths = [small(tmp_path / "a", 1, 2), small(tmp_path / "b", 3, split="val"), small(tmp_path / "c", 4, split="test")]
    assert merge_blocksets(paths, tmp_path / "m") == []
    merged = BlockSet.load(tmp_path / "m")
    assert [(s["name"], s["split"]) for s in merged.sources] == [
        ("source1", "train"), ("source2", "train"), ("source3", "val"), ("source4", "test")
    ]  # fmt: skip
    assert merged.costs is not None
    assert merged.manifest["excluded"] == {"cut by the frame edge": 40}
    apart = [BlockSet.load(path) for path in paths]
    np.testing.assert_array_equal(merged.costs, np.concatenate([s.costs for s in apart]))
    np.testing.assert_array_equal(merged.blocks["source"], np.repeat(range(4), 8))
    np.testing.assert_array_equal(merged.luma(3), apart[2].luma(0))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_sources_can_be_split_anew(tmp_path: Path) -> None:
    paths = [small(tmp_path / str(seed), seed) for seed in range(1, 5)]
    done("data", "merge", *paths, "-o", tmp_path / "m", "--split", "auto")
    assert {s["split"] for s in BlockSet.load(tmp_path / "m").sources} == {"train", "val", "test"}


def test_a_source_in_two_sets_is_taken_once_where_it_is_the_same(tmp_path: Path) -> None:
    a, b = small(tmp_path / "a", 1, 2), small(tmp_path / "b", 2, 3)
    result = done("data", "merge", a, b, "-o", tmp_path / "m")
    assert f"{a} (source2) and {b} (source2) hold the same source with the same content: taken once." in result.stderr
    merged = BlockSet.load(tmp_path / "m")
    assert [s["name"] for s in merged.sources] == ["source1", "source2", "source3"]
    assert merged.manifest["excluded"] == {"cut by the frame edge": 30}
    np.testing.assert_array_equal(merged.blocks["source"], np.repeat(range(3), 8))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"split": "val"}, "it is in train and in val"),
        ({"label": 0}, "their labels differ"),
        ({"name": "copy", "split": "test"}, "it is in train and in test"),
    ],
)
def test_a_source_in_two_sets_that_differs_is_refused(tmp_path: Path, other: dict[str, Any], why: str) -> None:
    a, b = small(tmp_path / "a", 1, 2), small(tmp_path / "b", 2, **other)
    with pytest.raises(ToolkitError, match=f"{a} .* and {b} .* hold the same source, but {why}"):
        merge_blocksets([a, b], tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_two_sources_of_one_name_keep_apart(tmp_path: Path) -> None:
    a, b = small(tmp_path / "a", 1, name="cat"), small(tmp_path / "b", 2, name="cat")
    assert "cat is called cat-2" in merge_blocksets([a, b], tmp_path / "m")[0]
    merged = BlockSet.load(tmp_path / "m")
    assert [s["name"] for s in merged.sources] == ["cat", "cat-2"]
    np.testing.assert_array_equal(merged.luma(1), BlockSet.load(b).luma(0))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"encoder": {"version": "3.6.0"}}, "version is 3.12.1 and 3.6.0"),
        ({"encoder": {"cq": [30, 50]}}, r"cq is \[30\] and \[30, 50\]"),
        ({"encoder": {"cpu_used": 2}}, "cpu-used is 1 and 2"),
        ({"encoder": {"enable_1to4_partitions": 0}}, "4-way partitions is 1 and 0"),
        ({"encoder": {"input": {"size": "640x360"}}}, "input size is None and 640x360"),
        ({"costs": False}, "RD costs is True and False"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, other: dict[str, Any], named: str) -> None:
    a, b = small(tmp_path / "a", 1), small(tmp_path / "b", 2, **other)
    with pytest.raises(ToolkitError, match=f"{a} and {b} differ: {named}"):
        merge_blocksets([a, b], tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_other_bit_depths_node_sizes_and_kinds_are_refused(tmp_path: Path, blockset_8: Path, blockset_10: Path) -> None:
    with pytest.raises(ToolkitError, match="bit depth is 8 and 10"):
        merge_blocksets([blockset_8, blockset_10], tmp_path / "m")
    fails(cli("data", "merge", blockset_8, tmp_path, "-o", tmp_path / "m"), "Expected a data set")
    assert CliRunner().invoke(main, ["data", "merge", str(blockset_8), "-o", str(tmp_path / "m")]).exit_code == 2
    a, b = small(tmp_path / "a", 1), small(tmp_path / "b", 2, encoder={"imported": {}})
    with pytest.raises(ToolkitError, match="imported labels do not say which encoder"):
        merge_blocksets([a, b], tmp_path / "m")


def test_a_damaged_set_is_refused(tmp_path: Path) -> None:
    a, b = small(tmp_path / "a", 1), small(tmp_path / "b", 2)
    with (b / "blocks.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    fails(cli("data", "merge", a, b, "-o", tmp_path / "m"), "changed or truncated")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_any_entry_of_a_manifest_sealed_again_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    a, b = small(tmp_path / "a", 1), small(tmp_path / "b", 2)
    before = set(tmp_path.rglob("*"))
    for done_to_it in mutations(a / "manifest.json"):
        words = ("-o", tmp_path / "m")
        for result in (cli("data", "info", a), cli("data", "merge", a, b, *words), cli("data", "merge", b, a, *words)):
            if result.exit_code:
                fails(result)
                assert len(result.stderr.strip().splitlines()) == 1, (done_to_it, result.stderr)
            shutil.rmtree(tmp_path / "m", ignore_errors=True)
        assert set(tmp_path.rglob("*")) == before, done_to_it


@pytest.mark.parametrize("name", ["../../x", "/x", "node17", "node16/../../x"])
def test_a_folder_of_several_node_sizes_names_no_other_folder(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        small(tmp_path / folder / "node16", len(folder) + ord(folder))
        write_group(tmp_path / folder, {"node16": tmp_path / folder / "node16"})
    edit_manifest(tmp_path / "b", lambda manifest: manifest["sets"].update({name: manifest["sets"].pop("node16")}))
    for paths in (("a", "b"), ("b", "a"), ("b", "b")):
        result = cli("data", "merge", *(tmp_path / path for path in paths), "-o", tmp_path / "m")
        fails(result, f"{tmp_path / 'b' / 'manifest.json'}: names", "expected data sets called as node16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    done("data", "merge", tmp_path / "a", tmp_path / "a", "-o", tmp_path / "m")


@pytest.mark.usefixtures("libaom")
def test_records_of_the_search_are_merged_likewise(tmp_path: Path, pictures: list[Path]) -> None:
    config = RecordConfig(cq=(30, 50), cpu_used=4, size=None, split="train", jobs=1, share=1)
    paths = [tmp_path / "a", tmp_path / "b"]
    record(pictures[:2], paths[0], config)
    record(pictures[1:], paths[1], replace(config, split="train"))
    result = done("data", "merge", *paths, "-o", tmp_path / "m")
    assert "(part1) hold the same source with the same content: taken once." in result.stderr
    merged, apart = SearchSet.load(tmp_path / "m"), [SearchSet.load(path) for path in paths]
    assert [s["name"] for s in merged.manifest["sources"]] == ["part0", "part1", "part2"]
    assert [(e.source, e.cq) for e in merged.entries] == [(k, cq) for k in range(3) for cq in (30, 50)]
    assert merged.manifest["encoder"] == apart[0].manifest["encoder"]
    expected = [f.rows for f in apart[0].frames("train")] + [f.rows for f in apart[1].frames("train")][2:]
    for found, rows in zip(merged.frames("train"), expected, strict=True):
        assert found.rows.tobytes() == rows.tobytes()
    record(pictures[2:], tmp_path / "c", replace(config, cpu_used=3))
    fails(cli("data", "merge", paths[0], tmp_path / "c", "-o", tmp_path / "n"), "cpu-used is 4 and 3")
    fails(cli("data", "merge", paths[0], small(tmp_path / "set", 1), "-o", tmp_path / "n"), "this is a data set")
    record(pictures[1:2], tmp_path / "d", replace(config, split="val"))
    fails(cli("data", "merge", paths[0], tmp_path / "d", "-o", tmp_path / "n"), "it is in train and in val")
    assert not (tmp_path / "n").exists()


@pytest.mark.usefixtures("libaom")
def test_sources_of_a_merged_record_keep_their_own_chroma_tune_size_and_share(
    tmp_path: Path, pictures: list[Path]
) -> None:
    config = RecordConfig(cq=(40,), cpu_used=6, usage="allintra", size=None, split="train", jobs=1, share=1)
    own = [config, replace(config, chroma=444, tune="iq"), replace(config, size=(64, 64), share=0.5)]
    paths = [tmp_path / name for name in "abc"]
    for path, each in zip(paths, own, strict=True):
        record(pictures[:1], path, each)
    done("data", "merge", *paths, "-o", tmp_path / "m")
    merged = SearchSet.load(tmp_path / "m")
    assert [s["name"] for s in merged.manifest["sources"]] == ["part0", "part0-2", "part0-3"]
    coded = [source["coded"] for source in merged.manifest["sources"]]
    assert [c["chroma"] for c in coded] == ["4:2:0", "4:4:4", "4:2:0"]
    assert [c.get("tune") for c in coded] == [None, "iq", None]
    assert [c["recorded"]["share"] for c in coded] == [1.0, 1.0, 0.5]
    assert [c["input"]["size"] for c in coded] == ["source", "source", "64x64"]
    assert not {"chroma", "tune", "recorded"} & merged.manifest["encoder"].keys()
    # Of the same settings it is the same source; all of one source go to one split.
    assert (
        "taken once" in done("data", "merge", tmp_path / "m", paths[1], "-o", tmp_path / "n", "--split", "val").stderr
    )
    assert SearchSet.load(tmp_path / "n").splits == ["val"] * 3
