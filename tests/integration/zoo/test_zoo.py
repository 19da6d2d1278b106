"""The models in the box: named, proven, small, learnt from material that may be redistributed, and of this hook."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image
from support.commands import cli, done, fails
from support.libaom import EARLIER, IN_USE
from support.pictures import CHELSEA
from support.pruners import toy_folder, toy_pruner
from support.sealed import write_json

from benchmarks.rebuild_zoo import RECIPES, Recipe, files_of, make, sources
from integration import zoo
from integration.codec import native
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.commands.pruner import encode_with
from integration.media.video import open_clip
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner
from integration.zoo.card import (
    CLIPS,
    FILE,
    KEY_FRAMES,
    NEAR,
    PHOTOGRAPHS,
    TEXT,
    Card,
    cards,
    choose,
    renewed,
    rows_of,
    speeds,
    write_card,
)
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal, sha256_file
from toolkit.sample import __file__ as sample
from toolkit.shapes import is_sha256

FREE = ("cc0", "cc-by", "public domain", "mit", "bsd-2-clause", "apache-2.0")
OF_KEY_FRAMES = [name for name in zoo.names() if name.startswith("photo")]


@pytest.mark.parametrize("name", zoo.names())
def test_a_model_in_the_box_is_proven_for_this_hook_and_free(name: str, libaom: Libraries) -> None:
    made = PrunerBundle.load(zoo.FOLDER / name)
    assert made.manifest["proof"]["rows"] > 10_000
    made.check_library(native.load(libaom.hook))
    for source in made.manifest["learnt"]["sources"]:
        assert source["licence"].lower().startswith(FREE), source
    assert sum(file.stat().st_size for file in (zoo.FOLDER / name).iterdir()) < 4 << 20


@pytest.mark.parametrize("name", zoo.names())
def test_it_has_not_learnt_from_the_held_out_photographs_of_the_embedded_set(name: str) -> None:
    data = BlockSet.load(Path(sample).parent)
    learnt = {s["sha256"]: s for s in PrunerBundle.load(zoo.FOLDER / name).manifest["learnt"]["sources"]}
    for source in data.sources:
        if source["split"] == "test":
            assert learnt.get(source["sha256"], {}).get("split") != "train"


@pytest.mark.parametrize("name", zoo.names())
def test_its_recipe_is_what_it_was_made_with(name: str) -> None:
    manifest, recipe = PrunerBundle.load(zoo.FOLDER / name).manifest, RECIPES[name]
    encoder, learnt = manifest["encoder"], manifest["learnt"]
    assert (encoder["usage"], encoder["cpu_used"]) == (recipe.record.usage, recipe.record.cpu_used)
    assert tuple(encoder["cq"]) == recipe.record.cq
    size = recipe.record.size
    if not any("coded" in source for source in learnt["sources"]):  # else each source says its own
        assert encoder["recorded"] == {"seed": recipe.record.seed, "share": recipe.record.share}
        assert encoder["input"]["size"] == ("{}x{}".format(*size) if size else "source")
    assert max(1, encoder["kf_max_dist"]) == recipe.record.keyint
    assert (manifest["price"], manifest["most"]) == (recipe.fit.price, recipe.fit.most)
    for key in ("model", "epochs", "seed", "sides", "decisions"):
        own = getattr(recipe.fit, key)
        assert learnt["config"][key] == (list(own) if isinstance(own, tuple) else own), key
    if name in OF_KEY_FRAMES:
        assert {(s["sha256"], s["split"]) for s in learnt["sources"]} == {
            (s["sha256"], s["split"]) for s in sources("photo-8bit")
        }


def test_a_recipe_makes_a_proven_pruner_of_a_folder_of_photographs(libaom: Libraries, tmp_path: Path) -> None:
    wanted: list[dict[str, Any]] = []
    with Image.open(CHELSEA) as cat:
        for index, split in enumerate(("train", "train", "train", "val", "test")):
            left, top = index % 3 * 100, index // 3 * 90
            file = tmp_path / "photos" / f"crop{index}.png"
            file.parent.mkdir(exist_ok=True)
            cat.crop((left, top, left + 160, top + 144)).save(file)
            kept = {"name": file.stem, "sha256": sha256_file(file), "licence": "CC0", "origin": "test"}
            wanted.append(kept | {"split": split})
    plain = [dict(own) for own in wanted]
    wanted[-1]["coded"] = {"chroma": "4:4:4", "tune": "iq"}
    recipe = RECIPES["photo-allintra"]
    recipe = Recipe(
        replace(recipe.record, cq=(25, 40, 55), share=1.0, jobs=1), replace(recipe.fit, epochs=2, sides=(8, 16))
    )
    made = make(recipe, wanted, tmp_path / "photos", tmp_path / "made", tmp_path / "records" / "tiny")
    assert made.manifest["proof"]["passed"]
    learnt = made.manifest["learnt"]["sources"]
    assert all(is_sha256(source["luma_sha256"]) for source in learnt)
    assert [{key: source[key] for key in plain[0]} for source in learnt] == plain
    assert [(s["coded"]["chroma"], s["coded"].get("tune")) for s in learnt[3:]] == [("4:2:0", None), ("4:4:4", "iq")]
    assert made.encoder["usage"] == "allintra"
    with pytest.raises(click.UsageError, match="1 of 1 sources are not there, as gone"):
        files_of([{"name": "gone", "sha256": "0" * 64}], tmp_path / "photos")


def test_it_is_found_by_name_and_listed_with_saving_and_price() -> None:
    assert "photo-8bit" in zoo.names()
    listed = done("zoo").output
    for card in cards():
        for row in card.measured:
            assert f"{card.name}: {row.material}, {row.bit_depth} bit, {card.usage} usage" in listed
            assert row.expected in listed
            assert f"({len(row.sources)} sources{f' of at most {row.size}' if row.size else ''})" in listed
    assert zoo.find(Path("photo-8bit")) == zoo.FOLDER / "photo-8bit"
    fails(cli("pruner", "info", "photo-9bit"), "no pruner in the box. These are: photo-8bit")
    assert set(json.loads(done("zoo", "--json").output)) == {card.name for card in cards()}


def test_what_a_card_says_cannot_act_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(Card.load(zoo.FOLDER / "photo-8bit"), not_for=("clear\x1b[2J \u202e",))
    monkeypatch.setattr("integration.zoo.card.cards", lambda: [card])
    shown = done("zoo", "show", card.name).output
    assert "- clear\\x1b[2J \\u202e\n" in shown


@pytest.mark.parametrize("name", zoo.names())
def test_a_card_says_what_was_measured_how_and_from_whom_it_learnt(name: str) -> None:
    card = Card.load(zoo.FOLDER / name)
    shown = done("zoo", "show", name).output
    trained_on = {s["name"] for s in card.sources if s["split"] == "train"}
    for row in card.measured:
        assert row.command in shown
        assert row.machine in shown
        assert not trained_on & set(row.sources)
        if row.material == CLIPS:  # other segments of a clip have other names and hashes: the clips must be others
            learnt = {name.rpartition("-")[0] for name in trained_on}
            assert not [(clip, source) for clip in learnt for source in row.sources if clip in source]
    assert all(sentence in shown for sentence in card.not_for)
    assert all(str(s["licence"]) in shown for s in card.sources if s["split"] == "train")
    fails(cli("zoo", "show", "photo-9bit"), "no pruner with a card in the box. These are:")


def with_card(tmp_path: Path, **changes: object) -> Path:
    """A copy of photo-8bit whose card has these entries instead, not sealed again."""
    folder = tmp_path / "copy"
    shutil.copytree(zoo.FOLDER / "photo-8bit", folder)
    card = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(card | changes))
    return folder


def test_a_card_that_was_edited_or_belongs_to_another_pruner_is_refused(tmp_path: Path) -> None:
    folder = with_card(tmp_path, measured=[])
    with pytest.raises(ToolkitError, match="was edited"):
        Card.load(folder)
    card = json.loads((folder / FILE).read_text())
    write_json(folder / FILE, seal(card | {"pruner_sha256": "0" * 64}))
    with pytest.raises(ToolkitError, match="another pruner than the one beside it"):
        Card.load(folder)
    own = json.loads((folder / "manifest.json").read_text())["sha256"]
    write_json(folder / FILE, seal(card | {"pruner_sha256": own, "measured": [{"material": 3}]}))
    with pytest.raises(ToolkitError, match="a measured row: material is 3, expected str"):
        Card.load(folder)
    shutil.copy(zoo.FOLDER / "photo-8bit" / FILE, folder / FILE)
    assert Card.load(folder).measured
    (folder / TEXT).write_text((folder / TEXT).read_text().replace("speeds ", "speeds 9"))
    with pytest.raises(ToolkitError, match=r"card\.txt: does not say what card\.json says"):
        Card.load(folder)


def test_a_card_speaks_of_frames_that_its_pruner_prunes(tmp_path: Path) -> None:
    for name, material in (("photo-8bit", CLIPS), ("video-8bit", KEY_FRAMES)):
        own = Card.load(zoo.FOLDER / name)
        assert own.frame_kind == PrunerBundle.load(zoo.FOLDER / name).frame_kind
        folder = Path(shutil.copytree(zoo.FOLDER / name, tmp_path / name))
        with pytest.raises(ToolkitError, match=f"a pruner of {own.frame_kind} frames, measured on {material}"):
            write_card(folder, [replace(own.measured[0], material=material)], [])
        assert Card.load(folder) == replace(own, path=folder), "nothing was written"


def report(*arms: tuple[str, int, float, float | None]) -> dict[str, Any]:
    """A benchmark's report as far as a card reads it: kind, speed, saving and points under the frontier of each arm."""
    own = [
        {
            "kind": kind,
            "cpu_used": speed,
            "own_preset": {"saving": saving, "loss": 0.5},
            "under_frontier": under,
            "worst": {"clip": "a", "loss": 1.0},
        }
        for kind, speed, saving, under in arms
    ]
    about = {"settings": {"size": None}, "bit_depths": [8], "largest": "480x320"}
    return {"libaom": IN_USE, "arms": own, "clips": ["a", "b"], "anchor": "native at 0", **about}


def test_a_pruner_is_chosen_only_where_its_card_shows_a_gain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from integration.zoo import card

    shutil.copytree(zoo.FOLDER / "photo-8bit", tmp_path / "photo-8bit")
    monkeypatch.setattr(card, "FOLDER", tmp_path)
    measured = report(
        ("native", 1, 0.0, None),
        ("pruner 0.03", 1, 30.0, 0.5),
        ("pruner 0.05", 2, 40.0, 0.9),
        ("pruner 0.03", 3, 20.0, -0.1),
        ("pruner 0.03", 4, 10.0, None),
    )
    rows = rows_of(measured, PHOTOGRAPHS, 0.03, "av1part bench encoder", "2 cores")
    write_card(tmp_path / "photo-8bit", rows, ["Clips."])
    assert [row.cpu_used for row in card.Card.load(tmp_path / "photo-8bit").measured] == [1, 3, 4]
    assert speeds(rows) == [1]
    assert speeds([*rows, replace(rows[0], material=KEY_FRAMES, under_frontier=-0.1)]) == []
    assert f"speeds {IN_USE} 8 420 0 1\n" in (tmp_path / "photo-8bit" / TEXT).read_text()
    found = choose(PHOTOGRAPHS, 8, "good", 1)
    assert found is not None
    assert (found[0].name, found[1].saving) == ("photo-8bit", 30.0)
    assert choose(PHOTOGRAPHS, 8, "good", 1, four_way=True) is not None
    for other in (
        (PHOTOGRAPHS, 8, "good", 2),
        (PHOTOGRAPHS, 8, "good", 3),
        (PHOTOGRAPHS, 8, "good", 4),
        (PHOTOGRAPHS, 10, "good", 1),
        (PHOTOGRAPHS, 8, "allintra", 1),
        (KEY_FRAMES, 8, "good", 1),
    ):
        assert choose(*other) is None
    assert choose(PHOTOGRAPHS, 8, "good", 1, four_way=False) is None
    with pytest.raises(ToolkitError, match="no arm of the pruner at its own price"):
        rows_of(report(("native", 1, 0.0, None)), PHOTOGRAPHS, 0.03, "", "")
    with pytest.raises(ToolkitError, match="Measure each bit depth by itself"):
        rows_of(measured | {"bit_depths": [8, 10]}, PHOTOGRAPHS, 0.03, "", "")


def test_with_a_card_a_pruner_serves_another_libaom_than_it_learnt_with(libaom: Libraries, tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "toy", libaom, toy_pruner([(16, "stop")], -5.0, 5.0), version=EARLIER)
    hook = native.load(libaom.hook)

    def served() -> list[int]:
        """Speeds at which C takes the pruner."""
        found = []
        for speed in (1, 2, 3):
            with Encoder(EncoderConfig(64, 64, cpu_used=speed)) as encoder:
                if hook.av1part_load_pruner(encoder._handle, str(folder).encode()) == 0:
                    found.append(speed)
        return found

    with pytest.raises(ToolkitError, match=f"version was '{EARLIER}' in its record, '{IN_USE}' here"):
        PrunerBundle.load(folder).check_library(hook)
    assert served() == []
    (gain,) = rows_of(report(("pruner 0.05", 2, 30.0, 0.5)), PHOTOGRAPHS, 0.05, "", "")
    then = [replace(gain, libaom=EARLIER), replace(gain, libaom=EARLIER, cpu_used=3, saving=-1.0)]
    write_card(folder, then, [])
    PrunerBundle.load(folder).check_library(hook)
    assert served() == [2], "of the newest libaom that it was measured with"
    now = [replace(gain, cpu_used=1), replace(gain, cpu_used=2, saving=-1.0)]
    write_card(folder, [*then, *now], [])
    assert served() == [1], "of this libaom, where it was measured with it"
    texts = (folder / TEXT).read_text().splitlines()[2:4]
    assert texts == [f"speeds {IN_USE} 8 420 0 1", f"speeds {EARLIER} 8 420 0 12"]
    card = Card.load(folder)
    for name, speed, saving in ((IN_USE, 2, -1.0), (EARLIER, 2, 30.0), (IN_USE, 3, -1.0), ("3.11.0", 2, -1.0)):
        row = card.row(PHOTOGRAPHS, 8, speed, libaom=name)
        assert row is not None
        assert (row.saving, row.libaom == name) == (saving, speed == 2 and name != "3.11.0")
        assert (f"with libaom {row.libaom}" in row.expected_at(480, 320, name)) == (row.libaom != name)


def test_an_encode_takes_it_by_default_and_says_so_and_stock_libaom_when_told_to(
    libaom: Libraries, tmp_path: Path
) -> None:
    words = ("--size", "160x128", "--cq", "40", "--json")
    by_default = done("encode", CHELSEA, "-o", tmp_path / "default.obu", *words)
    named = done("encode", CHELSEA, "-o", tmp_path / "named.obu", *words, "--pruner", "photo-8bit")
    assert "Pruner photo-8bit: expected" in by_default.stderr
    assert "--no-pipeline gives stock libaom" in by_default.stderr
    assert (tmp_path / "default.obu").read_bytes() == (tmp_path / "named.obu").read_bytes()
    for one in (by_default, named):
        assert json.loads(one.stdout)["decisions"]
        assert json.loads(one.stdout)["expected_saving"] > 0
    plain = done("encode", CHELSEA, "-o", tmp_path / "stock.obu", *words, "--no-pipeline")
    assert plain.stderr == ""
    assert (json.loads(plain.stdout)["decisions"], json.loads(plain.stdout)["expected_saving"]) == ({}, None)
    clip = open_clip(CHELSEA, (160, 128))
    with Encoder(EncoderConfig(clip.width, clip.height, cq=40, four_way=True), library=libaom.stock) as encoder:
        encoder.set_colour(clip.colour)
        assert (tmp_path / "stock.obu").read_bytes() == encoder.encode(next(clip.frames())).data
    assert (tmp_path / "stock.obu").read_bytes() != (tmp_path / "default.obu").read_bytes()


def test_where_no_card_shows_a_gain_the_encode_is_stock_libaom_and_says_why(libaom: Libraries, tmp_path: Path) -> None:
    raw = tmp_path / "clip.yuv"
    raw.write_bytes(np.full(64 * 64 * 3 // 2, 500, "<u2").tobytes())
    words = ("encode", raw, "--raw", "64x64:10", "--keyint", "1", "--cpu-used", "4", "--json")
    said = done(*words, "-o", tmp_path / "a.ivf")
    assert "Stock libaom: no pruner in the box has a measured gain on key frames of clips, 10 bit" in said.stderr
    done(*words, "-o", tmp_path / "b.ivf", "--no-pipeline")
    assert (tmp_path / "a.ivf").read_bytes() == (tmp_path / "b.ivf").read_bytes()
    named = done(*words, "-o", tmp_path / "n.ivf", "--pruner", "photo-8bit")
    assert "photo-8bit has no row of key frames of clips, 10 bit, cpu-used 4 on its card" in named.stderr
    assert json.loads(named.stdout)["expected_saving"] is None
    for photograph in (("--usage", "allintra"), ("--cpu-used", "6"), ("--no-4way",)):
        told = done("encode", CHELSEA, "-o", tmp_path / "c.ivf", "--size", "64x64", "--overwrite", *photograph)
        assert "Stock libaom: no pruner in the box has a measured gain on photographs, 8 bit" in told.stderr


def test_the_command_that_comes_next_has_the_usage_and_speed_that_a_pruner_learnt_at() -> None:
    next_command = encode_with(PrunerBundle.load(zoo.FOLDER / "photo-allintra-6"))
    assert "--usage allintra --cpu-used 6 -o" in next_command
    assert "--usage" not in encode_with(PrunerBundle.load(zoo.FOLDER / "photo-8bit"))


def test_a_card_promises_nothing_of_an_encode_that_it_does_not_speak_of(libaom: Libraries, tmp_path: Path) -> None:
    words = ("-o", tmp_path / "o.ivf", "--pruner", "photo-8bit", "--json")
    for other in (("--usage", "allintra"), ("--no-4way",)):
        refused = cli("encode", CHELSEA, "--size", "64x64", *words, *other)
        assert refused.exit_code == 1
        assert "expected" not in refused.stderr
    raw = tmp_path / "clip.yuv"
    raw.write_bytes(np.full(64 * 64 * 3 // 2, 500, "<u2").tobytes())
    deep = done("encode", raw, "--raw", "64x64:10", "--keyint", "1", "--cpu-used", "4", *words)
    assert "photo-8bit has no row of key frames of clips, 10 bit" in deep.stderr
    assert json.loads(deep.stdout)["expected_saving"] is None


def test_contradicting_options_are_usage_errors(tmp_path: Path) -> None:
    for words in (
        ("--no-pipeline", "--pruner", "photo-8bit"),
        ("--no-pipeline", "--price", "0.05"),
        ("--price", "0.05", "--cpu-used", "6"),  # no pruner in the box is for that
    ):
        assert cli("encode", CHELSEA, "--size", "64x64", "-o", tmp_path / "o.ivf", *words).exit_code == 2
        assert not (tmp_path / "o.ivf").exists()


def test_a_price_is_that_of_the_pruner_in_the_box_too(libaom: Libraries, tmp_path: Path) -> None:
    words = ("encode", CHELSEA, "--size", "160x128", "--cq", "40", "--price", "0.3")
    said = done(*words, "-o", tmp_path / "box.obu").stderr
    assert "Pruner photo-8bit: price 0.3, its card was measured at 0.03: what it gives there is unmeasured" in said
    done(*words, "-o", tmp_path / "named.obu", "--pruner", "photo-8bit")
    done(*words[:-2], "-o", tmp_path / "own.obu")
    assert (tmp_path / "box.obu").read_bytes() == (tmp_path / "named.obu").read_bytes()
    assert (tmp_path / "box.obu").read_bytes() != (tmp_path / "own.obu").read_bytes()


def test_the_row_of_the_nearest_size_is_expected_and_a_far_one_is_called_far(
    libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integration.zoo import card

    shutil.copytree(zoo.FOLDER / "photo-8bit", tmp_path / "photo-8bit")
    monkeypatch.setattr(card, "FOLDER", tmp_path)
    rows = [
        *rows_of(report(("pruner 0.03", 1, 43.0, 0.9)) | {"largest": "480x320"}, PHOTOGRAPHS, 0.03, "", ""),
        *rows_of(report(("pruner 0.03", 1, 17.0, 0.2)) | {"largest": "2048x1536"}, PHOTOGRAPHS, 0.03, "", ""),
    ]
    write_card(tmp_path / "photo-8bit", rows, [])
    for width, height, saving in ((64, 64, 43), (640, 360, 43), (1024, 1024, 17), (1536, 2048, 17), (9000, 6000, 17)):
        found = choose(PHOTOGRAPHS, 8, "good", 1, pixels=width * height)
        assert found is not None
        assert found[1].saving == saving
    write_card(tmp_path / "photo-8bit", rows[1:], [])
    far = done("encode", CHELSEA, "-o", tmp_path / "o.ivf", "--size", "64x64", "--pruner", tmp_path / "photo-8bit")
    expected = "17% of the CPU time saved for +0.50% bytes at equal PSNR, but as measured at 2048x1536"
    assert f"expected {expected}: nothing was measured near 64x42" in far.stderr
    assert f"expected saving: as expected from the pruner's card: {expected}" in far.stdout
    assert "\nsaved:" not in far.stdout
    assert "CPU s, as expected" not in far.stdout
    write_card(tmp_path / "photo-8bit", [replace(rows[0], size="large")], [])
    with pytest.raises(ToolkitError, match="size 'large', expected as 480x320"):
        Card.load(tmp_path / "photo-8bit")


def test_small_dark_objects_in_a_plain_bright_sky_survive(libaom: Libraries) -> None:
    """A few nodes whose SPLIT is worth much among very many plain ones, at the coarsest quantiser of the record."""
    rng = np.random.default_rng(0)
    sky = np.clip(np.linspace(205, 225, 384) + rng.normal(0, 1.2, (256, 384)), 0, 255)
    for _ in range(10):
        row, column, side = rng.integers(20, 216), rng.integers(20, 344), rng.integers(5, 14)
        sky[row : row + side, column : column + 2 * side] = rng.integers(25, 60)
    planes = sky.astype(np.uint8), *np.full((2, 128, 192), 128, np.uint8)
    for name in OF_KEY_FRAMES:
        pruner = PrunerBundle.load(zoo.FOLDER / name)
        usage, cpu_used = pruner.encoder["usage"], pruner.encoder["cpu_used"]
        sizes, psnrs = [], []
        for used in (None, pruner):
            config = EncoderConfig(384, 256, cq=55, cpu_used=cpu_used, usage=usage, four_way=True)
            with Encoder(config) as encoder:
                if used:
                    use_pruner(encoder, used)
                coded = encoder.encode(planes)
            sizes.append(len(coded.data))
            error = ((planes[0].astype(float) - coded.reconstruction[0]) ** 2).mean()
            psnrs.append(10 * np.log10(255**2 / error))
        assert sizes[1] <= 1.03 * sizes[0], name
        assert psnrs[1] >= psnrs[0] - 0.5, name


@pytest.mark.parametrize("cpu_used", [1, 2, 3])
def test_of_small_and_of_large_photographs_the_box_expects_what_was_measured_near_them(cpu_used: int) -> None:
    for pixels in (480 * 320, 2048 * 1365):
        found = choose(PHOTOGRAPHS, 8, "good", cpu_used, pixels=pixels)
        assert found is not None
        assert (found[1].libaom, found[1].distance(pixels) <= NEAR) == (IN_USE, True)


def test_a_new_measurement_replaces_the_row_of_the_same_encodes_alone() -> None:
    first = Card.load(zoo.FOLDER / "photo-8bit").measured[0]
    others = [replace(first, size="99x99"), replace(first, libaom="9.9.9"), replace(first, tune="iq")]
    new = replace(first, saving=1.0)
    assert renewed([first, *others], [new]) == [new, *others]


def test_chroma_and_tunes_have_rows_of_their_own() -> None:
    """What avifenc and ffmpeg make of a PNG by default, and what nobody measured."""
    for tune in ("psnr", "iq"):
        found = choose(PHOTOGRAPHS, 8, "allintra", 6, chroma=444, tune=tune)
        assert found is not None
        assert (found[0].name, found[1].chroma, found[1].tune) == ("photo-allintra-6", 444, tune)
    assert choose(PHOTOGRAPHS, 8, "good", 2, chroma=444) is not None
    assert choose(PHOTOGRAPHS, 8, "good", 2, chroma=422) is None
    assert choose(PHOTOGRAPHS, 8, "allintra", 6, tune="ssimulacra2") is None
