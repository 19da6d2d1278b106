"""`av1part label`: the same blocks however the work was done, and exactly those of the embedded set."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.commands import cli, done, fails
from support.libaom import IN_USE
from support.pictures import CHELSEA, frame

from benchmarks.embedded_set import make_again
from integration.codec.encoder import Encoder, EncoderConfig
from integration.codec.inspector import inspect_packets
from integration.commands.label import label as label_command
from integration.media.video import open_clip
from integration.recording import label as labelling
from integration.recording import recorder
from integration.recording.config import LabelConfig
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.partition import INSIDE_LARGER, NODE
from toolkit.pruners.record import SearchSet
from toolkit.sample.attribution import FOLDER as SAMPLE
from toolkit.sample.attribution import attribution
from toolkit.sealed import CONFIG

QUICK = LabelConfig(cq=(30, 50), cpu_used=3, size=None, jobs=1, with_costs=False)  # CPU times differ from run to run


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three photographs of 70x52: nodes at the right and lower edge are cut."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    original = Image.open(CHELSEA)
    for i in range(3):
        original.crop((60 * i, 100, 60 * i + 70, 152)).save(folder / f"part{i}.png")
    return sorted(folder.iterdir())


def same(a: Path, b: Path) -> bool:
    """Whether two folders hold the same files, but for their settings, of which the output is one."""
    found = [[p.relative_to(folder) for p in folder.rglob("*") if p.is_file()] for folder in (a, b)]
    files = [sorted(path for path in own if path != Path(CONFIG)) for own in found]
    return files[0] == files[1] and all((a / f).read_bytes() == (b / f).read_bytes() for f in files[0])


@pytest.mark.long
@pytest.mark.usefixtures("libaom")
def test_the_embedded_set_is_what_label_makes(tmp_path: Path) -> None:
    sample = BlockSet.load(SAMPLE)
    settings = sample.manifest["encoder"]
    assert settings["input"]["size"] == "960x540"
    make_again(CHELSEA.parent, SAMPLE, tmp_path / "again", ["chelsea"])
    again = BlockSet.load(tmp_path / "again")
    (index,) = (i for i, s in enumerate(sample.sources) if s["name"] == "chelsea")
    expected = sample.blocks[sample.blocks["source"] == index].copy()
    expected["source"] = 0
    np.testing.assert_array_equal(again.blocks, expected)
    np.testing.assert_array_equal(again.luma(0), sample.luma(index))
    assert again.manifest["encoder"] == settings
    assert again.sources[0]["sha256"] == sample.sources[index]["sha256"]


def test_the_embedded_set_is_attributed_and_small() -> None:
    assert (SAMPLE / "LICENSE.md").read_text(encoding="utf-8") == attribution()
    sources = BlockSet.load(SAMPLE).sources
    assert len(sources) == 24
    assert all(s["licence"].upper().startswith(("CC0", "CC-BY", "PUBLIC DOMAIN")) for s in sources)
    assert {s["split"] for s in sources} == {"train", "val", "test"}
    assert sum(p.stat().st_size for p in SAMPLE.rglob("*") if p.is_file()) <= 12e6


@pytest.mark.usefixtures("libaom")
def test_a_labelled_set_holds_whole_nodes_of_every_source_and_cq(tmp_path: Path, pictures: list[Path]) -> None:
    labelling.label(pictures, tmp_path / "set", QUICK)
    found = BlockSet.load(tmp_path / "set")
    assert len(found.blocks) == 3 * 2 * (52 // NODE) * (70 // NODE)
    assert found.manifest["excluded"] == {"cut by the frame edge": 3 * 2 * (4 * 5 - 3 * 4)}
    assert {s["split"] for s in found.sources} == {"train", "val", "test"}
    assert len(np.unique(found.blocks["qindex"])) == 2
    assert (found.blocks["partition"] != INSIDE_LARGER).any()
    np.testing.assert_array_equal(found.luma(0)[0], next(open_clip(pictures[0]).frames())[0])
    assert found.manifest["encoder"]["version"] == IN_USE
    assert not list(tmp_path.glob(".set*")), "the work folder is gone"


@pytest.mark.usefixtures("libaom")
def test_frames_of_a_10_bit_clip_are_labelled_in_order(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    frames = [frame(64, 48, 10, left=60 * i) for i in range(3)]
    path.write_bytes(b"".join(p.tobytes() for planes in frames for p in planes))
    config = replace(QUICK, raw="64x48:10", frames=2, split="train")
    labelling.label([path], tmp_path / "set", config)
    found = BlockSet.load(tmp_path / "set")
    assert found.bit_depth == 10
    np.testing.assert_array_equal(found.luma(0), np.stack([planes[0] for planes in frames[:2]]))
    assert found.blocks["frame"].tolist() == ([0] * 12 + [1] * 12) * 2


@pytest.mark.usefixtures("libaom")
def test_several_processes_give_the_same_set(tmp_path: Path, pictures: list[Path]) -> None:
    labelling.label(pictures, tmp_path / "one", QUICK)
    labelling.label(pictures, tmp_path / "two", replace(QUICK, jobs=2))
    assert same(tmp_path / "one", tmp_path / "two")


@pytest.mark.usefixtures("libaom")
def test_a_killed_run_goes_on_and_gives_the_same_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(QUICK, cq=(20, 30, 40, 50), cpu_used=0, split="train", nodes=(16, 32))
    options = ["--cq", "20,30,40,50", "--cpu-used", "0", "--size", "source", "--jobs", "1", "--split", "train"]
    options += ["--no-costs", "--node", "16,32"]
    picture = tmp_path / "cat.png"
    Image.open(CHELSEA).crop((100, 60, 292, 204)).save(picture)
    command = [sys.executable, "-c", "from toolkit.cli.main import main; main()"]
    arguments = ["label", str(picture), "-o", str(tmp_path / "killed"), *options]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL)
    work = tmp_path / ".killed.work"
    while process.poll() is None and not list(work.glob("cat-*/piece.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for p in work.glob("cat-*/piece.json")}
    assert 1 <= len(kept) < 4, "killed too late to mean anything"
    assert not (tmp_path / "killed").exists()

    coded = []
    real = recorder.code
    monkeypatch.setattr(recorder, "code", lambda piece: (coded.append(piece.cq), real(piece)))
    labelling.label([picture], tmp_path / "killed", config)
    assert coded == [20, 30, 40, 50][len(kept) :], "only what was missing is coded"
    labelling.label([picture], tmp_path / "whole", config)
    assert same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.usefixtures("libaom")
def test_several_node_sizes_come_from_one_pass_as_from_a_pass_each(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = []
    real = recorder.code
    monkeypatch.setattr(recorder, "code", lambda piece: (coded.append(piece.cq), real(piece)))
    both = tmp_path / "both"
    labelling.label(pictures, both, replace(QUICK, nodes=(32, 16), with_costs=True))
    assert len(coded) == len(pictures) * len(QUICK.cq)
    for node in (16, 32):
        labelling.label(pictures, tmp_path / f"one{node}", replace(QUICK, nodes=(node,), with_costs=True))
        one, found = BlockSet.load(tmp_path / f"one{node}"), BlockSet.load(both / f"node{node}")
        assert found.node == node
        np.testing.assert_array_equal(found.blocks, one.blocks)
        assert one.costs is not None
        assert found.costs is not None
        np.testing.assert_array_equal(found.costs["rd"], one.costs["rd"])
        assert found.manifest["encoder"] == one.manifest["encoder"]
    assert sorted(p.name for p in both.iterdir()) == ["manifest.json", "node16", "node32"]
    for command in (["data", "info", str(both)], ["train", str(both), "-o", str(tmp_path / "run")]):
        refused = CliRunner().invoke(main, command)
        assert refused.exit_code == 1
        assert "a folder of data sets of several node sizes" in refused.output
        assert "node16 or node32" in refused.output


@pytest.mark.usefixtures("libaom")
def test_a_data_set_and_a_record_come_from_one_pass_as_from_a_pass_each(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = []
    real = recorder.code
    monkeypatch.setattr(recorder, "code", lambda piece: (coded.append(piece.cq), real(piece)))
    words = ["--cq", "30,50", "--cpu-used", "3", "--size", "source", "--jobs", "1", "--no-costs"]
    both = [*words, "-o", str(tmp_path / "both"), "--record", str(tmp_path / "rows")]
    done("label", *pictures, *both)
    assert len(coded) == len(pictures) * 2
    done("label", *pictures, *words, "-o", tmp_path / "alone")
    done("record", *pictures, *words[:8], "-o", tmp_path / "record", "--share", "1")
    assert same(tmp_path / "both", tmp_path / "alone")
    found, expected = SearchSet.load(tmp_path / "rows"), SearchSet.load(tmp_path / "record")
    for name in ("bit_depth", "encoder", "features", "sources"):
        assert found.manifest[name] == expected.manifest[name]  # type: ignore[literal-required]
    assert [replace(entry, seconds=0) for entry in found.entries] == [replace(e, seconds=0) for e in expected.entries]
    for entry in found.entries:
        own, other = (np.load(folder / entry.file) for folder in (found.path, expected.path))
        own["seconds"] = other["seconds"] = 0
        assert own.tobytes() == other.tobytes()
    fails(cli("label", *pictures, *both), f"{tmp_path / 'both'} exists already")
    fails(cli("label", *pictures, *words, "-o", tmp_path / "new", "--record", tmp_path / "rows"), "rows exists already")
    inside = tmp_path / "new" / "record"
    fails(cli("label", *pictures, *words, "-o", tmp_path / "new", "--record", inside), "not written in, or around")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("libaom")
def test_several_node_sizes_are_there_together_or_not_at_all(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, config = tmp_path / "both", replace(QUICK, nodes=(16, 32))
    real = labelling.write_set

    def dies(path: Path, *rest: object, **more: object) -> None:
        if path.name == "node32":
            raise ToolkitError("cut off")
        real(path, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(labelling, "write_set", dies)
        with pytest.raises(ToolkitError, match="cut off"):
            labelling.label(pictures, output, config)
    assert [p.name for p in tmp_path.iterdir() if "both" in p.name] == [".both.work"]
    with monkeypatch.context() as patched:
        patched.setattr(recorder, "code", lambda piece: pytest.fail("coded again"))
        labelling.label(pictures, output, config)
    with pytest.raises(ToolkitError, match="exists already"):
        labelling.label(pictures, output, config)
    labelling.label(pictures, output, config, overwrite=True)
    assert BlockSet.load(output / "node32").node == 32


@pytest.mark.parametrize("nodes", [(), (16, 16), (4,), (16, 48)])
def test_wrong_node_sizes_are_refused(tmp_path: Path, pictures: list[Path], nodes: tuple[int, ...]) -> None:
    with pytest.raises(ToolkitError, match="expected one or more different ones of 8, 16, 32, 64, 128"):
        labelling.label(pictures, tmp_path / "set", replace(QUICK, nodes=nodes))


@pytest.mark.usefixtures("libaom")
def test_nodes_of_8_and_64_pixels_are_labelled_as_a_decoder_shows_them(tmp_path: Path) -> None:
    config = replace(QUICK, nodes=(8, 64), cpu_used=1, cq=(25,), split="train", with_costs=True)
    labelling.label([CHELSEA], tmp_path / "set", replace(config, size=(150, 100)))
    for node, last in ((8, 3), (64, 9)):
        found = BlockSet.load(tmp_path / "set" / f"node{node}")
        assert (found.node, found.costs is not None) == (node, True)
        clip = open_clip(CHELSEA, (150, 100))
        with Encoder(EncoderConfig(clip.width, clip.height, cq=25, cpu_used=1)) as encoder:
            coded = encoder.encode(next(clip.frames()))
        ((labels, _),) = inspect_packets([coded.data], clip.width, clip.height, node)
        whole = labels[: clip.height // node, : clip.width // node]
        np.testing.assert_array_equal(found.blocks["partition"], whole.ravel())
        assert set(found.blocks["partition"]) <= {*range(last + 1), INSIDE_LARGER}


@pytest.mark.usefixtures("libaom")
def test_nodes_of_128_pixels_are_refused_where_superblocks_are_smaller(tmp_path: Path) -> None:
    config = replace(QUICK, nodes=(16, 128), cpu_used=1, cq=(60,), split="train", size=None)
    with pytest.raises(ToolkitError, match=r"superblocks of 64x64, so that there is no 128x128 node. Leave 128 out"):
        labelling.label([CHELSEA], tmp_path / "set", config)
    assert not list(tmp_path.iterdir()), "before anything is coded"
    labelling.label([CHELSEA], tmp_path / "set", replace(config, cpu_used=0, size=(200, 140)))
    assert BlockSet.load(tmp_path / "set" / "node128").node == 128


def test_the_command_takes_node_sizes_with_commas_or_repeated(tmp_path: Path, pictures: list[Path]) -> None:
    wrong = CliRunner().invoke(main, ["label", str(pictures[0]), "-o", str(tmp_path / "set"), "--node", "16,9"])
    assert wrong.exit_code == 2
    assert "expected one of 8, 16, 32, 64, 128, or several" in wrong.output
    for words in (["--node", "32,16"], ["--node", "16", "--node", "32"]):
        context = label_command.make_context("label", ["x.png", "-o", "set", *words])
        assert context.params["nodes"] == (16, 32)
    assert label_command.make_context("label", ["x.png", "-o", "set"]).params["nodes"] == (16,)


def test_pieces_of_other_settings_are_not_taken_over(tmp_path: Path, pictures: list[Path]) -> None:
    files = recorder.identify(pictures[:1])
    pieces = [
        piece.folder
        for config in (
            QUICK,
            replace(QUICK, cpu_used=2),
            replace(QUICK, usage="allintra"),
            replace(QUICK, frames=1),
            replace(QUICK, four_way=False),
            replace(QUICK, nodes=(16, 32)),
        )
        for piece in recorder.make_pieces(tmp_path, files, (labelling.BlockView(config),), "build")
    ]
    assert len(set(pieces)) == 6 * 2
    again = recorder.make_pieces(tmp_path, files, (labelling.BlockView(replace(QUICK, jobs=2, split="test")),), "build")
    assert [piece.folder for piece in again] == pieces[:2], "neither the jobs nor the split decide what is coded"


def test_two_copies_of_a_photograph_are_refused(tmp_path: Path, pictures: list[Path]) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(pictures[0].read_bytes())
    with pytest.raises(ToolkitError, match="same content"):
        labelling.label([*pictures, copy], tmp_path / "set", QUICK)


def test_two_sources_of_one_name_are_refused(tmp_path: Path, pictures: list[Path]) -> None:
    twin = tmp_path / "part0.jpg"
    Image.open(pictures[1]).save(twin)
    with pytest.raises(ToolkitError, match="share the name part0"):
        labelling.label([*pictures, twin], tmp_path / "set", QUICK)


@pytest.mark.usefixtures("libaom")
def test_mixed_bit_depths_and_tiny_sources_are_refused(tmp_path: Path, pictures: list[Path]) -> None:
    deep = tmp_path / "deep.yuv"
    deep.write_bytes(b"".join(p.tobytes() for p in frame(64, 48, 10)))
    with pytest.raises(ToolkitError, match="one bit depth"):
        labelling.label([*pictures, deep], tmp_path / "set", replace(QUICK, raw="64x48:10"))
    with pytest.raises(ToolkitError, match="no whole 16x16 node"):
        labelling.label(pictures, tmp_path / "set", replace(QUICK, size=(30, 15)))
    with pytest.raises(ToolkitError, match="cq: expected 0 to 63"):
        labelling.label(pictures, tmp_path / "set", replace(QUICK, cq=(30, 64)))
    assert not (tmp_path / "set").exists()


@pytest.mark.usefixtures("libaom")
def test_licences_come_from_the_table_by_content(tmp_path: Path, pictures: list[Path]) -> None:
    table = tmp_path / "SOURCES.tsv"
    files = recorder.identify(pictures)
    head = "file\tsha256\tlicence\tsource\n"
    lines = [f"x/{f.name}\t{f.sha256}\tCC0 A. Person\tthe archive {f.name}\n" for f in files]
    table.write_text(head + "".join(lines))
    labelling.label(pictures, tmp_path / "set", QUICK, licences=table)
    sources = BlockSet.load(tmp_path / "set").sources
    assert [s["licence"] for s in sources] == ["CC0 A. Person"] * 3
    assert sources[1]["origin"] == "the archive part1"
    table.write_text(head + "".join(lines[:2]))
    with pytest.raises(ToolkitError, match="no line with the sha256"):
        labelling.label(pictures, tmp_path / "other", QUICK, licences=table)
    table.write_text("file\tlicence\n")
    with pytest.raises(ToolkitError, match="no column sha256, source"):
        labelling.label(pictures, tmp_path / "other", QUICK, licences=table)


@pytest.mark.usefixtures("libaom")
def test_the_command_writes_the_set_and_refuses_to_overwrite(tmp_path: Path, pictures: list[Path]) -> None:
    output = tmp_path / "set"
    arguments = ["label", *map(str, pictures), "-o", str(output), "--cq", "40", "--cpu-used", "4", "--jobs", "1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(output)
    found = BlockSet.load(output)
    assert len(found.sources) == 3
    assert found.costs is not None, "by default"
    assert found.manifest["encoder"]["enable_1to4_partitions"] == 1
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "exists already" in again.output
    assert CliRunner().invoke(main, [*arguments, "--overwrite"]).exit_code == 0
    assert CliRunner().invoke(main, [*arguments, "--cq", "a,b"]).exit_code == 2


OVERTAKEN = """
import sys
from pathlib import Path
from toolkit.cli.main import main
import integration.recording.recorder as module
real = module.check_sources
def wait(*given):  # between the first look at the output and the lock
    found = real(*given)
    print("here", flush=True)
    sys.stdin.readline()
    return found
module.check_sources = wait
main()
"""


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("command", ["label", "record"])
def test_a_run_that_was_overtaken_leaves_the_others_output(command: str, tmp_path: Path, pictures: list[Path]) -> None:
    words = [command, pictures[0], "-o", tmp_path / "set", "--cq", "50", "--size", "source", "--split", "train"]
    arguments = [str(word) for word in [*words, "--jobs", "1", "--cpu-used", "3"]]
    late = subprocess.Popen(
        [sys.executable, "-c", OVERTAKEN, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert late.stdout is not None
    assert late.stdout.readline() == "here\n"
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    before = (tmp_path / "set" / "manifest.json").stat().st_mtime_ns
    _, said = late.communicate("\n", timeout=120)
    assert late.returncode == 1
    assert "exists already" in said
    lines = said.strip().splitlines()
    warned = [line for line in lines if line.startswith("Warning: ")]
    assert len(warned) == (2 if command == "record" else 0), said  # of empty splits, and of one source to learn from
    assert len(lines) - len(warned) <= 2, said
    assert (tmp_path / "set" / "manifest.json").stat().st_mtime_ns == before
    assert not (tmp_path / ".set.work").exists()
