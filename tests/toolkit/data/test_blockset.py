import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sealed import write_json

from toolkit.data.blockset import BLOCK_DTYPE, COST_DTYPE, Blocks, BlockSet, luma_dtype
from toolkit.data.format import check_blocks
from toolkit.data.write import Source, histogram, make_records, write_blockset
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file
from toolkit.partition import INSIDE_LARGER, STAGES


@st.composite
def contents(draw: st.DrawFn) -> tuple[list[Source], np.ndarray, int]:
    """Any sound content: 1 to 3 sources of any small size, some nodes labelled at some qindexes."""
    bit_depth = draw(st.sampled_from([8, 10, 12, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sources, records = [], []
    for index in range(draw(st.integers(1, 3))):
        shape = draw(st.tuples(st.integers(1, 2), st.integers(16, 50), st.integers(16, 50)))
        luma = rng.integers(0, 1 << bit_depth, shape).astype(luma_dtype(bit_depth))
        sources.append(Source(f"s{index}", draw(st.sampled_from(["train", "val", "test"])), f"{index:064x}", luma))
        for f, r, c in np.ndindex(shape[0], shape[1] // 16, shape[2] // 16):
            for qindex in draw(st.sets(st.integers(0, 255), max_size=2)) | ({7} if not records else set()):
                records.append((index, f, 16 * r, 16 * c, qindex, draw(st.sampled_from([*range(10), 255]))))
    blocks = make_records(*np.array(records).T)
    return sources, rng.permutation(blocks), bit_depth


@given(content=contents())
def test_a_blockset_round_trips(tmp_path_factory: pytest.TempPathFactory, content: tuple[Any, ...]) -> None:
    sources, blocks, bit_depth = content
    path = tmp_path_factory.mktemp("set") / "data"
    write_blockset(path, sources, blocks, bit_depth, {"name": "x"}, excluded={"edge": 3})
    data = BlockSet.load(path)
    assert data.blocks.tobytes() == blocks.tobytes()
    assert data.bit_depth == bit_depth
    assert data.manifest["excluded"] == {"edge": 3}
    for index, source in enumerate(sources):
        assert data.luma(index).dtype == source.luma.dtype
        assert np.array_equal(data.luma(index), source.luma)
    taken = data.take(np.arange(len(blocks)))
    for i, b in enumerate(blocks):
        r, c = int(b["row"]), int(b["column"])
        assert np.array_equal(taken.luma[i, 0], sources[b["source"]].luma[b["frame"], r : r + 16, c : c + 16])
    counts = [n for q in data.manifest["histogram"].values() for ids in q.values() for n in ids.values()]
    assert sum(counts) == len(blocks)


@pytest.mark.parametrize("stage", [None, *STAGES])
def test_splits_share_no_source_and_hold_only_what_the_stage_classifies(blockset_8: Path, stage: str | None) -> None:
    data = BlockSet.load(blockset_8)
    seen: set[int] = set()
    for split in ("train", "val", "test"):
        blocks = data.split_blocks(split, stage)
        assert (blocks.partition != INSIDE_LARGER).all()
        assert (blocks.target >= 0).all()
        assert seen.isdisjoint(np.unique(blocks.source).tolist())
        seen |= set(np.unique(blocks.source).tolist())
        if stage:
            assert np.array_equal(blocks.target, STAGES[stage].targets(blocks.partition))
    assert seen == set(range(len(data.sources)))


def test_a_limited_draw_repeats_by_seed_and_keeps_the_order(blockset_10: Path) -> None:
    data = BlockSet.load(blockset_10)
    everything = data.split_index("train", "2")
    a, b = (data.split_blocks("train", "2", limit=50, seed=3) for _ in range(2))
    assert np.array_equal(a.luma, b.luma)
    assert len(a) == 50 < len(everything)
    assert not np.array_equal(a.luma, data.split_blocks("train", "2", limit=50, seed=4).luma)
    half = data.split_blocks("train", "2")[np.arange(0, 20, 2)]
    assert np.array_equal(half.luma, data.take(everything[:20:2], "2").luma)


def test_an_empty_split_says_where_to_look(make_blockset: Callable[..., Path], tmp_path: Path) -> None:
    path = make_blockset(tmp_path / "d", splits={"train": 1}, partitions=(0, 8))
    with pytest.raises(ToolkitError, match=r"val split has no block.*data info"):
        BlockSet.load(path).split_blocks("val")
    with pytest.raises(ToolkitError, match="train split has no block for stage 2"):
        BlockSet.load(path).split_blocks("train", "2")
    with pytest.raises(ToolkitError, match="expected one of train"):
        BlockSet.load(path).split_blocks("dev")


# -- what the writer refuses

LUMA = np.arange(32 * 32, dtype=np.uint8).reshape(1, 32, 32)
GOOD = Source("a", "train", "0" * 64, LUMA)
OTHER = Source("b", "val", "1" * 64, LUMA[:, ::-1])
RECORD = make_records(0, 0, 0, 0, 9, 3)


def write(tmp_path: Path, *sources: Source, blocks: np.ndarray = RECORD, bit_depth: int = 8) -> None:
    write_blockset(tmp_path / "d", sources or (GOOD,), blocks, bit_depth, {})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (replace(GOOD, luma=LUMA / np.float32(255)), "float32, expected raw code values as uint8.*scaled already"),
        (replace(GOOD, luma=np.full((1, 16, 16), np.nan)), "float64, expected raw"),
        (replace(GOOD, luma=LUMA.astype(np.uint16)), "uint16, expected raw code values as uint8"),
        (replace(GOOD, luma=LUMA.astype(np.int8)), "int8, expected raw"),
        (replace(GOOD, luma=LUMA[0]), r"expected \(frames, height, width\)"),
        (replace(GOOD, split="dev"), "split 'dev'"),
        (replace(GOOD, name="../a"), "Source name"),
        (replace(GOOD, name=""), "Source name"),
        (replace(GOOD, name="gnp.\u202eeno"), "no mark of direction"),
        (replace(GOOD, name="a\x9b2Jb"), "no control character"),
    ],
)
def test_the_writer_refuses_a_bad_source(tmp_path: Path, source: Source, message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        write(tmp_path, source)
    assert not list(tmp_path.iterdir())


def test_the_writer_refuses_code_values_beyond_the_bit_depth(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="reaches 1024, but 10 bit end at 1023"):
        write(tmp_path, replace(GOOD, luma=np.full((1, 16, 16), 1024, np.uint16)), bit_depth=10)
    with pytest.raises(ToolkitError, match="Bit depth 7"):
        write(tmp_path, bit_depth=7)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(OTHER, name="a"), "share a name"),
        (replace(OTHER, sha256=GOOD.sha256), "a .train. and b .val. are the same source in two splits"),
        (replace(OTHER, luma=GOOD.luma), "the same pixels"),
    ],
)
def test_the_writer_refuses_a_source_in_two_splits(tmp_path: Path, other: Source, message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        write(tmp_path, GOOD, other)
    write(tmp_path, GOOD, OTHER)  # and takes what differs


def test_checks_hold_across_the_parts_in_which_a_large_set_is_read() -> None:
    count = 300_000  # more than one part
    entry = {"frames": count, "height": 16, "width": 16, "split": "train"}
    blocks = make_records(0, np.arange(count), 0, 0, 9, np.arange(count) % 10)
    check_blocks(blocks, [entry], 16, "large")
    assert histogram(blocks, [entry]) == {"train": {"9": {str(k): count // 10 for k in range(10)}}}
    blocks["frame"][-3:] = [0, 1, 0]
    with pytest.raises(ToolkitError, match="3 blocks have two labels"):
        check_blocks(blocks, [entry], 16, "large")
    blocks["row"][[0, -1]] = 16
    with pytest.raises(ToolkitError, match="2 blocks lie off"):
        check_blocks(blocks, [entry], 16, "large")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (make_records(0, 0, 0, 0, 9, 10), r"unknown partition ids \[10\]; 16x16 nodes have 0 to 9"),
        (make_records(0, 1, 0, 0, 9, 3), "outside their frame"),
        (make_records(0, 0, 32, 0, 9, 3), "outside their frame"),
        (make_records(0, 0, 0, 65520, 9, 3), "outside their frame"),
        (make_records(0, 0, 8, 0, 9, 3), "off the 16x16 grid"),
        (make_records(1, 0, 0, 0, 9, 3), "names source 1"),
        (make_records(0, 0, 0, 0, [9, 9], [3, 4]), "two labels at one qindex"),
        (RECORD[:0], "holds no block"),
        (np.zeros((1, 6), np.uint8), "expected 1-D records"),
    ],
)
def test_the_writer_refuses_bad_records(tmp_path: Path, records: np.ndarray, message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        write(tmp_path, blocks=records)


@pytest.mark.parametrize(("node", "partition"), [(8, 4), (8, 8), (128, 8), (128, 9)])
def test_a_partition_that_nodes_of_the_size_do_not_have_is_refused(
    make_blockset: Callable[..., Path], tmp_path: Path, node: int, partition: int
) -> None:
    size = (2 * node, 3 * node)
    with pytest.raises(ToolkitError, match=rf"unknown partition ids .*; {node}x{node} nodes have 0 to"):
        make_blockset(tmp_path / "wrong", node=node, size=size, partitions=(0, 3, partition))
    make_blockset(tmp_path / "right", node=node, size=size)
    assert BlockSet.load(tmp_path / "right").node == node


@given(st.integers(-300, 600), st.integers(-300, 600))
def test_records_never_wrap_around(qindex: int, partition: int) -> None:
    if 0 <= qindex <= 255 and 0 <= partition <= 255:
        record = make_records(0, 0, 0, 0, qindex, partition)[0]
        assert (record["qindex"], record["partition"]) == (qindex, partition)
    else:
        with pytest.raises(ToolkitError, match="expected 0 to 255"):
            make_records(0, 0, 0, 0, qindex, partition)


def test_records_take_whole_numbers_only() -> None:
    with pytest.raises(ToolkitError, match="qindex is float64"):
        make_records(0, 0, 0, 0, np.array([np.nan]), 3)


# -- what the reader refuses

Edit = Callable[[Path, dict[str, Any]], Any]


@pytest.fixture
def copy(blockset_8: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(blockset_8, tmp_path / "copy"))


def drop(*keys: Any) -> Edit:
    def edit(path: Path, manifest: dict[str, Any]) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        del manifest[keys[-1]]

    return edit


def put(value: Any, *keys: Any) -> Edit:
    def edit(path: Path, manifest: dict[str, Any]) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return edit


def array(name: str, make: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Replace a file by another array and mend its hash, as a careful forger (or a careless tool) would."""

    def edit(path: Path, manifest: dict[str, Any]) -> None:
        np.save(path / name, make(np.load(path / name)))
        manifest["files"][name] = sha256_file(path / name)

    return edit


def rewrite(path: Path, edit: Edit, *, sealed: bool = True) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    edit(path, manifest)
    write_json(path / "manifest.json", seal(manifest) if sealed else manifest)


PLANE = "luma/train-0.npy"
KEYS = ("format_version", "bit_depth", "block_size", "encoder", "sources", "histogram", "excluded", "files")
SOURCE_KEYS = ("name", "split", "sha256", "luma", "licence", "origin", "frames", "height", "width")


@pytest.mark.parametrize(
    "edit",
    [drop("kind"), *(drop(k) for k in KEYS), *(drop("sources", 0, k) for k in SOURCE_KEYS)]
    + [put(value, k) for k in KEYS for value in (None, "10", True)]
    + [put(value, "sources", 1, k) for k in SOURCE_KEYS for value in (None, 0, [])]
    + [put(None, "sources", 0), put({}, "files"), put("x", "files", PLANE), drop("files", PLANE)]
    + [
        put("0", "files", "../x"),
        put("../../x.npy", "sources", 0, "luma"),
        put(12, "bit_depth"),
        put(12, "block_size"),
    ],
)
def test_the_reader_answers_any_broken_manifest_with_one_clear_error(copy: Path, edit: Edit) -> None:
    rewrite(copy, edit)
    with pytest.raises(ToolkitError) as caught:
        BlockSet.load(copy)
    assert str(copy) in caught.value.message or "Bit depth" in caught.value.message


@pytest.mark.parametrize("document", ["", "[]", "null", "3", '{"kind": "av1part-blockset"}', '{"kind": NaN}'])
def test_the_reader_refuses_another_manifest(copy: Path, document: str) -> None:
    (copy / "manifest.json").write_text(document)
    with pytest.raises(ToolkitError):
        BlockSet.load(copy)


def test_an_edited_manifest(copy: Path) -> None:
    rewrite(copy, put("test", "sources", 0, "split"), sealed=False)
    with pytest.raises(ToolkitError, match=r"manifest\.json was edited"):
        BlockSet.load(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (array(PLANE, lambda a: a / np.float32(255)), "scaled already"),
        (array(PLANE, lambda a: a.astype(np.uint16)), "uint16, expected"),
        (array(PLANE, lambda a: np.full(a.shape, np.nan)), "float64, expected"),
        (array(PLANE, lambda a: a[:, 1:]), "expected"),
        (array(PLANE, lambda a: a[0]), "expected"),
        (
            array("blocks.npy", lambda a: a.astype([(n, "<i8") for n in BLOCK_DTYPE.names or ()])),
            "expected 1-D records",
        ),
        (array("blocks.npy", lambda a: a[:0]), "no block"),
        (array("blocks.npy", lambda a: np.concatenate([a, a[:1]])), "two labels"),
    ],
)
def test_arrays_that_break_the_contract(copy: Path, edit: Edit, message: str) -> None:
    rewrite(copy, edit)
    with pytest.raises(ToolkitError, match=message):
        BlockSet.load(copy)


def test_a_source_in_two_splits_is_refused_though_resealed(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    rewrite(copy, put(manifest["sources"][0]["sha256"], "sources", -1, "sha256"))
    with pytest.raises(ToolkitError, match="same source in two splits"):
        BlockSet.load(copy)


@given(data=st.data())
def test_any_changed_or_missing_byte_is_noticed(
    blockset_8: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = Path(shutil.copytree(blockset_8, tmp_path_factory.mktemp("edit") / "d"))
    file = path / data.draw(st.sampled_from(["blocks.npy", PLANE]))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    file.write_bytes(content)
    with pytest.raises(ToolkitError, match="changed or truncated"):
        BlockSet.load(path)


def test_a_missing_file_and_a_missing_folder(copy: Path) -> None:
    (copy / PLANE).unlink()
    with pytest.raises(ToolkitError, match="missing, though the manifest names it"):
        BlockSet.load(copy)
    with pytest.raises(ToolkitError, match=r"no such folder.*av1part label"):
        BlockSet.load(copy / "nowhere")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x05\x06" + b"\0" * 18])
def test_files_that_are_no_arrays(copy: Path, content: bytes) -> None:
    for name in ("blocks.npy", PLANE):
        (copy / name).write_bytes(content)
        rewrite(copy, lambda path, m, name=name: m["files"].update({name: sha256_file(path / name)}))  # type: ignore[misc]
        with pytest.raises(ToolkitError, match="array"):
            BlockSet.load(copy)


def test_blocks_in_memory_keep_the_contract(blockset_8: Path) -> None:
    blocks = BlockSet.load(blockset_8).split_blocks("val", "2")
    for field, value in [
        ("luma", blocks.luma / np.float32(255)),
        ("luma", blocks.luma[:, 0]),
        ("luma", np.uint8(3)),
        ("luma", blocks.luma[1:]),
        ("qindex", blocks.qindex.astype(np.float32)),
        ("target", blocks.target[1:]),
        ("frame", blocks.frame.astype(np.int64)),
        ("bit_depth", 10),
    ]:
        with pytest.raises(ToolkitError):
            replace(blocks, **{field: value})
    assert isinstance(blocks[:3], Blocks)


def some_costs(count: int) -> np.ndarray:
    costs = np.zeros(count, COST_DTYPE)
    costs["rd"] = np.nan
    costs["rd"][:, :4] = np.random.default_rng(0).uniform(1e6, 1e7, (count, 4))
    costs["bound"] = 1 << 3
    return costs


@pytest.mark.parametrize("place", [5, np.int64(5), np.array(5), None])
def test_one_place_is_no_index_of_blocks_and_the_error_says_what_is(blockset_8: Path, place: Any) -> None:
    blocks = BlockSet.load(blockset_8).split_blocks("train", "2")
    with pytest.raises(ToolkitError, match=r"no slice or array of places. One block is blocks\[5:6\]"):
        blocks[place]
    assert len(blocks[5:6]) == len(blocks[[5]]) == len(blocks[np.array([5])]) == 1


def test_costs_round_trip_and_are_sealed(blockset_8: Path, tmp_path: Path) -> None:
    data = BlockSet.load(blockset_8)
    assert data.costs is None
    assert data.split_blocks("val").costs is None
    sources = [Source(s["name"], s["split"], s["sha256"], data.luma(i)) for i, s in enumerate(data.sources)]
    costs = some_costs(len(data.blocks))
    write_blockset(tmp_path / "with", sources, data.blocks, 8, {"name": "x"}, costs=costs)
    found = BlockSet.load(tmp_path / "with")
    assert found.costs is not None
    assert found.costs.tobytes() == costs.tobytes()
    assert found.sha256 != data.sha256
    np.save(tmp_path / "with" / "costs.npy", costs[::-1])
    with pytest.raises(ToolkitError, match=r"costs\.npy: changed or truncated"):
        BlockSet.load(tmp_path / "with")
    (tmp_path / "with" / "costs.npy").unlink()
    with pytest.raises(ToolkitError, match=r"costs\.npy: missing"):
        BlockSet.load(tmp_path / "with")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rd", 0, "above 0"),
        ("rd", np.inf, "above 0"),
        ("seconds", -1, "at least 0"),
        ("seconds", np.nan, "at least 0"),
        ("bound", 1 << 5, "not tried is called a lower bound"),
        ("bound", 1 << 10, "not tried is called a lower bound"),
        (None, None, "costs are"),
    ],
)
def test_impossible_costs_are_refused(
    blockset_8: Path, tmp_path: Path, field: str | None, value: float, message: str
) -> None:
    data = BlockSet.load(blockset_8)
    sources = [Source(s["name"], s["split"], s["sha256"], data.luma(i)) for i, s in enumerate(data.sources)]
    costs = some_costs(len(data.blocks) - (field is None))
    if field:
        costs[field][5] = value
    with pytest.raises(ToolkitError, match=message):
        write_blockset(tmp_path / "set", sources, data.blocks, 8, {"name": "x"}, costs=costs)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("histogram", "message"),
    [
        ({"train": 1}, "histogram.train is 1, expected dict"),
        ({"train": {"x": {}}}, "something else than numbers of blocks"),
        ({"val": {"60": {"0": "a"}}}, "histogram.val.60.0 is 'a', expected int"),
    ],
)
def test_the_reader_refuses_a_histogram_of_other_things(copy: Path, histogram: Any, message: str) -> None:
    rewrite(copy, put(histogram, "histogram"))
    with pytest.raises(ToolkitError, match=message):
        BlockSet.load(copy)


@pytest.mark.parametrize("shape", ["(-1,)", "(-8, -8)", "(999999999999999999,)", "(9" + "9" * 40 + ",)", "('a',)"])
def test_the_reader_refuses_arrays_of_absurd_shapes(copy: Path, shape: str) -> None:
    header = f"{{'descr': {BLOCK_DTYPE.descr!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(470) + "\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)
    (copy / "blocks.npy").write_bytes(data)
    digest = sha256_file(copy / "blocks.npy")
    rewrite(copy, put(digest, "files", "blocks.npy"))
    with pytest.raises(ToolkitError, match=r"blocks.npy: not a NumPy array"):
        BlockSet.load(copy)


def test_the_reader_refuses_a_link_to_itself(copy: Path) -> None:
    (copy / "blocks.npy").unlink()
    (copy / "blocks.npy").symlink_to("blocks.npy")
    with pytest.raises(ToolkitError, match=r"blocks.npy(: missing| leads out of the data set)"):
        BlockSet.load(copy)


def test_a_set_that_holds_features_of_the_search_is_read_without_them(copy: Path) -> None:
    np.save(copy / "search.npy", np.zeros((3, 2), np.float32))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["search"] = {"table": "0123abcd", "features": []}
    manifest["files"]["search.npy"] = sha256_file(copy / "search.npy")
    write_json(copy / "manifest.json", seal(manifest))
    assert len(BlockSet.load(copy).blocks) == sum(
        count
        for by_qindex in manifest["histogram"].values()
        for counts in by_qindex.values()
        for count in counts.values()
    )
