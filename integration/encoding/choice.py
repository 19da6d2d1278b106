"""Which pruner in the box an encode uses by default, and what is expected of a pruner."""

from pathlib import Path
from typing import TypedDict

from integration.codec.config import CHROMAS
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Report
from integration.media.photographs import is_photograph
from integration.media.video import Clip
from integration.pruning.bundle import PrunerBundle
from integration.zoo import FOLDER
from integration.zoo.card import CLIPS, FILE, KEY_FRAMES, NEAR, PHOTOGRAPHS, Card, Row, choose


class _Coded(TypedDict):
    """What of a coding a card's row is told apart by, beside its material, bit depth and speed."""

    chroma: int
    tune: str


def material_of(source: Path, keyint: int) -> str:
    """What a card calls such an encode's frames."""
    if is_photograph(source):
        return PHOTOGRAPHS
    return KEY_FRAMES if keyint == 1 else CLIPS


def unpruned(settings: EncodeConfig) -> str:
    """Why nothing can be pruned at the speed of an encode; empty where something may be."""
    if settings.searches:
        return ""
    return f"in all-intra usage libaom searches no partitions at cpu-used {settings.cpu_used}"


def _unusual(clip: Clip, settings: EncodeConfig) -> str:
    """Chroma and tune of an encode where they are not the usual ones, as in `, 4:4:4, tune iq`."""
    found = f", {CHROMAS[clip.chroma]}" if clip.chroma != 420 else ""
    return found + (f", tune {settings.tune}" if settings.tune != "psnr" else "")


def default_pruner(
    clip: Clip, settings: EncodeConfig, four_way: bool | None
) -> tuple[PrunerBundle | None, Row | None, str]:
    """The pruner to encode a clip with, what its card expects, and a line that says so; None for stock libaom.

    `four_way` None leaves the 4-way partitions to the pruner. At another price than its own nothing is expected of it.
    """
    material, depth = material_of(clip.path, settings.keyint), clip.bit_depth
    if why := unpruned(settings):
        return None, None, f"Stock libaom: {why}."
    pixels = clip.width * clip.height
    more: _Coded = {"chroma": clip.chroma, "tune": settings.tune}
    found = choose(material, depth, settings.usage, settings.cpu_used, four_way=four_way, pixels=pixels, **more)
    if not found:
        four = " without 4-way partitions" if four_way is False else ""
        speed = f"cpu-used {settings.cpu_used}{four}{_unusual(clip, settings)}"
        where = f"{material}, {depth} bit, {settings.usage} usage, {speed}"
        return None, None, f"Stock libaom: no pruner in the box has a measured gain on {where}."
    card, row = found
    pruner, stock = PrunerBundle.load(FOLDER / card.name), "--no-pipeline gives stock libaom."
    if settings.price not in (None, card.price):
        there = f"price {settings.price:g}, its card was measured at {card.price:g}: what it gives there is unmeasured"
        return pruner, None, f"Pruner {card.name}: {there}; {stock}"
    return pruner, row, f"Pruner {card.name}: expected {row.expected_at(clip.width, clip.height)}; {stock}"


def key_frames_pruner(clip: Clip, settings: EncodeConfig, pruner: PrunerBundle | None) -> PrunerBundle | None:
    """The pruner in the box for the key frames of a clip whose inter frames have the one that `default_pruner` chose.

    None where the frames between are not pruned, where no card shows a gain, and at a price of the caller's own, which
    is that of the other pruner.
    """
    if pruner is None or pruner.frame_kind == "key" or settings.price is not None:
        return None
    pixels, four_way = clip.width * clip.height, settings.four_way
    more: _Coded = {"chroma": clip.chroma, "tune": settings.tune}
    found = choose(
        KEY_FRAMES, clip.bit_depth, settings.usage, settings.cpu_used, four_way=four_way, pixels=pixels, **more
    )
    return PrunerBundle.load(FOLDER / found[0].name) if found else None


def pruner_for(
    clip: Clip,
    settings: EncodeConfig,
    asked: PrunerBundle | None,
    four_way: bool | None,
    *,
    without: bool = False,
    masked: bool = False,
) -> tuple[PrunerBundle | None, Row | None, str]:
    """Pruner that was asked for, else the one in the box for such an encode unless it goes `without`; what to expect.

    The card's row is None where it has none, and beside masks, of which a card knows nothing; the last is a line about
    both, empty where there is nothing to say.
    """
    if asked and not settings.searches:
        return None, None, f"Without {asked.path.name}: {unpruned(settings)}."
    if asked:
        row, said = expected_of(asked, clip, settings, four_way)
        if row and masked:
            return asked, None, f"The card of {asked.path.name} says nothing of what it gives beside masks."
        return asked, row, said
    return (None, None, "") if masked or without else default_pruner(clip, settings, four_way)


def expect(report: Report, row: Row, clip: Clip) -> None:
    """Say in the report of an encode what a row of the pruner's card expects of such a source."""
    report.expected_saving, report.expected_at = row.saving, row.expected_at(clip.width, clip.height)
    report.expected_near = row.distance(clip.width * clip.height) <= NEAR


def expected_of(
    pruner: PrunerBundle, clip: Clip, settings: EncodeConfig, four_way: bool | None
) -> tuple[Row | None, str]:
    """What the card of a pruner that was asked for expects of an encode, and a line about it; empty: nothing to say.

    A card speaks of the pruner's own price alone. Of another usage or `four_way` nothing is said, because the encode
    refuses them.
    """
    material, depth = material_of(clip.path, settings.keyint), clip.bit_depth
    learnt_at = pruner.encoder.get("cpu_used")
    has_card = (pruner.path / FILE).is_file() and settings.price in (None, pruner.price)
    card = Card.load(pruner.path) if has_card else None
    name = pruner.path.name if pruner.path.parent == FOLDER else str(pruner.path)
    if card and (card.usage != settings.usage or four_way not in (None, card.four_way)):
        return None, ""
    more: _Coded = {"chroma": clip.chroma, "tune": settings.tune}
    row = card.row(material, depth, settings.cpu_used, clip.width * clip.height, **more) if card else None
    if card and row is None:
        here = (
            f"has no row of {material}, {depth} bit, cpu-used {settings.cpu_used}{_unusual(clip, settings)} on its card"
        )
        return None, f"Warning: {name} {here}: what it gives there is unmeasured."
    if row is None:
        if learnt_at == settings.cpu_used:
            return None, ""
        here = f"learnt at cpu-used {learnt_at}, this encode has {settings.cpu_used}"
        return None, f"Warning: {name} {here}: what it gives there is unmeasured."
    expected = row.expected_at(clip.width, clip.height)
    if row.gains:
        return row, f"Pruner {name}: expected {expected}."
    return row, f"Warning: {name} will not pay here: its card has, on {material}, {expected}."
