"""What is known of motion and time in inter frames, against what the clip and the stream say."""

from pathlib import Path

import numpy as np
import pytest
from support.pictures import frame
from support.pruners import toy, toy_folder, toy_pruner, tree

from integration.codec import native
from integration.codec.config import EncoderConfig
from integration.codec.encoder import EncodedFrame, Encoder
from integration.codec.libaom_build import Libraries
from integration.media.planes import Planes
from integration.pruning.bundle import PrunerBundle
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, INSIDE_LARGER, NONE, SPLIT
from toolkit.pruners.record import check_features
from toolkit.search.table import FEATURES, TABLES

COLUMN = {feature.name: i for i, feature in enumerate(FEATURES)}
SPEED = float(np.hypot(2, 6))
"""Samples by which the window moves from frame to frame."""


def pan(width: int, height: int, frames: int, bit_depth: int = 8) -> list[Planes]:
    """A window that moves over the cat at one speed."""
    return [frame(width, height, bit_depth, top=60 + 2 * i, left=80 + 6 * i) for i in range(frames)]


def recorded(config: EncoderConfig, frames: list[Planes]) -> tuple[list[EncodedFrame], list[np.ndarray]]:
    """The packets of a clip, and the rows of each."""
    coded, rows = [], []
    with Encoder(config) as encoder:
        encoder.search_frames("inter")
        encoder.record_search()
        assert encoder.features() == FEATURES
        for planes in frames:
            if found := encoder.feed(planes):
                coded.append(found)
                rows.append(encoder.search_rows().copy())
        for found in encoder.flush():
            coded.append(found)
            rows.append(encoder.search_rows().copy())
    return coded, rows


def test_each_kind_of_frames_has_a_table_of_its_own(libaom: Libraries) -> None:
    hook = native.load(libaom.hook)
    for kind in TABLES:
        check_features(native.feature_table(hook, kind), "the hook", kind)
        assert native.feature_table(hook, kind) == TABLES[kind]
    assert native.feature_table_name(hook, "key") == "96c74ecb", "that of the pruners of photographs"
    assert native.feature_table_name(hook, "inter") != "96c74ecb"


def test_motion_is_that_of_the_clip() -> None:
    """By far most squares are found where the window was, in this reference or that."""
    _, rows = recorded(EncoderConfig(256, 192, cq=30, cpu_used=3, keyint=60, lag=12), pan(256, 192, 13))
    own = np.concatenate(rows)["features"]
    searched = own[own[:, COLUMN["none_cost"]] != 0]
    frames = (np.exp2(searched[:, COLUMN["none_motion"]]) - 1) / SPEED
    moved = frames > 0.5
    assert moved.mean() > 0.6
    assert (np.abs(frames - np.round(frames))[moved] < 0.1).mean() > 0.7
    assert np.ptp(np.round(frames[moved])) > 1, "over one frame, and over several"
    by_model = (np.exp2(own[:, COLUMN["tpl_motion"]]) - 1) / SPEED
    moved = by_model > 0.5
    assert moved.mean() > 0.6
    assert (np.abs(by_model - np.round(by_model))[moved] < 0.15).mean() > 0.7
    assert np.median(own[:, COLUMN["tpl_motion_spread"]]) < 0.5, "all move alike"
    assert not own[:, COLUMN["none_new_motion"]].all()
    assert set(np.unique(searched[:, COLUMN["none_compound"]])) == {0, 1}


def test_the_temporal_model_tells_inter_from_intra_and_what_later_frames_take_over() -> None:
    _, rows = recorded(EncoderConfig(192, 128, cq=30, cpu_used=3, keyint=60, lag=12), pan(192, 128, 13))
    own = np.concatenate(rows)["features"]
    known = own[own[:, COLUMN["tpl_intra"]] != -8]
    assert len(known) > 0.9 * len(own)
    assert (known[:, COLUMN["tpl_inter"]] <= known[:, COLUMN["tpl_intra"]] + 1e-4).all()
    assert np.mean(known[:, COLUMN["tpl_intra"]] - known[:, COLUMN["tpl_inter"]]) > 1
    level, later = known[:, COLUMN["frame_level"]], known[:, COLUMN["tpl_dependency"]]
    assert (later >= 0).all()
    assert later[level == level.min()].mean() > 2 * later[level == level.max()].mean()
    _, alone = recorded(EncoderConfig(128, 96, cq=30, cpu_used=3, keyint=60), pan(128, 96, 3))
    assert (np.concatenate(alone)["features"][:, COLUMN["tpl_intra"]] == -8).all(), "without lag there is no model"


def test_the_reference_s_blocks_are_those_of_the_frame_before(libaom: Libraries) -> None:
    coded, rows = recorded(EncoderConfig(192, 128, cq=25, cpu_used=2, keyint=60), pan(192, 128, 4))
    expected = {NONE: (0, 0), HORZ: (-0.5, -0.5), SPLIT: (-3, -1), INSIDE_LARGER: (0.5, 3)}
    checked = 0
    for before, found in zip(coded, rows[1:], strict=False):
        assert (found["features"][:, COLUMN["frame_distance"]] == 1).all()
        for row in found[found["side"] == 16]:
            least, most = expected.get(before.labels[16][row["row"] // 16, row["column"] // 16], (-2, 0))
            assert least <= row["features"][COLUMN["reference_size"]] <= most
            assert row["features"][COLUMN["reference_size_least"]] <= row["features"][COLUMN["reference_size"]]
            checked += 1
    assert checked > 80
    first = rows[1]["features"]
    assert (first[:, COLUMN["reference_intra"]] == 1).all(), "the key frame's"
    assert (first[:, COLUMN["frame_reference_step"]] < 0).all(), "which is quantised more finely"
    later = rows[3]["features"]
    assert 0 < later[:, COLUMN["reference_skip"]].mean() < 1
    assert later[:, COLUMN["reference_intra"]].mean() < 0.5


def test_nothing_is_known_of_references_that_were_coded_while_no_one_asked() -> None:
    """Their buffers held other frames before, whose blocks are not theirs."""
    known = []
    with Encoder(EncoderConfig(64, 64, cq=30, cpu_used=3, keyint=60)) as encoder:
        encoder.search_frames("inter")
        for index, planes in enumerate(pan(64, 64, 24)):
            encoder.record_search(share=0 if 10 <= index < 20 else 1)
            assert encoder.feed(planes)
            rows = encoder.search_rows()
            known.append(bool(len(rows)) and bool((rows["features"][:, COLUMN["reference_size"]] != -8).all()))
            if index == 20:
                columns = [COLUMN[name] for name in ("reference_size", "none_reference_size", "frame_reference_step")]
                searched = rows["features"][rows["features"][:, COLUMN["none_cost"]] != 0]
                assert len(searched)
                assert (searched[:, columns] == (-8, -8, 0)).all()
    assert known == [False] + [True] * 9 + [False] * 11 + [True] * 3


def test_where_motion_leads_are_the_blocks_that_were_coded_there() -> None:
    """A still clip leads to its own place: all that is said of NONE's reference is said of the one before."""
    _, rows = recorded(EncoderConfig(256, 192, cq=25, cpu_used=2, keyint=60), pan(256, 192, 1) * 2)
    own = rows[1]["features"][rows[1]["features"][:, COLUMN["none_cost"]] != 0]
    still = own[(own[:, COLUMN["none_motion"]] == 0) & (own[:, COLUMN["none_intra"]] == 0)]
    assert len(still) > 10
    for name in ("size", "size_least", "skip"):
        assert np.array_equal(still[:, COLUMN[f"none_reference_{name}"]], still[:, COLUMN[f"reference_{name}"]])
    intra = own[own[:, COLUMN["none_intra"]] == 1]
    assert (intra[:, COLUMN["none_reference_size"]] == -8).all()


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_the_simple_residual_of_a_still_clip_is_what_coding_left(bit_depth: int) -> None:
    still = pan(256, 192, 1, bit_depth) * 2
    coded, rows = recorded(EncoderConfig(256, 192, bit_depth, 50, cpu_used=3, keyint=60), still)
    apart = []
    for row in rows[1]:
        found = row["features"][COLUMN["simple_residual"]]
        if found == -8:
            continue
        top, left, side = (int(row[name]) for name in ("row", "column", "side"))
        luma, before = (
            p[0][top : top + side, left : left + side].astype(float) for p in (still[0], coded[0].reconstruction)
        )
        apart.append(np.log2(np.mean((luma - before) ** 2) / 16 ** (bit_depth // 10)) - found)
    assert len(apart) > 10
    assert np.ptp(np.sort(apart)[len(apart) // 10 : -len(apart) // 10]) < 0.5, "apart by the quantiser's step"


def test_features_of_motion_are_on_one_scale_at_either_bit_depth() -> None:
    rng, means = np.random.default_rng(0), []
    noisy = [
        tuple((p + rng.integers(0, 12, p.shape)).clip(0, 255).astype(np.uint8) for p in planes)
        for planes in pan(192, 128, 13)
    ]
    for bit_depth in (8, 10):
        config = EncoderConfig(192, 128, bit_depth, 35, cpu_used=3, keyint=60, lag=12)
        deep = [tuple(p.astype(np.uint16) * 4 for p in planes) for planes in noisy]
        _, rows = recorded(config, noisy if bit_depth == 8 else deep)
        own = np.concatenate(rows)
        means.append(np.median(own["features"][own["side"] == 16], axis=0))
    for name in (*(name for name in COLUMN if name.startswith(("tpl", "simple"))), "none_distortion"):
        assert abs(means[0][COLUMN[name]] - means[1][COLUMN[name]]) < 0.5, name


def test_key_frames_are_recorded_without_them(libaom: Libraries) -> None:
    with Encoder(EncoderConfig(128, 96, cq=40, cpu_used=2, keyint=60)) as encoder:
        encoder.record_search()
        assert encoder.features() == TABLES["key"]
        encoder.encode(pan(128, 96, 1)[0])
        rows = encoder.search_rows()
    assert rows["features"].shape[1] == len(TABLES["key"])
    assert len(rows) > 10


@pytest.mark.parametrize("threads", [1, 2])
def test_decisions_by_motion_repeat(libaom: Libraries, threads: int) -> None:
    """By features of each kind: what the model, the reference, the simple search and NONE's motion say."""
    config = EncoderConfig(256, 128, cq=45, cpu_used=3, threads=threads, keyint=60, lag=12)
    names = ("tpl_inter", "reference_size", "simple_residual", "none_motion", "none_reference_size", "tpl_dependency")
    streams = set()
    for name in names:
        loss = tree(COLUMN[name], 0.4, left=-9.0, right=9.0)
        pruner = toy([(8, "stop"), (16, "stop")], loss=loss, time=0.0, table="inter")
        own = []
        for _ in range(2):
            with Encoder(config) as encoder:
                encoder.search_frames("inter")
                encoder.set_pruner(pruner, price=1.0, most=1e9)
                fed = [encoder.feed(planes) for planes in pan(256, 128, 8)]
                own.append(b"".join(f.data for f in [*fed, *encoder.flush()] if f))
                asked, taken = encoder.decisions()
            assert 0 < taken.sum() < asked.sum(), name
        assert own[0] == own[1], name
        streams.add(own[0])
    assert len(streams) > len(names) / 2, "each looks at its own"


def test_a_pruner_of_inter_frames_may_know_either_table(libaom: Libraries, tmp_path: Path) -> None:
    """Those that were learnt before there were features of motion go on working, by the same numbers."""
    config = EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=60)
    last = {"key": len(TABLES["key"]) - 1, "inter": len(FEATURES) - 1}
    assert TABLES["key"][last["key"]] == FEATURES[last["inter"]]
    streams = []
    for table in TABLES:
        chosen = tree(last[table], 1.5, left=-9.0, right=9.0)
        made = toy_folder(
            tmp_path / table, libaom, toy_pruner([(16, "no_four_way"), (32, "no_four_way")], chosen, 0.0, table),
            frame_kind="inter", enable_1to4_partitions=1,
        )  # fmt: skip
        with Encoder(EncoderConfig(**vars(config) | {"four_way": True})) as encoder:
            PrunerBundle.load(made).check_encoder(encoder.config, encoder.hook())
            assert encoder.hook().av1part_load_pruner(encoder._handle, str(made).encode()) == 0
            streams.append([encoder.encode(planes).data for planes in pan(144, 80, 4)])
            assert encoder.decisions()[1].sum() > 0
    assert streams[0] == streams[1]
    key = toy_folder(tmp_path / "of key frames", libaom, toy_pruner([(16, "stop")], 0.0, 0.0, "inter"))
    with Encoder(config) as encoder:
        with pytest.raises(ToolkitError, match="another table of features"):
            PrunerBundle.load(key).check_encoder(config, encoder.hook())
        assert encoder.hook().av1part_load_pruner(encoder._handle, str(key).encode()) != 0


@pytest.mark.usefixtures("libaom")
def test_a_pruner_by_the_features_of_inter_frames_is_refused_for_intra_frames() -> None:
    pruner = toy([(8, "stop")], loss=0.0, time=0.0, table="inter")
    with Encoder(EncoderConfig(64, 64, cq=40, cpu_used=3, keyint=30)) as encoder:
        with pytest.raises(ToolkitError, match="by the features of inter frames, and given for intra frames"):
            encoder.set_pruner(pruner, price=1.0, most=1.0)
        encoder.search_frames("inter")
        encoder.set_pruner(pruner, price=1.0, most=1.0)
