"""The record of the search, and the pruner in it: silent while recording, sound while pruning."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.pictures import frame
from support.pruners import toy, tree

from integration.codec import native
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.inspector import inspect_packets
from integration.codec.libaom_build import Libraries
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, NONE, SPLIT, VERT
from toolkit.pruners import targets
from toolkit.pruners.record import check_features, check_rows
from toolkit.search.table import DECISIONS, POINTS, STAGES


def coded(width: int, height: int, bit_depth: int = 8, **options: int) -> bytes:
    with Encoder(EncoderConfig(width, height, bit_depth, four_way=True, **options)) as encoder:
        return encoder.encode(frame(width, height, bit_depth)).data


@pytest.fixture
def recording(libaom: Libraries) -> Iterator[Encoder]:
    with Encoder(EncoderConfig(192, 128, cq=40, cpu_used=2, four_way=True)) as encoder:
        encoder.record_search()
        yield encoder


def recorded(pruner: bytes | None, share: float = 1.0) -> tuple[bytes, np.ndarray]:
    """Stream and rows of a picture of 12 superblocks that is recorded while the pruner decides."""
    with Encoder(EncoderConfig(256, 192, cq=40, cpu_used=2, four_way=True)) as encoder:
        if pruner:
            encoder.set_pruner(pruner, price=1.0, most=1e9)
        encoder.record_search(share, seed=5)
        data = encoder.encode(frame(256, 192)).data
        return data, encoder.search_rows().copy()


def test_a_pruner_decides_alike_whether_or_not_the_search_is_recorded(libaom: Libraries) -> None:
    sides = (8, 16, 32)
    skips = toy([(side, "no_rect") for side in sides], loss=-9.0, time=9.0)
    streams = [recorded(skips, share)[0] for share in (0.5, 1.0)]
    with Encoder(EncoderConfig(256, 192, cq=40, cpu_used=2, four_way=True)) as encoder:
        encoder.set_pruner(skips, price=1.0, most=1e9)
        streams.append(encoder.encode(frame(256, 192)).data)
        taken = encoder.decisions()[1].sum()
    assert streams[0] == streams[1] == streams[2] != recorded(None)[0]
    assert taken > 40


def test_rows_say_which_decisions_a_pruner_left_open(libaom: Libraries) -> None:
    sides = (8, 16)
    plain, rows = recorded(None)[1], recorded(toy([(side, "no_rect") for side in sides], loss=-9.0, time=9.0))[1]
    check_rows(rows, "rows")
    bit = 1 << DECISIONS.index("no_rect")
    decided = np.isin(rows["side"], sides)
    rectangles = ~np.isnan(rows["bits"][:, [HORZ, VERT]]).all(axis=1)
    assert not (rows["reached"][decided] & bit).any(), "the pruner took every one"
    assert (rows["reached"][~decided] & bit).any(), "of the other sizes it is not asked about"
    assert (rows["reached"][decided] & ~np.uint16(bit)).any()
    assert (plain["reached"][np.isin(plain["side"], sides)] & bit).any()
    left = np.isin(rows["partition"], (NONE, SPLIT)) & decided & ~np.isnan(rows["bits"][:, SPLIT])
    assert left.sum() > 10
    assert not rectangles[left].any()


@pytest.mark.parametrize("cpu_used", [0, 2, 4, 6])
@pytest.mark.parametrize(("width", "height", "bit_depth"), [(128, 64, 8), (70, 90, 8), (64, 72, 10)])
def test_recording_changes_no_byte(libaom: Libraries, cpu_used: int, width: int, height: int, bit_depth: int) -> None:
    config = EncoderConfig(width, height, bit_depth, cpu_used=cpu_used, four_way=True)
    with Encoder(config) as encoder:
        encoder.record_search(0.7, seed=3)
        recorded = encoder.encode(frame(width, height, bit_depth)).data
    with Encoder(config, library=libaom.stock) as encoder:
        assert encoder.encode(frame(width, height, bit_depth)).data == recorded


def test_rows_tell_the_same_partitions_as_the_stream(recording: Encoder) -> None:
    coded = recording.encode(frame(192, 128))
    rows = recording.search_rows()
    check_rows(rows, "rows")
    assert set(rows["side"]) == {64, 32, 16, 8}
    on_path = targets.loss_caps(rows) > 0
    chosen = rows[on_path & (rows["side"] == 16)]
    assert len(chosen) > 20
    for row in chosen:
        label = coded.labels[16][row["row"] // 16, row["column"] // 16]
        assert label == row["partition"]


def test_a_parent_s_split_is_the_sum_of_its_quarters(recording: Encoder) -> None:
    recording.encode(frame(192, 128))
    rows = recording.search_rows()
    checked = 0
    for index in np.flatnonzero((rows["partition"] == SPLIT) & (rows["side"] > 8)):
        quarters = rows[rows["parent"] == index]
        assert len(quarters) == 4
        best = np.nanmin(quarters["bits"], axis=1).sum()
        signalled = rows["bits"][index, SPLIT]
        assert best == pytest.approx(signalled, rel=1e-3, abs=16)
        checked += 1
    assert checked > 3


def test_a_share_draws_whole_superblocks_and_the_seed_draws_others(libaom: Libraries) -> None:
    drawn = []
    for seed in (0, 1):
        with Encoder(EncoderConfig(256, 192, cpu_used=4)) as encoder:
            encoder.record_search(0.5, seed)
            encoder.encode(frame(256, 192))
            rows = encoder.search_rows()
        drawn.append({(r["row"] // 64, r["column"] // 64) for r in rows})
        assert 0 < len(drawn[-1]) < 12
        assert (rows["side"] == 64).sum() == len(drawn[-1])
    assert drawn[0] != drawn[1]


def test_the_table_is_sorted_and_rows_hold_features_only_once_they_are_known(recording: Encoder) -> None:
    library = native.load(Path(recording._library._name))
    table = native.feature_table(library)
    check_features(table, "the hook")
    assert len({feature.name for feature in table}) == len(table)
    recording.encode(frame(192, 128))
    rows = recording.search_rows()
    after_split = [feature.point == POINTS.index("split") for feature in table]
    without = rows[rows["seconds"][:, STAGES.index("split")] == 0]
    assert len(without)
    assert not without["features"][:, after_split].any()


def test_two_features_tell_how_plain_the_frame_is(recording: Encoder) -> None:
    recording.encode(frame(192, 128))
    rows = recording.search_rows()
    column = {feature.name: i for i, feature in enumerate(recording.features())}
    largest = rows["features"][rows["side"] == 64]
    assert len(largest) == 6
    gradients = np.exp2(largest[:, [column["gradient_horizontal"], column["gradient_vertical"]]]).mean()
    least = largest[:, column["quarter_variance_least"]].mean()
    assert np.ptp(rows["features"][:, column["frame_gradient"]]) == 0
    assert rows["features"][0, column["frame_gradient"]] == pytest.approx(np.log2(0.001 + gradients), abs=1e-4)
    assert rows["features"][0, column["frame_quarter_variance_least"]] == pytest.approx(least, abs=1e-4)


def test_a_quarter_knows_what_those_before_it_cost(recording: Encoder) -> None:
    recording.encode(frame(192, 128))
    rows = recording.search_rows()
    column = {feature.name: i for i, feature in enumerate(recording.features())}
    siblings = rows["features"][:, column["siblings_to_parent_none"]]
    assert not siblings[rows["quarter"] == 0].any()
    checked = 0
    for i in np.flatnonzero((rows["quarter"] > 0) & (rows["side"] == 16)):
        parent = rows[rows["parent"][i]]
        before = rows[(rows["parent"] == rows["parent"][i]) & (rows["quarter"] < rows["quarter"][i])]
        if np.isnan(parent["bits"][NONE]):
            assert siblings[i] == 0
            continue
        spent = np.nanmin(before["bits"], axis=1).sum() + parent["features"][column["symbol_split"]]
        assert siblings[i] == pytest.approx(min(spent / parent["bits"][NONE], 4), rel=1e-3, abs=1e-3)
        checked += 1
    assert checked > 20


def test_what_a_pruner_may_skip_is_skipped_and_counted(libaom: Libraries) -> None:
    config = EncoderConfig(192, 128, cq=40, cpu_used=1, four_way=True)
    with Encoder(config) as encoder:
        plain = encoder.encode(frame(192, 128))
    for decision in DECISIONS:
        with Encoder(config) as encoder:
            encoder.set_pruner(toy([(16, decision)], loss=-9.0, time=9.0), price=1.0, most=1e9)
            pruned = encoder.encode(frame(192, 128))
            asked, taken = encoder.decisions()
        own = asked[1, DECISIONS.index(decision)]
        assert own > 0
        assert taken[1, DECISIONS.index(decision)] == own
        assert asked.sum() == own
        if decision == "stop":
            assert not set(np.unique(pruned.labels[16])) - {0, 255, SPLIT} - set(np.unique(plain.labels[16]))
            assert pruned.data != plain.data


def test_a_pruner_that_never_skips_changes_no_byte(libaom: Libraries) -> None:
    everywhere = [(side, decision) for side in (8, 16, 32, 64) for decision in DECISIONS]
    config = EncoderConfig(128, 128, cpu_used=2, four_way=True)
    with Encoder(config) as encoder:
        encoder.set_pruner(toy(everywhere, loss=9.0, time=-9.0), price=1.0, most=1e9)
        kept = encoder.encode(frame(128, 128)).data
        asked, taken = encoder.decisions()
    assert asked.sum() > 0
    assert taken.sum() == 0
    assert kept == coded(128, 128, cpu_used=2)


def test_what_one_decision_may_lose_is_bounded(libaom: Libraries) -> None:
    config = EncoderConfig(128, 128, cpu_used=2, four_way=True)
    for most, some in ((0.5, False), (2.0, True)):
        with Encoder(config) as encoder:
            encoder.set_pruner(toy([(16, "stop")], loss=0.0, time=20.0), price=1.0, most=most)
            encoder.encode(frame(128, 128))
            _, taken = encoder.decisions()
        assert bool(taken.sum()) == some


def test_features_are_on_one_scale_at_either_bit_depth(libaom: Libraries) -> None:
    """A pruner learnt at 8 bit decides at 10 as well: what it looks at is in quantiser steps and in bits.

    Costs are not quite equal: libaom's lambda weighs rate higher at 10 bit, the more so the coarser the quantiser.
    """
    planes = frame(192, 128)
    found = []
    for bit_depth in (8, 10):
        with Encoder(EncoderConfig(192, 128, bit_depth, cq=40, cpu_used=2, four_way=True)) as encoder:
            encoder.record_search()
            encoder.encode(tuple(p.astype(np.uint16) * 4 for p in planes) if bit_depth == 10 else planes)
            found.append({tuple(row[["row", "column", "side"]]): row["features"] for row in encoder.search_rows()})
            names = [feature.name for feature in encoder.features()]
    both = sorted(found[0].keys() & found[1].keys())
    assert len(both) > 0.95 * max(map(len, found))
    own, other = (np.array([features[place] for place in both]) for features in found)
    luma = slice(names.index("variance"), names.index("above_width"))
    assert np.abs(own[:, luma] - other[:, luma]).max() < 0.05
    for name, most in (("none_rate", 0.1), ("none_cost", 0.3)):
        apart = own[:, names.index(name)] - other[:, names.index(name)]
        assert abs(np.median(apart)) < most, name


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cpu_used", [0, 3, 6])
@pytest.mark.parametrize(("width", "height", "bit_depth"), [(136, 72, 8), (66, 72, 10)])
@pytest.mark.parametrize("usage", ["good", "allintra"])
def test_skipping_all_that_may_be_skipped_leaves_a_stream_that_decodes(
    libaom: Libraries, threads: int, cpu_used: int, width: int, height: int, bit_depth: int, usage: str
) -> None:
    everywhere = [(side, decision) for side in (8, 16, 32, 64, 128) for decision in DECISIONS]
    config = EncoderConfig(width, height, bit_depth, 50, cpu_used, usage, threads, four_way=True)
    streams = []
    for _ in range(2):
        with Encoder(config) as encoder:
            encoder.set_pruner(toy(everywhere, loss=-9.0, time=9.0), price=1.0, most=1e9)
            coded = encoder.encode(frame(width, height, bit_depth))
        streams.append(coded.data)
    ((labels, _),) = inspect_packets([coded.data], width, height)
    assert np.array_equal(labels, coded.labels[16])
    assert streams[0] == streams[1]


def test_a_tree_sends_rows_left_at_its_threshold(libaom: Libraries) -> None:
    """qindex is feature 0: skip only where it is at most the frame's own."""
    config = EncoderConfig(128, 64, cq=40, cpu_used=2)
    with Encoder(config) as encoder:
        qindex = encoder.encode(frame(128, 64)).qindex
    for threshold, some in ((qindex, True), (np.nextafter(np.float32(qindex), np.float32(0)), False)):
        with Encoder(config) as encoder:
            forest = tree(feature=0, threshold=float(threshold), left=-9.0, right=9.0)
            encoder.set_pruner(toy([(16, "stop")], loss=forest, time=0.0), price=1.0, most=1e9)
            encoder.encode(frame(128, 64))
            _, taken = encoder.decisions()
        assert bool(taken.sum()) == some


def test_bytes_that_are_no_pruner_are_refused_and_the_old_one_stays(libaom: Libraries) -> None:
    good = toy([(16, "stop")], loss=-9.0, time=9.0)
    rng = np.random.default_rng(0)
    with Encoder(EncoderConfig(64, 64, cpu_used=2)) as encoder:
        for bad in (b"", good[:-1], good + b"\0", b"x" + good[1:], good[:8] + b"\x07" + good[9:]):
            with pytest.raises(ToolkitError, match="not a pruner for this hook"):
                encoder.set_pruner(bad, 1.0, 1.0)
        for _ in range(300):
            changed = bytearray(good)
            for at in rng.integers(8, len(good), 3):
                changed[at] = rng.integers(256)
            try:
                encoder.set_pruner(bytes(changed), 1.0, 1.0)
            except ToolkitError:
                continue
            encoder.encode(frame(64, 64))
        for price, most in ((0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)):
            with pytest.raises(ToolkitError, match="expected above 0"):
                encoder.set_pruner(good, price, most)


def test_recording_wants_one_thread_and_a_share(libaom: Libraries) -> None:
    with Encoder(EncoderConfig(64, 64, threads=2)) as encoder, pytest.raises(ToolkitError, match="one thread"):
        encoder.record_search()
    with Encoder(EncoderConfig(64, 64)) as encoder, pytest.raises(ToolkitError, match="share: expected 0 to 1"):
        encoder.record_search(1.5)
    with Encoder(EncoderConfig(64, 64), library=libaom.stock) as encoder:
        with pytest.raises(ToolkitError, match="records no search"):
            encoder.record_search()
        with pytest.raises(ToolkitError, match="has no pruner"):
            encoder.set_pruner(b"", 1.0, 1.0)
