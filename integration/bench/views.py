"""Pictures of one frame of every clip: the partitions that the masks left, beside libaom's choice without them."""

import io
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from integration.bench.config import BenchConfig
from integration.bench.control_masks import forbids
from integration.bench.session import PIPELINE, Arm, Session
from integration.codec.encoder import Mask
from integration.media.sources import SourceFile
from integration.pipeline.policy import bits
from toolkit.data.blockset import Luma
from toolkit.data.preview import (
    INK,
    LEGEND_LINE,
    MARGIN,
    SCALE,
    TITLE,
    draw_legend,
    draw_partitions,
    legend_lines,
    to_8_bit,
)  # fmt: skip
from toolkit.files import atomic_write_bytes
from toolkit.partition import HORZ, HORZ_A, HORZ_B, INSIDE_LARGER, NODE, SPLIT, VERT, VERT_A, VERT_B, partitions_of

WINDOW = (288, 384)
"""Largest height and width, in pixels, of the part of a frame that is shown: its middle, cut to whole nodes."""
GROUND, GREY, WRONG = (18, 18, 20), (75, 75, 75), (255, 0, 200)
_SPLIT, _RECT, _AB = bits(SPLIT), bits(HORZ, VERT), bits(HORZ_A, HORZ_B, VERT_A, VERT_B)
LEFT = (
    ("no AB", (64, 132, 255)),
    ("no SPLIT", (0, 190, 170)),
    ("NONE and SPLIT only", (150, 80, 235)),
    ("NONE only", (245, 245, 245)),
    ("else restricted", (150, 105, 60)),
)
"""Tints of what a mask leaves, none of them a colour of a partition's outline."""


class View(TypedDict):
    """A picture of a frame's nodes of one size; `file` is a PNG, named from the report's folder.

    Nodes are counted over the whole frame: `searched_nodes` are not inside a larger block, at `wrong_nodes` of them the
    mask forbids libaom's choice; `restricted_nodes` have any mask.
    """

    node: int
    file: str
    arm: str
    cq: int
    qindex: int
    restricted_nodes: int
    wrong_nodes: int
    searched_nodes: int


def draw_views(session: Session, files: Sequence[SourceFile], config: BenchConfig) -> dict[str, list[View]]:
    """Draw the first frame of every clip under the pipelines' masks, at the first masked preset and the middle cq.

    Writes the pictures to the session's folder and returns, by clip, a view for each node size.
    """
    arm = Arm(PIPELINE, config.masked[0], threads=config.threads[0])
    cq = sorted(config.cq)[len(config.cq) // 2]
    views: dict[str, list[View]] = {}
    (session.folder / "frames").mkdir(exist_ok=True)
    for file in files:
        reference, made = session.reference(file, cq, arm.cpu_used, arm.threads), session.made_masks(file, cq, arm)
        clip = session.open(file)
        luma = next(iter(clip.frames()))[0]
        views[file.name] = []
        for node, masks in made.items():
            labels, mask = reference.labels[node][0], masks[0]
            name = f"frames/{file.name}-{node}.png"
            atomic_write_bytes(session.folder / name, draw_view(luma, clip.bit_depth, mask, labels, node))
            view = View(
                node=node,
                file=name,
                arm=arm.name,
                cq=cq,
                qindex=int(reference.qindex[0]),
                restricted_nodes=int(((mask != 0) & (mask != bits(*partitions_of(node)))).sum()),
                wrong_nodes=int(forbids(mask, labels).sum()),
                searched_nodes=int((labels != INSIDE_LARGER).sum()),
            )
            views[file.name].append(view)
    return views


def draw_view(luma: Luma, bit_depth: int, mask: Mask, labels: NDArray[np.uint8], node: int = NODE) -> bytes:
    """Draw a PNG: on the left nodes tinted by what the mask left of them, on the right the chosen partitions outlined.

    Nodes where the mask forbids the choice are crossed out on both sides.
    """
    rows, columns = (min(side // node, most // node) for side, most in zip(luma.shape, WINDOW, strict=True))
    top, left = (luma.shape[0] // node - rows) // 2, (luma.shape[1] // node - columns) // 2
    part = slice(top, top + rows), slice(left, left + columns)
    shown = to_8_bit(luma[top * node : (top + rows) * node, left * node : (left + columns) * node], bit_depth)
    mask, labels = mask[part], labels[part]
    places = [(row, column) for row in range(rows) for column in range(columns)]
    chosen = [(r * node, c * node, int(labels[r, c])) for r, c in places if labels[r, c] != INSIDE_LARGER]
    sides = [_tinted(shown, mask, places, node), draw_partitions(shown, chosen, node)]
    wrong = [place for place in places if forbids(mask, labels)[place]]
    for side in sides:
        _cross_out(side, wrong, node)
    return _sheet(sides, ("left by the mask", "chosen without a mask"))


def _left(entry: int, node: int) -> int | None:
    """Index in LEFT of what a mask's entry leaves of a node of that side; None where the node is unrestricted."""
    if entry in (0, bits(*partitions_of(node))):
        return None
    kinds = bool(entry & _SPLIT), bool(entry & _RECT), bool(entry & _AB)
    known = {(True, True, False): 0, (False, True, True): 1, (False, True, False): 1, (True, False, False): 2}
    return known.get(kinds, 3 if not any(kinds) else 4)


def _tinted(luma: NDArray[np.uint8], mask: Mask, places: Sequence[tuple[int, int]], node: int) -> Image.Image:
    image = draw_partitions(luma, [])
    tint = image.copy()
    draw = ImageDraw.Draw(tint)
    side = node * SCALE
    for row, column in places:
        kind = _left(int(mask[row, column]), node)
        if kind is not None:
            draw.rectangle((column * side, row * side, (column + 1) * side - 1, (row + 1) * side - 1), LEFT[kind][1])
    return Image.blend(image, tint, 0.45)


def _cross_out(image: Image.Image, places: Sequence[tuple[int, int]], node: int) -> None:
    draw, side = ImageDraw.Draw(image), node * SCALE
    for row, column in places:
        x, y, far = column * side + 6, row * side + 6, side - 13
        draw.line((x, y, x + far, y + far), WRONG, 3)
        draw.line((x, y + far, x + far, y), WRONG, 3)


def _sheet(sides: Sequence[Image.Image], titles: Sequence[str]) -> bytes:
    """Put both sides on one PNG, under their titles: below the left one the masks' tints, below the right one outlines.

    Each side has a legend of its own, since a tint is no outline.
    """
    font, small = ImageFont.load_default(17), ImageFont.load_default(14)
    width, height = max(sides[0].width, 360), sides[0].height
    tints = _legend_lines([*LEFT, ("no tint: unrestricted", GREY), ("choice forbidden", WRONG)], width, small)
    foot = max(22 * len(tints), LEGEND_LINE * len(legend_lines(width, small)))
    sheet = Image.new("RGB", (2 * width + 3 * MARGIN, height + TITLE + foot + 2 * MARGIN), GROUND)
    draw = ImageDraw.Draw(sheet)
    for number, (side, title) in enumerate(zip(sides, titles, strict=True)):
        x = MARGIN + number * (width + MARGIN)
        draw.text((x, MARGIN // 2), title, INK, font)
        sheet.paste(side, (x, TITLE + MARGIN // 2))
    for row, entries in enumerate(tints):
        for at, name, colour in entries:
            x, y = MARGIN + int(at), TITLE + height + MARGIN + 22 * row
            if colour == WRONG:
                draw.line((x, y + 2, x + 13, y + 15), colour, 3)
                draw.line((x, y + 15, x + 13, y + 2), colour, 3)
            else:
                draw.rectangle((x, y + 2, x + 13, y + 15), colour)
            draw.text((x + 19, y), name, INK, small)
    draw_legend(sheet, (2 * MARGIN + width, TITLE + height + MARGIN), width, small)
    target = io.BytesIO()
    sheet.save(target, format="PNG")
    return target.getvalue()


_Colour = tuple[int, int, int]


def _legend_lines(
    legend: Sequence[tuple[str, _Colour]], width: int, font: Any
) -> list[list[tuple[float, str, _Colour]]]:
    lines: list[list[tuple[float, str, _Colour]]] = [[]]
    at = 0.0
    for name, colour in legend:
        wide = 34 + font.getlength(name)
        if lines[-1] and at + wide > width:
            lines.append([])
            at = 0.0
        lines[-1].append((at, name, colour))
        at += wide
    return lines
