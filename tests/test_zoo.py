"""The models in the box: named, proven, small, learnt from material that may be redistributed, and of this hook."""

from pathlib import Path

import numpy as np
import pytest
from support.commands import cli, done, fails

from integration import zoo
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.pruning.bundle import PrunerBundle, current_features
from integration.pruning.encoder import use_pruner
from toolkit.data.blockset import BlockSet
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
    size, psnr = {}, {}
    for name in (None, *zoo.names()):
        with Encoder(EncoderConfig(384, 256, cq=55, cpu_used=2, four_way=True)) as encoder:
            if name:
                use_pruner(encoder, PrunerBundle.load(zoo.FOLDER / name))
            coded = encoder.encode(planes)
        size[name] = len(coded.data)
        psnr[name] = 10 * np.log10(255**2 / ((planes[0].astype(float) - coded.reconstruction[0]) ** 2).mean())
    for name in zoo.names():
        assert size[name] <= 1.03 * size[None]
        assert psnr[name] >= psnr[None] - 0.5
