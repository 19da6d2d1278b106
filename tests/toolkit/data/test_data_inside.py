"""Features of the search in a data set: each block's own, of a named table, and refused where they cannot be."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import cli, done, fails
from support.inside import NONE, SPLIT, TABLE, features_of, write_with
from support.pictures import CHELSEA

from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.media.video import open_clip
from integration.recording import label as labelling
from integration.recording.config import LabelConfig
from toolkit.data.blockset import Blocks, BlockSet, check_input
from toolkit.data.info import dataset_info
from toolkit.data.inside import INSIDE, Inside
from toolkit.data.merge import merge_blocksets
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_json, read_json, seal, sha256_file
from toolkit.search.table import POINTS


@pytest.fixture(scope="module")
def searched(data: BlockSet, tmp_path_factory: pytest.TempPathFactory) -> BlockSet:
    return BlockSet.load(write_with(tmp_path_factory.mktemp("searched") / "data", data, features_of(data)))


def test_the_points_are_those_of_the_record() -> None:
    assert {name: POINTS.index(name) for name in INSIDE} == INSIDE


@pytest.mark.parametrize(("point", "known"), [("none", NONE), ("split", SPLIT)])
def test_a_block_comes_with_the_features_known_at_the_point(searched: BlockSet, point: str, known: int) -> None:
    inside = searched.inside(point, "2")
    assert inside.features == tuple(feature.name for feature in TABLE.features[:known])
    rows = features_of(searched)
    index = searched.split_index("train", "2", inside)
    assert np.array_equal(searched.take(index, "2", inside=inside).search, rows[index, :known])
    whole = searched.split_index("train", "2")
    step = {"none": 10, "split": 5}[point]
    assert index.tolist() == [i for i in whole if i % step]
    np.testing.assert_allclose(inside.mean, rows[index, :known].mean(0), rtol=1e-4, atol=1e-5)
    assert searched.take(whole, "2").search is None, "a model before the search is shown nothing of it"


def test_what_was_never_searched_is_not_taken(searched: BlockSet) -> None:
    with pytest.raises(ToolkitError, match="never searched"):
        searched.take(np.arange(20), inside=searched.inside("none", "2"))


def test_another_table_is_refused(searched: BlockSet, data: BlockSet, tmp_path: Path) -> None:
    inside = searched.inside("none", "2")
    with pytest.raises(ToolkitError, match="holds no features of the search"):
        data.split_blocks("val", "2", inside=inside)
    with pytest.raises(ToolkitError, match=r"label --search"):
        data.inside("none", "2")
    renamed = replace(TABLE, table="ffffffff")
    other = BlockSet.load(write_with(tmp_path / "other", data, features_of(data), renamed))  # type: ignore[arg-type]
    with pytest.raises(ToolkitError, match="features of table ffffffff"):
        other.split_blocks("val", "2", inside=inside)


def test_features_of_other_blocks_are_refused(searched: BlockSet, tmp_path: Path) -> None:
    rows = features_of(searched)
    for order in (np.roll(np.arange(len(rows)), 1), np.random.default_rng(1).permutation(len(rows))):
        with pytest.raises(ToolkitError, match="are another block's"):
            write_with(tmp_path / "set", searched, rows[order])
    beside = np.flatnonzero((searched.blocks["row"] == 0) & np.isfinite(rows[:, 0]))[0]
    for place, value, said in ((1, 0.0, "another block's"), (3, np.nan, "not a number"), (3, np.inf, "not a number")):
        wrong = rows.copy()
        wrong[beside, place] = value
        with pytest.raises(ToolkitError, match=said):
            write_with(tmp_path / "set", searched, wrong)
    with pytest.raises(ToolkitError, match="expected float32"):
        write_with(tmp_path / "set", searched, rows[:-1])
    assert not (tmp_path / "set").exists()


def test_a_set_whose_features_were_changed_is_refused(searched: BlockSet, tmp_path: Path) -> None:
    path = write_with(tmp_path / "set", searched, features_of(searched))
    rows = np.load(path / "search.npy")
    np.save(path / "search.npy", rows[np.random.default_rng(0).permutation(len(rows))])
    with pytest.raises(ToolkitError, match="changed or truncated"):
        BlockSet.load(path)
    manifest = read_json(path / "manifest.json")
    manifest["files"]["search.npy"] = sha256_file(path / "search.npy")
    atomic_write_json(path / "manifest.json", seal(manifest))
    with pytest.raises(ToolkitError, match="another block's"):
        BlockSet.load(path)
    del manifest["search"]
    atomic_write_json(path / "manifest.json", seal(manifest))
    with pytest.raises(ToolkitError, match=r"search\.npy"):
        BlockSet.load(path)


@pytest.mark.parametrize("change", [{"table": "12"}, {"features": asdict(TABLE)["features"][::-1]}, {"features": []}])
def test_a_malformed_table_is_refused(searched: BlockSet, tmp_path: Path, change: dict[str, object]) -> None:
    path = write_with(tmp_path / "set", searched, features_of(searched))
    manifest = read_json(path / "manifest.json")
    manifest["search"] |= change
    atomic_write_json(path / "manifest.json", seal(manifest))
    with pytest.raises(ToolkitError, match="search"):
        BlockSet.load(path)


def test_inputs_have_what_the_model_takes_and_nothing_else(searched: BlockSet) -> None:
    inside = searched.inside("none", "2")
    blocks = searched.split_blocks("val", "2", 8, inside=inside)
    luma, qindex, search = blocks.inputs
    check_input(luma, qindex, 8, search=search, inside=inside)
    for given, asked, said in (
        (None, inside, "no features of the search"),
        (search, None, "luma and qindex alone"),
        (search[:, 1:], inside, "expected float32"),
        (search.astype(np.float64), inside, "expected float32"),
        (search * np.float32(np.nan), inside, "not a number"),
    ):
        with pytest.raises(ToolkitError, match=said):
            check_input(luma, qindex, 8, search=given, inside=asked)
    with pytest.raises(ToolkitError, match="search is float32"):
        Blocks(**{**blocks.__dict__, "search": search[1:]})


@pytest.mark.parametrize(
    "change",
    [{"point": "ab"}, {"table": "xyz"}, {"mean": [1.0]}, {"std": [0.0]}, {"mean": [float("nan")]}, {"mean": ["1"]}],
)
def test_a_malformed_point_is_refused(change: dict[str, object]) -> None:
    sound = {"point": "none", "table": "0123abcd", "features": ["a"], "mean": [0.5], "std": [2.0]}
    assert Inside.from_dict(sound, "it").to_dict() == sound
    with pytest.raises(ToolkitError):
        Inside.from_dict(sound | ({"features": ["a", "b"]} if change == {"mean": [1.0]} else change), "it")


def test_merged_sets_keep_each_block_s_features(searched: BlockSet, make_blockset: Any, tmp_path: Path) -> None:
    more = BlockSet.load(make_blockset(tmp_path / "more", seed=5, splits={"train": 2}))
    own = write_with(tmp_path / "own", more, features_of(more, 3), first="f")
    merge_blocksets([searched.path, own], tmp_path / "both")
    both = BlockSet.load(tmp_path / "both")
    assert both.search is not None
    np.testing.assert_array_equal(both.search.rows, np.concatenate([features_of(searched), features_of(more, 3)]))
    other = write_with(tmp_path / "other", more, features_of(more), replace(TABLE, table="ffffffff"), "e")
    for path in (more.path, other):
        with pytest.raises(ToolkitError, match="table of features is 0123abcd and"):
            merge_blocksets([searched.path, path], tmp_path / "never")


def test_data_info_tells_what_was_searched(searched: BlockSet, data: BlockSet) -> None:
    found = dataset_info(searched)["search"]
    assert found is not None
    assert (found["table"], found["features"]) == ("0123abcd", 7)
    assert found["searched"] == pytest.approx(0.9, abs=0.02)
    assert found["reached"] == {"none": found["searched"], "split": pytest.approx(0.8, abs=0.02)}
    assert dataset_info(data)["search"] is None
    assert "features of the search: 7 of table 0123abcd" in " ".join(done("data", "info", searched.path).stdout.split())


def test_a_labelled_node_has_the_features_that_the_record_of_the_search_has(libaom: Libraries, tmp_path: Path) -> None:
    picture = tmp_path / "part.png"
    Image.open(CHELSEA).crop((0, 0, 150, 110)).save(picture)
    config = LabelConfig(cq=(30, 50), cpu_used=2, size=None, jobs=1, split="test", search=True, nodes=(16, 32))
    labelling.label([picture], tmp_path / "set", config)
    with Encoder(EncoderConfig(150, 110, cq=50, cpu_used=2, four_way=True)) as encoder:
        encoder.record_search()
        coded = encoder.encode(next(iter(open_clip(picture).frames())))
        rows = encoder.search_rows()
    for node in (16, 32):
        data = BlockSet.load(tmp_path / "set" / f"node{node}")
        assert data.search is not None
        assert len(data.search.table.features) == rows["features"].shape[1]
        compared = 0
        for block, known in zip(data.blocks, data.search.rows, strict=True):
            if block["qindex"] != coded.qindex:
                continue
            place = (rows["row"] == block["row"]) & (rows["column"] == block["column"]) & (rows["side"] == node)
            if not place.any():
                assert np.isnan(known).all()
                continue
            (row,) = rows[place]
            np.testing.assert_array_equal(known, row["features"])
            assert block["partition"] in (row["partition"], 255)
            compared += 1
        assert compared >= 6
    plain = tmp_path / "plain"
    labelling.label([picture], plain, LabelConfig(**{**config.__dict__, "search": False}))
    for node in (16, 32):
        with_search, without = (BlockSet.load(path / f"node{node}") for path in (tmp_path / "set", plain))
        np.testing.assert_array_equal(with_search.blocks, without.blocks)
        assert without.search is None
    fails(cli("train", plain / "node16", "-o", tmp_path / "run", "--inside", "none"), "label --search")
