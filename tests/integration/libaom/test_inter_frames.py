"""Inter frames: recorded and pruned on request alone, by pruners that were made for them."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.commands import cli, done, fails
from support.pictures import frame
from support.pruners import toy, toy_folder, toy_pruner, tree
from support.sealed import write_json

from integration.bench.config import BenchConfig
from integration.bench.run import BenchReport, run_bench
from integration.codec.config import EncoderConfig
from integration.codec.encoder import EncodedFrame, Encoder
from integration.codec.inspector import inspect_packets
from integration.codec.libaom_build import Libraries
from integration.media.planes import Planes
from integration.pruning.bundle import PrunerBundle
from integration.pruning.hook_file import NAME
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.pruners import targets
from toolkit.pruners.record import SearchSet, check_rows
from toolkit.pruners.targets import reached
from toolkit.search.table import DECISIONS

EVERYWHERE = [(side, decision) for side in (8, 16, 32, 64, 128) for decision in DECISIONS]
ALWAYS = toy(EVERYWHERE, loss=-9.0, time=9.0)


def pan(width: int, height: int, bit_depth: int = 8, frames: int = 6) -> list[Planes]:
    """A window that moves over the cat, by less and more than a sample of chroma."""
    return [frame(width, height, bit_depth, top=90 + i, left=80 + 5 * i) for i in range(frames)]


def code(encoder: Encoder, frames: list[Planes]) -> list[EncodedFrame]:
    """All frames of a clip, in order."""
    fed = (encoder.feed(planes) for planes in frames)
    return [coded for coded in fed if coded] + list(encoder.flush())


def coded(config: EncoderConfig, pruner: bytes | None = None, library: Path | None = None) -> list[bytes]:
    with Encoder(config, library=library) as encoder:
        if pruner:
            encoder.search_frames("inter")
            encoder.set_pruner(pruner, price=1.0, most=1e9)
        return [f.data for f in code(encoder, pan(config.width, config.height, config.bit_depth))]


@pytest.mark.parametrize("cpu_used", [1, 3, 4, 6])
@pytest.mark.parametrize(("width", "height", "bit_depth", "lag"), [(144, 80, 8, 0), (70, 90, 8, 5), (64, 72, 10, 3)])
def test_recording_inter_frames_changes_no_byte(
    libaom: Libraries, cpu_used: int, width: int, height: int, bit_depth: int, lag: int
) -> None:
    config = EncoderConfig(width, height, bit_depth, 40, cpu_used, keyint=4, lag=lag)
    recorded = []
    with Encoder(config) as encoder:
        encoder.search_frames("inter")
        encoder.record_search()
        for planes in pan(width, height, bit_depth):
            if found := encoder.feed(planes):
                recorded.append((found, encoder.search_rows()))
        recorded += [(found, encoder.search_rows()) for found in encoder.flush()]
    assert [found.data for found, _ in recorded] == coded(config, library=libaom.stock)
    for found, rows in recorded:
        check_rows(rows, "rows", "inter")
        assert not (found.key and len(rows)), "key frames are left alone"
    assert sum(len(rows) for _, rows in recorded) > 50


def test_rows_of_inter_frames_tell_the_same_partitions_as_the_stream(libaom: Libraries) -> None:
    checked, modes = 0, set()
    with Encoder(EncoderConfig(192, 128, cq=25, cpu_used=2, keyint=30)) as encoder:
        encoder.search_frames("inter")
        names = [feature.name for feature in encoder.features()]
        encoder.record_search()
        for planes in pan(192, 128):
            found = encoder.feed(planes)
            rows = encoder.search_rows()
            on_path = (targets.loss_caps(rows) > 0) & (rows["side"] == 16)
            for row in rows[on_path]:
                assert found
                assert found.labels[16][row["row"] // 16, row["column"] // 16] == row["partition"]
            checked += int(on_path.sum())
            modes |= set(rows["features"][:, names.index("none_mode")].tolist())
    assert checked > 50
    assert max(modes) > 12, "ids of AV1's inter modes"
    assert max(modes) < 25


def test_luma_and_neighbours_are_the_node_s_own_though_libaom_searched_motion_before(libaom: Libraries) -> None:
    """Its simple motion search leaves its pointers at a part of the node, or at another."""
    pictures = pan(192, 128, frames=3)
    with Encoder(EncoderConfig(192, 128, cq=30, cpu_used=2, keyint=30)) as encoder:
        encoder.search_frames("inter")
        names = [feature.name for feature in encoder.features()]
        encoder.record_search()
        for planes in pictures:
            encoder.encode(planes)
        rows = encoder.search_rows()
    apart = []
    for row in rows:
        top, left, side = (int(row[name]) for name in ("row", "column", "side"))
        luma = pictures[-1][0][top : top + side, left : left + side].astype(np.float64)
        if luma.var() > 100:
            apart.append(np.log2(luma.var()) - row["features"][names.index("variance")])
    assert len(apart) > 50
    assert np.ptp(apart) < 0.01, "all are apart by the quantiser's step alone"
    for name, edge in (("above_width", "row"), ("left_height", "column")):
        outside = rows["features"][:, names.index(name)] == -8
        assert np.array_equal(outside, rows[edge] == 0)


def test_only_frames_of_the_pruner_s_kind_are_pruned_and_counted(libaom: Libraries) -> None:
    config = EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=3)
    plain = coded(config)
    counts = {}
    for kind in ("key", "inter"):
        asked = []
        with Encoder(config) as encoder:
            encoder.search_frames(kind)
            encoder.set_pruner(ALWAYS, price=1.0, most=1e9)
            packets = []
            for planes in pan(144, 80):
                packets.append(encoder.encode(planes))
                asked.append(int(encoder.decisions()[0].sum()))
        own = [bool(n) for n in np.diff([0, *asked])]
        assert own == [packet.key == (kind == "key") for packet in packets]
        counts[kind] = packets
    assert counts["inter"][0].data == plain[0], "the first key frame is stock libaom's"
    assert counts["inter"][1].data != plain[1]
    assert counts["key"][0].data != plain[0]


@pytest.mark.parametrize("kinds", [("key", "inter"), ("inter", "key")])
def test_an_encoder_holds_a_pruner_for_each_kind_of_frames(libaom: Libraries, kinds: tuple[str, str]) -> None:
    """Each decides about its own frames; which is given first is of no account."""
    config = EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=3)
    own = {
        "key": toy([(16, "stop")], loss=-9.0, time=9.0),
        "inter": toy([(8, "no_split"), (16, "no_split"), (32, "no_split")], loss=-9.0, time=9.0),
    }
    packets, asked = {}, {}
    for held in (("key",), ("inter",), kinds):
        with Encoder(config) as encoder:
            for kind in held:
                encoder.search_frames(kind)
                encoder.set_pruner(own[kind], price=1.0, most=1e9)
            packets[held] = [encoder.encode(planes).data for planes in pan(144, 80)]
            counts = encoder.decisions()[0]
        asked[held] = {"key": counts[1, DECISIONS.index("stop")], "inter": counts[1, DECISIONS.index("no_split")]}
    assert packets[kinds][0] == packets["key",][0] != packets["inter",][0]
    assert packets[kinds] != packets["key",]
    assert asked["key",]["inter"] == asked["inter",]["key"] == 0
    assert all(asked[kinds].values())


def test_loading_a_pruner_leaves_the_choice_of_what_is_recorded_alone(libaom: Libraries, tmp_path: Path) -> None:
    made = toy_folder(tmp_path / "key", libaom, toy_pruner([(16, "stop")], -9.0, 9.0))
    with Encoder(EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=3)) as encoder:
        encoder.search_frames("inter")
        encoder.record_search(1.0)
        assert encoder.hook().av1part_load_pruner(encoder._handle, str(made).encode()) == 0
        for planes in pan(144, 80):
            packet = encoder.encode(planes)
            assert bool(len(encoder.search_rows())) != packet.key
        assert encoder.decisions()[1].sum() > 0


def test_inter_frames_are_recorded_under_a_pruner_of_key_frames(libaom: Libraries) -> None:
    config = EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=3)
    with Encoder(config) as encoder:
        encoder.set_pruner(toy([(16, "stop")], loss=-9.0, time=9.0), price=1.0, most=1e9)
        encoder.search_frames("inter")
        encoder.record_search(1.0)
        for planes in pan(144, 80):
            packet = encoder.encode(planes)
            assert bool(len(encoder.search_rows())) != packet.key
        assert encoder.decisions()[1].sum() > 0


@pytest.mark.parametrize("kind", ["key", "inter"])
def test_decisions_see_the_features_that_are_recorded(libaom: Libraries, kind: str) -> None:
    """Luma is looked at only where it is asked for, or recorded: a decision of the calmest square is taken there."""
    config = EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=3)
    with Encoder(config) as encoder:
        encoder.search_frames(kind)
        variance = [feature.name for feature in encoder.features()].index("variance")
        encoder.record_search(1.0)
        rows = []
        for planes in pan(144, 80):
            if encoder.encode(planes).key == (kind == "key"):
                rows.append(encoder.search_rows().copy())
    recorded = np.concatenate(rows)
    asked = recorded[reached(recorded, "no_split") & (recorded["side"] == 16)]
    calmest, next_one = np.unique(asked["features"][:, variance])[:2]
    calm = tree(variance, float(np.float32((calmest + next_one) / 2)), left=-9.0, right=9.0)
    with Encoder(config) as encoder:
        encoder.search_frames(kind)
        encoder.set_pruner(toy([(16, "no_split")], loss=calm, time=0.0), price=1.0, most=1e9)
        for planes in pan(144, 80):
            encoder.encode(planes)
        taken = int(encoder.decisions()[1].sum())
    assert taken == (asked["features"][:, variance] == calmest).sum()


def test_a_pruner_that_never_skips_changes_no_byte_of_inter_frames(libaom: Libraries) -> None:
    never = toy(EVERYWHERE, loss=9.0, time=-9.0)
    for lag in (0, 4):
        config = EncoderConfig(128, 96, cq=40, cpu_used=3, keyint=30, lag=lag)
        assert coded(config, never) == coded(config)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cpu_used", [1, 3, 5])
@pytest.mark.parametrize(("width", "height", "bit_depth", "lag"), [(136, 72, 8, 5), (66, 72, 10, 0)])
def test_skipping_all_that_may_be_skipped_in_inter_frames_leaves_a_stream_that_decodes(
    libaom: Libraries, threads: int, cpu_used: int, width: int, height: int, bit_depth: int, lag: int
) -> None:
    config = EncoderConfig(width, height, bit_depth, 50, cpu_used, threads=threads, keyint=30, lag=lag)
    streams = []
    for _ in range(2):
        with Encoder(config) as encoder:
            encoder.search_frames("inter")
            encoder.set_pruner(ALWAYS, price=1.0, most=1e9)
            packets = code(encoder, pan(width, height, bit_depth))
            assert encoder.decisions()[1].sum() > 0
        streams.append([packet.data for packet in packets])
    assert streams[0] == streams[1]
    decoder = av.VideoCodecContext.create("libdav1d", "r")
    pictures = [p for data in streams[0] for p in decoder.decode(av.Packet(data))] + list(decoder.decode(None))
    assert len(pictures) == len(packets)
    for picture, packet in zip(pictures, packets, strict=True):
        plane = picture.planes[0]
        samples = np.frombuffer(memoryview(plane), packet.reconstruction[0].dtype)
        luma = samples.reshape(plane.height, -1)[:height, :width]
        assert np.array_equal(luma, packet.reconstruction[0])


def test_labels_of_pruned_inter_frames_are_those_in_the_stream(libaom: Libraries) -> None:
    with Encoder(EncoderConfig(144, 80, cq=40, cpu_used=2, keyint=30)) as encoder:
        encoder.search_frames("inter")
        encoder.set_pruner(toy([(16, "stop")], loss=-9.0, time=9.0), price=1.0, most=1e9)
        packets = code(encoder, pan(144, 80))
    for packet, (labels, _) in zip(packets, inspect_packets([p.data for p in packets], 144, 80), strict=True):
        assert np.array_equal(labels, packet.labels[16])


def test_inter_frames_want_a_keyint(libaom: Libraries, tmp_path: Path) -> None:
    with Encoder(EncoderConfig(64, 64)) as encoder, pytest.raises(ToolkitError, match="key frames alone"):
        encoder.search_frames("inter")
    made = toy_folder(tmp_path / "inter", libaom, toy_pruner(EVERYWHERE, -9.0, 9.0), frame_kind="inter")
    pruner = PrunerBundle.load(made)
    assert pruner.frame_kind == "inter"
    with Encoder(EncoderConfig(64, 64)) as encoder, pytest.raises(ToolkitError, match="every frame is a key frame"):
        pruner.check_encoder(encoder.config, encoder.hook())
    key = PrunerBundle.load(toy_folder(tmp_path / "key", libaom, toy_pruner(EVERYWHERE, -9.0, 9.0)))
    assert key.frame_kind == "key", "what does not say is of key frames, as those in the box"
    assert "frames" not in (key.path / NAME).read_text()
    with pytest.raises(ToolkitError, match="frame_kind is 'both', expected key or inter"):
        toy_folder(tmp_path / "both", libaom, toy_pruner(EVERYWHERE, -9.0, 9.0), frame_kind="both")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pans over parts of the cat, each a source of its own."""
    folder, paths = tmp_path_factory.mktemp("clips"), []
    for number in range(5):
        paths.append(folder / f"clip{number}.y4m")
        pictures = [frame(192, 160, top=20 + 20 * number + i, left=60 + 40 * number - 4 * i) for i in range(5)]
        data = b"".join(b"FRAME\n" + b"".join(p.tobytes() for p in planes) for planes in pictures)
        paths[-1].write_bytes(b"YUV4MPEG2 W192 H160 F25:1 Ip A1:1 C420jpeg\n" + data)
    return paths


@pytest.fixture(scope="module")
def record(clips: list[Path], libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    names = ("train", "train", "train", "val", "test")
    (folder / "splits.tsv").write_text("".join(f"clip{i}\t{split}\n" for i, split in enumerate(names)))
    words = ("--cq", "25,40,55", "--share", 1, "--split", folder / "splits.tsv", "--jobs", 1, "--size", "source")
    done("record", *clips, "-o", folder / "set", *words, "--keyint", 60, "--lag", 4)
    return folder / "set"


def test_a_record_holds_one_kind_and_counts_a_clip_s_bits_as_a_whole(record: Path, tmp_path: Path) -> None:
    data = SearchSet.load(record)
    assert data.frame_kind == "inter"
    assert data.manifest["encoder"]["kf_max_dist"] == 60
    assert data.manifest["encoder"]["lag_in_frames"] == 4
    assert not data.manifest["encoder"]["all_key_frames"]
    assert sorted(e.frame for e in data.entries if (e.source, e.cq) == (0, 25)) == [1, 2, 3, 4], "no key frame"
    frames = list(data.frames("val"))
    assert len({frame.bits for frame in frames}) == 3, "one a cq"
    own = [e.bits for e in data.entries if (e.source, e.cq) == (3, 25)]
    assert sum(own) / len(own) in {frame.bits for frame in frames}
    other = tmp_path / "key"
    manifest = json.loads((record / "manifest.json").read_text())
    manifest["encoder"]["frame_kind"] = "sideways"
    other.mkdir()
    write_json(other / "manifest.json", seal(manifest))
    (other / "rows").symlink_to(record / "rows")
    fails(cli("pruner", "fit", other, "-o", tmp_path / "p"), "frame_kind is 'sideways', expected key or inter")


def test_records_of_the_two_kinds_are_not_merged(record: Path, clips: list[Path], tmp_path: Path) -> None:
    words = ("--cq", "25,40,55", "--share", 1, "--split", "train", "--jobs", 1, "--size", "source", "--frames", 1)
    done("record", clips[0], "-o", tmp_path / "key", *words)
    fails(cli("data", "merge", record, tmp_path / "key", "-o", tmp_path / "both"), "frame_kind is inter and key")


def test_from_clips_to_a_pruned_encode_of_inter_frames(record: Path, clips: list[Path], tmp_path: Path) -> None:
    made = tmp_path / "pruner"
    words = ("--trees", 5, "--leaves", 8, "--price", 0.3, "--sides", "8,16")
    said = done("pruner", "fit", record, "-o", made, *words)
    assert "inter frames" in said.output
    assert "--keyint 60 --lag 4" in said.output
    assert "frames inter\n" in (made / NAME).read_text()
    encode = ("encode", clips[4], "--pruner", made, "--cpu-used", 2, "--cq", 40)
    fails(cli(*encode, "-o", tmp_path / "key.ivf", "--keyint", 1), "made for inter frames", "keyint above 1")
    assert not (tmp_path / "key.ivf").exists()
    reports = []
    for name in ("a.ivf", "b.ivf"):
        out = done(*encode, "-o", tmp_path / name, "--keyint", 60, "--lag", 4, "--json").stdout
        reports.append(json.loads(out))
    assert (tmp_path / "a.ivf").read_bytes() == (tmp_path / "b.ivf").read_bytes()
    assert reports[0]["decisions"] == reports[1]["decisions"]
    assert sum(own["skipped"] for own in reports[0]["decisions"].values()) > 0
    with av.open(str(tmp_path / "a.ivf")) as container:
        assert len(list(container.decode(video=0))) == 5
    bench = ["bench", "encoder", clips[4], "-o", tmp_path / "bench", "--pruner", made, "--repeats", 1]
    bench += ["--presets", "2,4", "--masked", 2, "--cq", "25,40,55", "--lag", 4]
    report = json.loads(done(*bench, "--keyint", 60, "--json").stdout)
    assert report["settings"]["keyint"] == 60
    assert [arm["name"] for arm in report["arms"]] == ["native at 2", "native at 4", "pruner 0.3 at 2"]
    fails(cli(*bench[:-2]), "made for inter frames")


def test_fit_tries_its_prices_on_inter_frames(
    record: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the keyint and the lag of the record; what it saves on so small a clip is within the noise of the clock."""
    tried = []

    def watched(sources: list[Path], work: Path, config: BenchConfig, **more: Any) -> BenchReport:
        tried.append((config.keyint, config.lag, config.frames, config.presets))
        return run_bench(sources, work, config, **more)

    monkeypatch.setattr("integration.tuning.price.run_bench", watched)
    monkeypatch.setattr("integration.tuning.price.choose_price", lambda trials, target_loss: trials[0])
    said = done("fit", record, clips[3], "-o", tmp_path / "made", "--sides", "8", "--size", "source")
    assert tried == [(60, 4, 16, (2,))]
    assert "of the CPU time saved for" in said.stdout
    assert PrunerBundle.load(tmp_path / "made").frame_kind == "inter"
