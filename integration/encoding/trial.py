"""A trial before an encode: a piece of the first frame, coded without and with what shall make it faster."""

import math

from integration.codec.encoder import Encoder, EncoderConfig
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Masker, Trial, check_masker
from integration.media.video import Clip, Planes
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner

LEAST_FRAMES = 8
"""A shorter clip gets no trial: its share of the encode would be felt."""
SHARE = 0.02
"""Most of a clip's pixels that a trial codes, on each side."""
LEAST_SIDE, STEP = 128, 64
"""Pixels: a smaller piece says little, and whole superblocks are coded."""
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


def try_out(clip: Clip, settings: EncodeConfig, masker: Masker | None, pruner: PrunerBundle | None) -> Trial | None:
    """Code the middle of a clip's first frame without and with masks or a pruner, and compare CPU seconds.

    None where only some frames are key frames, since the others are not pruned, and where the clip is too short, has
    no frame, or coding the piece takes no time that can be measured. Raises ToolkitError as `encode_file` does where
    the masks or the pruner were made for other settings.
    """
    size = piece_of(clip.width, clip.height, clip.count)
    planes = next(clip.frames(), None) if size and settings.keyint == 1 else None
    if size is None or planes is None:
        return None
    piece = _middle(planes, size)
    config = EncoderConfig(*size, clip.bit_depth, **settings.coding)
    plain, _ = _seconds(config, settings, piece, None, None)
    pruned, inference = _seconds(config, settings, piece, masker, pruner)
    return Trial(*size, plain, pruned, inference) if plain else None


def _middle(planes: Planes, size: tuple[int, int]) -> Planes:
    """The middle of a frame, `size` (width, height) large, cut at even places so that chroma fits."""
    height, width = planes[0].shape
    top, left = ((whole - own) // 4 * 2 for whole, own in ((height, size[1]), (width, size[0])))
    y = planes[0][top : top + size[1], left : left + size[0]]
    half = (size[1] + 1) // 2, (size[0] + 1) // 2
    u, v = (p[top // 2 : top // 2 + half[0], left // 2 : left // 2 + half[1]] for p in planes[1:])
    return y, u, v


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
        before, inference = encoder.clock(), encoder.mask_seconds
        encoder.encode(piece)
        return encoder.clock() - before, encoder.mask_seconds - inference
