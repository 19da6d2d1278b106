"""RD costs from the hook to the data set: silent, complete, and consistent with what libaom chose."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.pictures import CHELSEA, frame, smooth_frame

from integration.codec import native
from integration.codec.config import NODE_SIZES
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Masks
from integration.codec.libaom_build import Libraries
from integration.recording import label as labelling
from integration.recording import recorder
from integration.recording.config import LabelConfig
from toolkit.cli.main import main
from toolkit.data.blockset import COST_DTYPE, BlockSet
from toolkit.data.format import bounded
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_4, INSIDE_LARGER, NONE, SPLIT, VERT, VERT_4, VERT_B, partitions_of

MASKED = 1 << NONE | 1 << SPLIT


def encode(
    config: EncoderConfig, costs: int | tuple[int, ...] = (), mask: np.ndarray | Masks | None = None
) -> EncodedFrame:
    """`costs`: the node sizes to log."""
    with Encoder(config) as encoder:
        if costs:
            encoder.log_costs(*((costs,) if isinstance(costs, int) else costs))
        return encoder.encode(frame(config.width, config.height, config.bit_depth, 60, 60), mask)


def chosen_here(labels: np.ndarray) -> np.ndarray:
    """Whole nodes where libaom chose the partition: a NONE beside a node inside a larger block is a square of that
    block's HORZ_A ... VERT_B, for which it took the larger block's decision."""
    rows, columns = labels.shape[0] // 2 * 2, labels.shape[1] // 2 * 2
    quads = (labels[:rows, :columns] == INSIDE_LARGER).reshape(rows // 2, 2, columns // 2, 2).any((1, 3))
    beside = np.zeros(labels.shape, bool)
    beside[:rows, :columns] = quads.repeat(2, 0).repeat(2, 1)
    return (labels != INSIDE_LARGER) & ~((labels == NONE) & beside)


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(74, 70, 8, cq=25, threads=2),
        EncoderConfig(74, 70, 10, cq=25, cpu_used=0),
        EncoderConfig(74, 70, 8, cq=25, usage="allintra"),
        EncoderConfig(74, 70, 8, cq=40, cpu_used=4),
        EncoderConfig(74, 70, 8, cq=25, cpu_used=0, four_way=True),
    ],
)
def test_logging_costs_leaves_the_stream_as_it_is(libaom: Libraries, config: EncoderConfig) -> None:
    with Encoder(config, library=libaom.stock) as stock:
        expected = stock.encode(frame(config.width, config.height, config.bit_depth, 60, 60)).data
    masks = {size: np.full(config.grid(size), MASKED, np.uint16) for size in (16, 32)}
    masked = encode(config, (), masks).data
    assert encode(config).data == expected != masked
    for size in (8, 16, 32, 64, (16, 32), NODE_SIZES):
        assert encode(config, size).data == expected
        assert encode(config, size, masks).data == masked


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(320, 224, cq=20, cpu_used=1),
        EncoderConfig(320, 224, cq=32, cpu_used=0),  # superblocks of 128x128, elsewhere of 64x64
        EncoderConfig(320, 224, 10, cq=30, cpu_used=2),
        EncoderConfig(320, 224, cq=30, cpu_used=1, usage="allintra"),
        EncoderConfig(330, 230, cq=20, cpu_used=3, threads=2),
        EncoderConfig(320, 224, cq=20, cpu_used=1, four_way=True),
        EncoderConfig(320, 224, 10, cq=30, cpu_used=0, four_way=True),
    ],
)
def test_the_choice_has_the_least_cost_of_those_searched_to_the_end(config: EncoderConfig) -> None:
    result = encode(config, (16, 32))
    assert list(result.costs) == [16, 32]
    for node_size in (16, 32):
        check_least_cost(result, config, node_size)


def check_least_cost(result: EncodedFrame, config: EncoderConfig, node_size: int) -> None:
    labels, costs = result.labels[node_size], result.costs[node_size]
    assert costs.dtype == COST_DTYPE
    assert costs.shape == labels.shape == config.grid(node_size)
    rd, cut = costs["rd"], bounded(costs)
    tried = ~np.isnan(rd)
    exact = np.where(tried & ~cut, rd, np.inf)
    chosen = chosen_here(labels)
    assert chosen.sum() >= 960 / node_size, "too few decisions to mean anything"
    assert (exact.argmin(-1) == labels)[chosen].mean() >= 0.99
    best = exact.min(-1)
    # Who was given up cannot have been better, and a bound says by how little at least.
    assert (rd >= best[..., None] * (1 - 1e-6))[tried & chosen[..., None]].all()
    assert cut.any(), "nothing was cut short"
    assert not (cut & ~tried).any()
    seconds = costs["seconds"]
    assert (seconds[..., : VERT + 1][tried[..., : VERT + 1]] > 0).all()
    assert not seconds[~tried].any()
    assert np.isin([HORZ_4, VERT_4], labels).any() == config.four_way
    assert tried[..., HORZ_4:].any() == config.four_way


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(
    ("config", "smooth", "least"),
    [
        (EncoderConfig(320, 224, cq=20), False, {8: 60, 64: 15}),
        (EncoderConfig(320, 224, 10, cq=20, cpu_used=2, threads=2), False, {8: 20, 64: 15}),
        (EncoderConfig(320, 224, cq=20, usage="allintra"), False, {8: 60, 64: 15}),
        (EncoderConfig(384, 256, cq=45, cpu_used=0), True, {64: 18, 128: 6}),
        (EncoderConfig(384, 256, 10, cq=45, cpu_used=0), True, {64: 14, 128: 6}),
    ],
)
def test_the_choice_has_the_least_cost_at_the_smallest_and_the_largest_nodes(
    config: EncoderConfig, smooth: bool, least: dict[int, int]
) -> None:
    """Superblocks of 64x64 or 128x128 are among them, around which there is no square."""
    picture = (smooth_frame if smooth else partial(frame, top=60, left=60))(
        config.width, config.height, config.bit_depth
    )
    with Encoder(config) as encoder:
        encoder.log_costs(*least)
        result = encoder.encode(picture)
    assert result.superblock == max(64, *(size for size in least))
    for size, decisions in least.items():
        labels, costs = result.labels[size], result.costs[size]
        tried, cut = ~np.isnan(costs["rd"]), bounded(costs)
        exact = np.where(tried & ~cut, costs["rd"], np.inf)
        chosen = chosen_here(labels)
        assert chosen.sum() >= decisions, "too few decisions to mean anything"
        assert (exact.argmin(-1) == labels)[chosen].mean() >= 0.99
        assert (costs["rd"] >= exact.min(-1)[..., None] * (1 - 1e-6))[tried & chosen[..., None]].all()
        assert set(np.flatnonzero(tried.any((0, 1)))) <= set(partitions_of(size))
        assert (costs["seconds"][chosen].max(-1) > 0).all()
        assert len(np.unique(labels[chosen])) >= (3 if size == (64 if smooth else 8) else 1)


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("threads", [1, 2])
def test_costs_of_all_node_sizes_are_those_of_an_encode_each(threads: int) -> None:
    config = EncoderConfig(136, 128, cq=45, cpu_used=0, threads=threads)
    together = encode(config, NODE_SIZES).costs
    for size in NODE_SIZES:
        alone = encode(config, size).costs[size]
        for name in ("rd", "bound"):
            np.testing.assert_array_equal(together[size][name], alone[name])
        assert together[size]["seconds"].any()


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("threads", [1, 2])
def test_costs_of_both_node_sizes_in_one_encode_are_those_of_an_encode_each(threads: int) -> None:
    config = EncoderConfig(200, 140, cq=20, threads=threads, four_way=True)
    both = encode(config, (16, 32)).costs
    assert list(both) == [16, 32]
    for size in (16, 32):
        alone = encode(config, size).costs[size]
        for name in ("rd", "bound"):
            np.testing.assert_array_equal(both[size][name], alone[name])
        assert both[size]["seconds"].any()


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("node_size", [16, 32])
def test_nodes_cut_by_the_edge_and_partitions_that_a_mask_forbids_have_no_cost(node_size: int) -> None:
    config = EncoderConfig(136, 72, cq=20)
    result = encode(config, node_size, {node_size: np.full(config.grid(node_size), MASKED, np.uint16)})
    assert result.kept_nodes == 0
    assert list(result.costs) == [node_size]
    tried = ~np.isnan(result.costs[node_size]["rd"])
    assert not tried[72 // node_size :].any()
    assert not tried[:, 136 // node_size :].any()
    assert not tried[..., [HORZ, VERT]].any()
    assert not tried[..., VERT + 2 : VERT_B + 1].any()
    assert tried[..., SPLIT].any()


@pytest.mark.usefixtures("libaom")
def test_a_split_costs_what_its_quarters_cost() -> None:
    config = EncoderConfig(320, 224, cq=20)
    large, small = encode(config, 32), encode(config, 16).costs.get(16)
    dear = large.costs.get(32)
    assert dear is not None
    assert small is not None
    cut, best = bounded(small), np.where(np.isnan(small["rd"]) | bounded(small), np.inf, small["rd"]).min(-1)
    quarters = best.reshape(7, 2, 10, 2).sum((1, 3))
    split = large.labels[32] == SPLIT
    assert split.sum() >= 20
    assert cut.any()
    # The rate of the partition symbol comes on top: a few percent at the most.
    ratio = dear["rd"][..., SPLIT][split] / quarters[split]
    assert ratio.min() >= 1
    assert ratio.max() < 1.05
    # The node's seconds hold those of the quarters, in another run.
    inside = np.nansum(small["seconds"], -1).reshape(7, 2, 10, 2).sum((1, 3))
    assert 0.5 < dear["seconds"][..., SPLIT][split].sum() / inside[split].sum() < 2


@pytest.mark.usefixtures("libaom")
def test_where_nothing_was_finished_the_bound_is_what_the_search_had_to_beat() -> None:
    config = EncoderConfig(320, 224, cq=40)
    masks = {16: np.full(config.grid(16), 1 << HORZ, np.uint16)}
    small, large = encode(config, 16, masks).costs.get(16), encode(config, 32, masks).costs.get(32)
    assert small is not None
    assert large is not None
    tried = ~np.isnan(small["rd"])
    given_up = (tried.any(-1) & ~(tried & ~bounded(small)).any(-1)).reshape(7, 2, 10, 2).swapaxes(1, 2)
    last = given_up.reshape(7, 10, 4)[..., 3]
    assert last.sum() >= 20
    # The last quarter of a split had to beat the larger node's NONE, less what the other quarters cost.
    least = np.where(tried, small["rd"], np.inf).min(-1).reshape(7, 2, 10, 2).sum((1, 3))
    ratio = least[last] / large["rd"][..., NONE][last]
    assert ratio.min() > 0.95, "the rate of the split's own symbol is all that is missing"
    assert ratio.max() < 1.05


@pytest.mark.usefixtures("libaom")
def test_costs_are_those_of_the_last_frame_and_the_same_in_every_run() -> None:
    config = EncoderConfig(128, 96, cq=25)
    alone = encode(config, 16).costs.get(16)
    assert alone is not None
    with Encoder(config) as encoder:
        assert encoder.encode(frame(128, 96)).costs == {}
        encoder.log_costs()
        again = encoder.encode(frame(128, 96, 8, 60, 60)).costs.get(16)
        encoder.log_costs(32)
        large = encoder.encode(frame(128, 96, 8, 60, 60)).costs.get(32)
    assert again is not None
    assert large is not None
    expected = encode(config, 32).costs.get(32)
    assert expected is not None
    np.testing.assert_array_equal(large["rd"], expected["rd"])
    for name in ("rd", "bound"):
        np.testing.assert_array_equal(again[name], alone[name])


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("node_size", [16, 32])
def test_inter_frames_have_no_costs(node_size: int) -> None:
    with Encoder(EncoderConfig(64, 48, cq=30, keyint=2)) as encoder:
        encoder.log_costs(node_size)
        key, inter = (encoder.encode(frame(64, 48, left=60 + i)) for i in range(2))
    assert not inter.intra
    assert list(key.costs) == [node_size]
    assert list(inter.costs) == [node_size]
    assert not np.isnan(key.costs[node_size]["rd"]).all()
    assert np.isnan(inter.costs[node_size]["rd"]).all()
    assert not inter.costs[node_size]["seconds"].any()


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("cpu_used", [0, 2])
def test_costs_and_rows_of_one_search_are_those_of_a_search_each_and_agree(cpu_used: int) -> None:
    config = EncoderConfig(192, 128, cq=35, cpu_used=cpu_used)

    def recorded(costs: bool, rows: bool) -> tuple[EncodedFrame, np.ndarray]:
        with Encoder(config) as encoder:
            if costs:
                encoder.log_costs(*NODE_SIZES)
            if rows:
                encoder.record_search()
            return encoder.encode(frame(192, 128)), encoder.search_rows().copy()

    (both, rows), (alone, none), (plain, only) = recorded(True, True), recorded(True, False), recorded(False, True)
    assert both.data == alone.data == plain.data
    assert len(none) == 0
    rows["seconds"] = only["seconds"] = 0
    assert rows.tobytes() == only.tobytes()
    units = []
    for size in NODE_SIZES:
        for name in ("rd", "bound"):
            np.testing.assert_array_equal(both.costs[size][name], alone.costs[size][name])
        own = rows[rows["side"] == size]
        costs = both.costs[size][own["row"] // size, own["column"] // size]
        known = np.isfinite(own["bits"])
        assert not np.isnan(costs["rd"][known]).any(), "what has bits was tried"
        assert not bounded(costs)[known].any(), "and searched to its end"
        units.append(costs["rd"][known] / own["bits"][known])
    rdmult = np.concatenate(units)
    assert len(rdmult) > 300
    np.testing.assert_allclose(rdmult, np.median(rdmult), rtol=1e-4)


def test_costs_that_nobody_logged_are_refused(libaom: Libraries) -> None:
    config = EncoderConfig(64, 48)
    with (
        Encoder(config, library=libaom.stock) as stock,
        pytest.raises(ToolkitError, match="without the hook logs no costs"),
    ):
        stock.log_costs()
    with Encoder(config) as encoder:
        encoder.encode(frame(64, 48))
        target = np.empty(config.grid(16), native.NODE_COSTS)
        library, handle, memory = encoder._library, encoder._handle, target.ctypes.data
        assert library.av1part_costs(handle, 16, memory, 3, 4) == -4, "never switched on"
        encoder.log_costs()
        assert library.av1part_costs(handle, 16, memory, 3, 4) == -4, "no frame since"
        encoder.encode(frame(64, 48))
        assert library.av1part_costs(handle, 16, memory, 4, 3) == -6
        assert library.av1part_costs(handle, 16, memory, 3, 4) == 0
        assert library.av1part_costs(handle, 32, memory, 2, 2) == -4, "the other size is recorded"
        assert library.av1part_costs(handle, 24, memory, 1, 1) == library.av1part_log_costs(handle, 4) == -1
        assert library.av1part_costs(None, 16, memory, 3, 4) == library.av1part_log_costs(None, 16) == -1
        with pytest.raises(ToolkitError, match="size 0, expected one of 8, 16"):
            encoder.log_costs(0)


@pytest.mark.usefixtures("libaom")
def test_a_labelled_set_keeps_costs_beside_its_blocks(tmp_path: Path) -> None:
    config = LabelConfig(cq=(30, 50), cpu_used=2, size=(100, 80), split="train", jobs=1, with_costs=True)
    labelling.label([CHELSEA], tmp_path / "set", config)
    found = BlockSet.load(tmp_path / "set")
    assert found.costs is not None
    clip = recorder.make_pieces(tmp_path, recorder.identify([CHELSEA]), (labelling.BlockView(config),), "")[1].open()
    with Encoder(EncoderConfig(clip.width, clip.height, cq=50, cpu_used=2, four_way=True)) as encoder:
        encoder.log_costs()
        coded = encoder.encode(next(clip.frames()))
    assert list(coded.costs) == [16]
    index = np.flatnonzero(found.blocks["qindex"] == coded.qindex)
    blocks = found.blocks[index]
    direct = coded.costs[16][blocks["row"] // 16, blocks["column"] // 16]
    np.testing.assert_array_equal(found.costs[index]["rd"], direct["rd"])
    np.testing.assert_array_equal(found.costs[index]["bound"], direct["bound"])
    assert found.costs["seconds"].any()

    one = found.split_blocks("train", "1", limit=7, seed=3)
    two = found.take(found.split_index("train", "1")[::-1])
    assert one.costs is not None
    assert two.costs is not None
    where = {(b["row"], b["column"], b["qindex"]): c["rd"] for b, c in zip(found.blocks, found.costs, strict=True)}
    for some in (one, two, two[np.arange(3)], two[two.partition == NONE]):
        for r, c, q, cost in zip(some.row, some.column, some.qindex, some.costs, strict=True):
            np.testing.assert_array_equal(where[r, c, q], cost["rd"])

    info = json.loads(CliRunner().invoke(main, ["data", "info", str(found.path), "--json"]).stdout)
    assert info["cheapest_chosen"] >= 0.9
    info = info["costs"]
    assert 0 < info["SPLIT"]["exact"] <= info["SPLIT"]["tried"] <= 1
    assert 0 < info["HORZ_4"]["exact"] <= info["HORZ_4"]["tried"] < 1
    assert "searched to the end" in CliRunner().invoke(main, ["data", "info", str(found.path)]).stdout


def test_pieces_with_costs_are_not_those_without(tmp_path: Path) -> None:
    files, with_costs = recorder.identify([CHELSEA]), LabelConfig(cq=(30,))
    stems = {
        piece.folder
        for c in (with_costs, replace(with_costs, with_costs=False))
        for piece in recorder.make_pieces(tmp_path, files, (labelling.BlockView(c),), "")
    }
    assert len(stems) == 2
