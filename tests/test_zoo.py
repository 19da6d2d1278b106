"""The models in the box: named, proven, small, learnt from material that may be redistributed, and of this hook."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image
from support.commands import cli, done, fails
from support.pictures import CHELSEA

from benchmarks.rebuild_zoo import RECIPES, Recipe, make, photographs, sources
from integration import zoo
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.pruning.bundle import PrunerBundle, current_features
from integration.pruning.encoder import use_pruner
from toolkit.data.blockset import BlockSet
from toolkit.files import sha256_file
from toolkit.sample import __file__ as sample

FREE = ("cc0", "cc-by", "public domain")


@pytest.mark.parametrize("name", zoo.names())
def test_a_model_in_the_box_is_proven_for_this_hook_and_free(name: str, libaom: Libraries) -> None:
    made = PrunerBundle.load(zoo.FOLDER / name)
    assert made.manifest["proof"]["rows"] > 10_000
    assert [feature.name for feature in current_features()] == [f["name"] for f in made.manifest["features"]]
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
    assert encoder["recorded"] == {"seed": recipe.record.seed, "share": recipe.record.share}
    assert recipe.record.size is not None
    assert encoder["input"]["size"] == "{}x{}".format(*recipe.record.size)
    assert (manifest["price"], manifest["most"]) == (recipe.fit.price, recipe.fit.most)
    for key in ("trees", "leaves", "seed", "sides", "decisions"):
        own = getattr(recipe.fit, key)
        assert learnt["config"][key] == (list(own) if isinstance(own, tuple) else own), key
    assert learnt["sources"] == sources()


def test_a_recipe_makes_a_proven_pruner_of_a_folder_of_photographs(libaom: Libraries, tmp_path: Path) -> None:
    wanted = []
    with Image.open(CHELSEA) as cat:
        for index, split in enumerate(("train", "train", "train", "val", "test")):
            left, top = index % 3 * 100, index // 3 * 90
            file = tmp_path / "photos" / f"crop{index}.png"
            file.parent.mkdir(exist_ok=True)
            cat.crop((left, top, left + 160, top + 144)).save(file)
            kept = {"name": file.stem, "sha256": sha256_file(file), "licence": "CC0", "origin": "test"}
            wanted.append(kept | {"split": split})
    recipe = RECIPES["photo-allintra"]
    recipe = Recipe(
        replace(recipe.record, cq=(25, 40, 55), share=1.0, jobs=1), replace(recipe.fit, trees=5, sides=(8, 16))
    )
    made = make(recipe, wanted, tmp_path / "photos", tmp_path / "made", tmp_path / "records" / "tiny")
    assert made.manifest["proof"]["passed"]
    assert made.manifest["learnt"]["sources"] == wanted
    assert made.encoder["usage"] == "allintra"
    with pytest.raises(click.UsageError, match="1 of 1 sources are not there, as gone"):
        photographs([{"name": "gone", "sha256": "0" * 64}], tmp_path / "photos")


def test_it_is_found_by_name_and_listed() -> None:
    assert "photo-8bit" in zoo.names()
    listed = done("pruner", "list").output
    assert all(f"{name}: key frames of" in listed for name in zoo.names())
    assert zoo.find(Path("photo-8bit")) == zoo.FOLDER / "photo-8bit"
    fails(cli("pruner", "info", "photo-9bit"), "no pruner in the box. These are: photo-8bit")


def test_small_dark_objects_in_a_plain_bright_sky_survive(libaom: Libraries) -> None:
    """A few nodes whose SPLIT is worth much among very many plain ones, at the coarsest quantiser of the record."""
    rng = np.random.default_rng(0)
    sky = np.clip(np.linspace(205, 225, 384) + rng.normal(0, 1.2, (256, 384)), 0, 255)
    for _ in range(10):
        row, column, side = rng.integers(20, 216), rng.integers(20, 344), rng.integers(5, 14)
        sky[row : row + side, column : column + 2 * side] = rng.integers(25, 60)
    planes = sky.astype(np.uint8), *np.full((2, 128, 192), 128, np.uint8)
    for name in zoo.names():
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
