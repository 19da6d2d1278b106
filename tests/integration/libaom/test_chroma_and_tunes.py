"""Other chroma than 4:2:0 and other tunes than PSNR: stock libaom's streams, decoded alike, and costs that add up."""

import numpy as np
import pytest
from support.decoding import assert_decodes
from support.pictures import CHELSEA

from integration.codec.config import CHROMAS, TUNES
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, EncoderSettings
from integration.codec.libaom_build import Libraries
from integration.media.planes import Planes
from integration.media.video import open_clip
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner
from integration.zoo import FOLDER
from toolkit.errors import ToolkitError
from toolkit.partition import NONE, SPLIT
from toolkit.search.table import TABLES

WIDTH, HEIGHT = 161, 99


def planes_of(config: EncoderConfig) -> Planes:
    """A crop of the cat; of 10 bit its samples times four."""
    planes = next(open_clip(CHELSEA, chroma=config.chroma).frames())
    cut = (plane[:high, :wide] for plane, (high, wide) in zip(planes, map(config.plane_shape, range(3)), strict=False))
    return tuple(plane if config.bit_depth == 8 else plane.astype(np.uint16) * 4 for plane in cut)


def config_of(chroma: int, tune: str = "psnr", bit_depth: int = 8) -> EncoderConfig:
    return EncoderSettings(6, "allintra", tune=tune).at(WIDTH, HEIGHT, bit_depth, 25, chroma)


def encode(config: EncoderConfig, **options: object) -> EncodedFrame:
    with Encoder(config, **options) as encoder:
        return encoder.encode(planes_of(config))


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("chroma", CHROMAS)
def test_without_a_pruner_the_stream_is_stock_libaoms(libaom: Libraries, chroma: int, tune: str) -> None:
    config = config_of(chroma, tune)
    assert encode(config).data == encode(config, library=libaom.stock).data


def test_tunes_and_chroma_reach_libaom(libaom: Libraries) -> None:
    streams = {encode(config_of(chroma, tune)).data for chroma in CHROMAS for tune in TUNES}
    assert len(streams) == len(CHROMAS) * len(TUNES)


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("chroma", CHROMAS)
def test_a_pruned_stream_decodes_to_what_the_encoder_shows(libaom: Libraries, chroma: int, bit_depth: int) -> None:
    config = config_of(chroma, "ssim", bit_depth)
    with Encoder(config) as encoder:
        use_pruner(encoder, PrunerBundle.load(FOLDER / "photo-allintra-6"))
        result = encoder.encode(planes_of(config))
        assert encoder.decisions()[1].sum() > 10
    assert result.data != encode(config).data
    assert_decodes(result, config)


@pytest.mark.parametrize("tune", TUNES)
def test_the_quarters_cost_what_libaom_counts_for_split(libaom: Libraries, tune: str) -> None:
    """Where tunes give each square a multiplier of its own, libaom counts the quarters anew with the larger one's."""
    settings = EncoderSettings(4, "allintra", tune=tune)
    with Encoder(settings.at(384, 256, 8, 15)) as encoder:
        encoder.record_search()
        encoder.encode(planes_of(encoder.config))
        rows = encoder.search_rows()
    ratio = rows["features"][:, [feature.name for feature in TABLES["key"]].index("split_to_none")]
    chosen = (rows["partition"] == SPLIT) & (ratio < 3.9)
    assert chosen.sum() > 20
    bits = rows["bits"][chosen]
    np.testing.assert_allclose(ratio[chosen] * bits[:, NONE], bits[:, SPLIT], rtol=1e-4)


def test_an_unknown_tune_is_refused(libaom: Libraries) -> None:
    with pytest.raises(ToolkitError, match="Tune 'vmaf': expected one of psnr"):
        Encoder(EncoderConfig(64, 64, tune="vmaf"))


def test_planes_of_other_chroma_are_refused(libaom: Libraries) -> None:
    with (
        Encoder(config_of(422)) as encoder,
        pytest.raises(ToolkitError, match=r"plane 1 has shape \(50, 81\), expected \(99, 81\)"),
    ):
        encoder.encode(planes_of(config_of(420)))
