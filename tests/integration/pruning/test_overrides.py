"""Overrides of libaom's speed features: sealed with a pruner, checked by name and range, set in its frames alone."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import cli, done, fails
from support.hosts import build_host
from support.pictures import CHELSEA, frame
from support.pruners import toy

from integration import zoo
from integration.codec import overrides
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.pruning.bundle import PrunerBundle, Tuned, reseal
from integration.pruning.encoder import use_pruner
from toolkit.errors import ToolkitError

BOX = zoo.FOLDER / "photo-8bit"
FEWER = "intra_sf.top_intra_model_count_allowed"
"""A feature that libaom 3.12 and 3.14 have at 3 in all-intra usage at cpu-used 2."""
CONFIG = EncoderConfig(200, 136, cq=40, cpu_used=2, four_way=True)


def stream(pruner: PrunerBundle | None = None, config: EncoderConfig = CONFIG, **given: int) -> bytes:
    with Encoder(config) as encoder:
        if pruner:
            use_pruner(encoder, pruner)
        for name, value in given.items():
            encoder.override_feature(name, value)
        return encoder.encode(frame(config.width, config.height)).data


def tuned_at(version: str) -> Tuned:
    return {"version": version, "cpu_used": 2, "chroma": "4:2:0", "tune": "psnr"}


@pytest.fixture(scope="module")
def tuned(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> PrunerBundle:
    path = tmp_path_factory.mktemp("tuned") / "tuned"
    return reseal(PrunerBundle.load(BOX), path, 0.03, {"2": {FEWER: 1}}, tuned_at(libaom.version))


def test_the_list_is_that_of_the_c_header() -> None:
    assert overrides.HEADER.read_text() == overrides.c_header()
    assert overrides.features()[FEWER] == (1, 4)
    assert all(least < greatest for least, greatest in overrides.features().values())


@pytest.mark.usefixtures("libaom")
def test_a_feature_at_libaoms_own_value_changes_nothing_and_at_another_the_stream() -> None:
    config = replace(CONFIG, usage="allintra")
    alone = stream(config=config)
    assert stream(config=config, **{FEWER: 3}) == alone
    assert stream(config=config, **{FEWER: 1}) != alone


@pytest.mark.usefixtures("libaom")
def test_every_value_in_range_codes_a_frame() -> None:
    small = EncoderConfig(64, 64, cq=50, cpu_used=4, usage="allintra")
    for name, (least, greatest) in overrides.features().items():
        for value in {least, greatest}:
            assert stream(config=small, **{name: value}), name


@pytest.mark.usefixtures("libaom")
def test_what_is_not_in_the_list_is_refused() -> None:
    for name, value, says in ((f"{FEWER}s", 1, "is no speed feature"), (FEWER, 5, "is 5, expected 1 to 4")):
        with pytest.raises(ToolkitError, match=says):
            stream(**{name: value})
        with pytest.raises(ToolkitError, match=says):
            overrides.check_overrides({name: value}, "Here")


def test_a_folder_of_another_speed_or_feature_is_not_sealed(tmp_path: Path) -> None:
    box = PrunerBundle.load(BOX)
    for wrong, says in (({"7": {FEWER: 2}}, "speed '7'"), ({"2": {FEWER: 0}}, "is 0, expected 1 to 4")):
        with pytest.raises(ToolkitError, match=says):
            reseal(box, tmp_path / "new", 0.03, wrong, tuned_at("3.14.1"))
    assert not (tmp_path / "new").exists()


def test_overrides_hold_at_their_speed_alone_and_not_without_them(tuned: PrunerBundle) -> None:
    box = PrunerBundle.load(BOX)
    assert stream(tuned) != stream(box)
    other = EncoderConfig(200, 136, cq=40, cpu_used=3, four_way=True)
    assert stream(tuned, other) == stream(box, other)
    with Encoder(CONFIG) as encoder:
        use_pruner(encoder, tuned, overrides={})
        assert encoder.encode(frame(200, 136)).data == stream(box)


def test_another_pruner_ends_them(tuned: PrunerBundle) -> None:
    never = toy([(16, "no_rect")], loss=9.0, time=-9.0)
    with Encoder(CONFIG) as encoder:
        use_pruner(encoder, tuned)
        encoder.set_pruner(never, price=1.0, most=1e9)
        assert encoder.encode(frame(200, 136)).data == stream()


def hosted(libaom: Libraries, pruner: PrunerBundle, folder: Path) -> bytes:
    """Stream of a program of libaom that finds the pruner by the environment."""
    source, target = folder / "in.yuv", folder / "out.obu"
    source.write_bytes(b"".join(plane.tobytes() for plane in frame(200, 136)))
    program = build_host(libaom, folder / "host")
    env = os.environ | {"LD_LIBRARY_PATH": str(libaom.aom.parent), "AV1PART_PIPELINE": str(pruner.path)}
    subprocess.run([program, "200", "136", "40", "2", source, target], env=env, check=True)
    return target.read_bytes()


def test_a_program_of_libaom_gets_the_overridden_stream_too(
    libaom: Libraries, tuned: PrunerBundle, tmp_path: Path
) -> None:
    assert hosted(libaom, tuned, tmp_path) == stream(tuned) != stream()


def test_every_feature_can_be_overridden_at_every_speed(libaom: Libraries, tmp_path: Path) -> None:
    greatest = {name: most for name, (_, most) in overrides.features().items()}
    every = dict.fromkeys("0123456", greatest)
    made = reseal(PrunerBundle.load(BOX), tmp_path / "all", 0.03, every, tuned_at(libaom.version))
    assert hosted(libaom, made, tmp_path) == stream(made) != stream(PrunerBundle.load(BOX))


def test_info_says_what_is_overridden(tuned: PrunerBundle) -> None:
    assert f"at cpu-used 2 libaom's {FEWER} is 1" in done("pruner", "info", tuned.path).output
    assert "libaom's" not in done("pruner", "info", "photo-8bit").output


def test_a_changed_override_breaks_the_seal(tuned: PrunerBundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tuned.path, tmp_path / "copy"))
    text = (copy / "manifest.json").read_text()
    changed = re.sub(rf'("{FEWER}": ?)1', r"\g<1>2", text)
    assert changed != text
    (copy / "manifest.json").write_text(changed)
    fails(cli("pruner", "info", copy), "manifest.json")


def test_tuning_writes_the_pruner_again_with_what_saved_most(tmp_path: Path) -> None:
    words = ("pruner", "tune", "photo-allintra-6", CHELSEA, "--size", "96x64", "--cq", "30,40,50", "--tune", "ssim")
    known = ("--trials", 3, "--max-loss", 1000, "-o", tmp_path / "tuned")
    report = json.loads(done(*words, *known, "--json").stdout)
    points = report["frontier"]
    assert 1 <= len(points) <= 3
    assert [point["saving"] for point in points] == sorted(point["saving"] for point in points)
    made = PrunerBundle.load(tmp_path / "tuned")
    assert (made.price, made.overrides(6)) == (report["chosen"]["price"], report["chosen"]["overrides"])
    assert report["chosen"] == points[-1]
    assert (made.encoder["cpu_used"], made.encoder["chroma"], made.encoder["tune"]) == (6, "4:2:0", "ssim")
    told = done(*words, *known, "--overwrite")
    assert "tuned by encodes in 4:2:0 with tune ssim" in done("pruner", "info", made.path).output
    following = shlex.split(told.stderr.split("Next: av1part ")[1].replace("PHOTO", str(CHELSEA)))
    done(*following[:-1], tmp_path / "bench", "--size", "96x64", "--repeats", 1)  # what it says comes next, runs
    again = json.loads(done(*words, *known, "--overwrite", "--json").stdout)
    assert again == report, "a search that was stopped goes on, and codes nothing twice"


def test_tuning_that_finds_nothing_cheap_enough_writes_nothing(tmp_path: Path) -> None:
    words = ("pruner", "tune", "photo-allintra-6", CHELSEA, "--size", "96x64", "--cq", "30,40,50", "--cpu-used", 6)
    fails(cli(*words, "--trials", 1, "--max-loss", -1000, "-o", tmp_path / "tuned"), "--max-loss -1000")
    assert not (tmp_path / "tuned").exists()
