"""A trial before an encode: a piece of a frame, coded without and with what shall make it faster."""

import math

import numpy as np

from integration.codec.config import FrameFormat, chroma_step
from integration.codec.encoder import Encoder, EncoderConfig
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Masker, Trial, check_masker
from integration.media.photographs import is_photograph
from integration.media.planes import Planes
from integration.media.video import Clip
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner
from toolkit.data.blockset import Luma
from toolkit.processes import spent_apart

LEAST_FRAMES = 8
"""A shorter clip gets no trial: its share of the encode would be felt."""
SHARE = 0.02
"""Most of a clip's pixels that a trial codes, on each side."""
LEAST_SIDE, STEP = 128, 64
"""Pixels: a smaller piece says little, and whole superblocks are coded."""
LEAST_TILES, SMALL_TILE = 2, 32
"""A photograph's trial codes tiles from all over it, because its middle may be unlike the rest: at least so many each
way, of this side in pixels where tiles of STEP would be too few."""
WARM_QINDEX = 128
"""Of the mask that is made before the clock starts, and used for nothing."""


def piece_of(width: int, height: int, frames: int | None) -> tuple[int, int] | None:
    """Width and height of the piece that a trial codes of a clip; None where the clip is too short for one.

    `frames` None: the clip does not announce how many it has.
    """
    if not frames or frames < LEAST_FRAMES:
        return None
    budget = SHARE * frames * width * height
    if budget >= width * height:
        return width, height
    side = math.isqrt(int(budget)) // STEP * STEP
    return (min(side, width) // 2 * 2, min(side, height) // 2 * 2) if side >= LEAST_SIDE else None


def tiles_of(width: int, height: int) -> tuple[int, int] | None:
    """How many tiles each way, and of which side, a trial codes of a photograph; None where it is too small for one."""
    side = min(math.isqrt(int(SHARE * width * height)), width, height)
    tile = STEP if side // STEP > LEAST_TILES else SMALL_TILE
    return (side // tile, tile) if side // tile >= LEAST_TILES else None


def try_out(clip: Clip, settings: EncodeConfig, masker: Masker | None, pruner: PrunerBundle | None) -> Trial | None:
    """Code a piece of a clip's first frame without and with masks or a pruner, and compare CPU seconds.

    None where only some frames are key frames, since the others are not pruned, and where the clip is too short, has
    no frame, or coding the piece takes no time that can be measured. Of a photograph, tiles are coded, and with masks
    alone: what a pruner gives there stands in its card. Raises ToolkitError as `encode_file` does where the masks
    or the pruner were made for other settings.
    """
    photograph = is_photograph(clip.path)
    if settings.keyint != 1 or (photograph and not masker):
        return None
    piece = _of_photograph(clip) if photograph else _of_clip(clip)
    if piece is None:
        return None
    height, width = piece[0].shape
    config = settings.at(width, height, clip.bit_depth, settings.cq, clip.chroma)
    plain, _ = _seconds(config, settings, piece, None, None)
    pruned, inference = _seconds(config, settings, piece, masker, pruner)
    of = "the photograph" if photograph else "the first frame"
    return Trial(width, height, plain, pruned, inference, of) if plain else None


def _of_clip(clip: Clip) -> Planes | None:
    """The middle of a clip's first frame, None where the clip is too short for a trial or has no frame."""
    size = piece_of(clip.width, clip.height, clip.count)
    planes = next(clip.frames(), None) if size else None
    return _middle(planes, size, clip.chroma) if planes and size else None


def _of_photograph(clip: Clip) -> Planes | None:
    """Tiles at equal distances from all over a photograph, put together; None where it is too small for a trial."""
    found = tiles_of(clip.width, clip.height)
    if found is None:
        return None
    (count, side), planes = found, next(clip.frames())

    def joined(plane: Luma, high: int, wide: int) -> Luma:
        rows, columns = (
            [(2 * place + 1) * (size - tile) // (2 * count) for place in range(count)]
            for size, tile in zip(plane.shape, (high, wide), strict=True)
        )
        return np.block([[plane[row : row + high, column : column + wide] for column in columns] for row in rows])

    tile = FrameFormat(side, side, chroma=clip.chroma)
    return tuple(joined(plane, *tile.plane_shape(index)) for index, plane in enumerate(planes))


def _middle(planes: Planes, size: tuple[int, int], chroma: int) -> Planes:
    """The middle of a frame, `size` (width, height) large, cut at even places so that chroma fits."""
    height, width = planes[0].shape
    top, left = ((whole - own) // 4 * 2 for whole, own in ((height, size[1]), (width, size[0])))
    y = planes[0][top : top + size[1], left : left + size[0]]
    (down, across), (high, wide) = chroma_step(chroma), FrameFormat(*size, chroma=chroma).plane_shape(1)
    return y, *(p[top // down :, left // across :][:high, :wide] for p in planes[1:])


def _seconds(
    config: EncoderConfig, settings: EncodeConfig, piece: Planes, masker: Masker | None, pruner: PrunerBundle | None
) -> tuple[float, float]:
    """CPU seconds of coding a piece, inference included, and those of inference alone."""
    with Encoder(config, masker.mask if masker else None) as encoder:
        if masker:
            check_masker(masker, config, encoder.version, settings.any_settings)
            masker.mask(piece[0].copy(), WARM_QINDEX)  # at its first call a model sets itself up
        if pruner:
            use_pruner(encoder, pruner, settings.price)
        before, inference, elsewhere = encoder.clock(), encoder.mask_seconds, spent_apart()
        encoder.encode(piece)
        apart = spent_apart() - elsewhere
        return encoder.clock() - before + apart, encoder.mask_seconds - inference + apart
