"""Draw a data set: frames with their partitions outlined, a row for each source and a column for each qindex."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from toolkit.data.blockset import BlockSet
from toolkit.files import atomic_file
from toolkit.partition import INSIDE_LARGER, NAMES, NODE, rectangles

WINDOW = (240, 400)
"""Height and width in pixels of the shown part of a frame."""
SCALE = 2
THUMB = (120, 200)
"""The same of every further source; it is not enlarged."""
ROWS, COLUMNS = 3, 4
MARGIN, TITLE = 8, 22

INK = (235, 235, 240)
COLOURS = (
    *((255, 255, 255), (255, 214, 10), (255, 214, 10), (255, 69, 58)),  # NONE, HORZ, VERT, SPLIT
    *((48, 213, 255), (94, 130, 255), (64, 224, 100), (255, 149, 0)),  # HORZ_A, HORZ_B, VERT_A, VERT_B
    *((233, 90, 255), (233, 90, 255)),  # HORZ_4, VERT_4
)
"""Colour of every outline, by AV1 partition id."""
ICON = 25
"""Side of a legend's icon in pixels."""
LEGEND_LINE = ICON + 7
INSIDE = "no outline: part of a block larger than the node"
_View = tuple[NDArray[np.uint8], list[tuple[int, int, int]]]
"""Luma (height, width) of 8 bit, and its nodes as (row, column, partition id)."""


def write_preview(data: BlockSet, path: Path) -> None:
    """Draw every labelled source as a PNG.

    Three, of different splits where possible, are drawn at up to 4 qindexes, the others small and at one.

    Every partition is outlined in its colour; nodes inside a larger block are not outlined. A large frame is cropped to
    the window with most partitioned nodes. Loose blocks are laid out side by side.
    """
    sources = _sources(data)
    cells = [[(_title(data, s, q), _view(data, s, q)) for q in _qindexes(data)] for s in sources[:ROWS]]
    width = max(view[0].shape[1] for row in cells for _, view in row) * SCALE + MARGIN
    heights = [max(view[0].shape[0] for _, view in row) * SCALE + MARGIN + TITLE for row in cells]
    across, font = max(760, width * len(cells[0]) + MARGIN), ImageFont.load_default(15)
    large = ImageFont.load_default(15 if across < 1600 else 24)  # a wide sheet is looked at from further away
    foot = LEGEND_LINE * len(legend_lines(across - 2 * MARGIN, large))
    per_row = max(1, (across - MARGIN) // (THUMB[1] + MARGIN))
    thumb = max(THUMB[0], data.node)
    more = -(-len(sources[ROWS:]) // per_row) * (thumb + TITLE + MARGIN)
    sheet = Image.new("RGB", (across, sum(heights) + more + 2 * MARGIN + foot), (18, 18, 20))
    draw = ImageDraw.Draw(sheet)
    top = MARGIN
    for row, height in zip(cells, heights, strict=True):
        for column, (title, view) in enumerate(row):
            left = MARGIN + column * width
            draw.text((left, top), title, fill=INK, font=font)
            sheet.paste(draw_partitions(*view, data.node), (left, top + TITLE))
        top += height
    for index, source in enumerate(sources[ROWS:]):
        left = MARGIN + index % per_row * (THUMB[1] + MARGIN)
        y = top + index // per_row * (thumb + TITLE + MARGIN)
        draw.text((left, y), _title(data, source), fill=INK, font=font)
        sheet.paste(_thumb(data, source), (left, y + TITLE))
    top += more
    draw_legend(sheet, (MARGIN, top), across - 2 * MARGIN, large)
    with atomic_file(path) as temporary:
        sheet.save(temporary, format="PNG")


def _sources(data: BlockSet) -> list[int]:
    """Labelled sources: the first of each split, then the second of each, and so on."""
    labelled = set(np.unique(data.blocks["source"]).tolist())
    rank: dict[int, int] = {}
    seen: dict[str, int] = {}
    for index, source in enumerate(data.sources):
        rank[index] = seen[source["split"]] = seen.get(source["split"], -1) + 1
    return sorted((i for i in rank if i in labelled), key=lambda i: (rank[i], i))


def _qindexes(data: BlockSet) -> list[int]:
    """Up to COLUMNS qindexes of the shown sources, spread evenly."""
    found = np.unique(data.blocks["qindex"][np.isin(data.blocks["source"], _sources(data)[:ROWS])])
    return [int(q) for q in found[np.unique(np.linspace(0, len(found) - 1, COLUMNS).round().astype(int))]]


def _title(data: BlockSet, source: int, qindex: int | None = None) -> str:
    entry = data.sources[source]
    if qindex is None:
        name = entry["name"]
        return f"{name if len(name) <= 16 else name[:15] + '…'} ({entry['split']})"
    return f"{entry['name'][:28]} ({entry['split']}), qindex {qindex}"


def _thumb(data: BlockSet, source: int) -> Image.Image:
    """A part of a source at its highest qindex, whose few outlines leave the picture to be seen."""
    qindex = int(data.blocks["qindex"][data.blocks["source"] == source].max())
    return draw_partitions(*_view(data, source, qindex, THUMB), data.node, scale=1)


def _view(data: BlockSet, source: int, qindex: int, size: tuple[int, int] = WINDOW) -> _View:
    rows = data.blocks[(data.blocks["source"] == source) & (data.blocks["partition"] != INSIDE_LARGER)]
    at_qindex = rows["qindex"] == qindex
    planes = data.luma(source)
    if planes.shape[1:] == (data.node, data.node):
        return _sheet_of_blocks(data, planes, rows[at_qindex], size)
    frame, r, c, height, width = _window(rows, planes.shape, data.node, size)
    shown = rows[at_qindex & (rows["frame"] == frame)]
    nodes = zip(shown["row"].tolist(), shown["column"].tolist(), shown["partition"].tolist(), strict=True)
    luma = to_8_bit(planes[frame, r : r + height, c : c + width], data.bit_depth)
    return luma, [(y - r, x - c, p) for y, x, p in nodes]


def _window(
    rows: NDArray[Any], shape: tuple[int, ...], node: int, size: tuple[int, int]
) -> tuple[int, int, int, int, int]:
    """Frame, row, column, height and width of the window with most partitioned nodes over all qindexes."""
    height, width = (min(side, max(most, node)) for side, most in zip(shape[1:], size, strict=True))
    frame = int(np.bincount(rows["frame"]).argmax()) if len(rows) else 0
    nodes = rows[(rows["frame"] == frame) & (rows["partition"] > 0)]
    total = np.zeros((shape[1] // node + 1, shape[2] // node + 1), np.int64)
    np.add.at(total, (nodes["row"] // node + 1, nodes["column"] // node + 1), 1)
    total = total.cumsum(0).cumsum(1)  # total[r, c]: number of partitioned nodes above and left of node (r, c)
    h, w = height // node, width // node
    inside = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    r, c = (int(v) * node for v in np.unravel_index(int(inside.argmax()), inside.shape))
    return frame, min(r, shape[1] - height), min(c, shape[2] - width), height, width


def _sheet_of_blocks(data: BlockSet, planes: NDArray[Any], rows: NDArray[Any], size: tuple[int, int]) -> _View:
    """Lay the first loose blocks side by side, as many as fit."""
    node = data.node
    down, across = max(1, size[0] // node), max(1, size[1] // node)
    luma = np.zeros((down * node, across * node), np.uint8)
    nodes = []
    for i, row in enumerate(rows[: down * across]):
        y, x = i // across * node, i % across * node
        luma[y : y + node, x : x + node] = to_8_bit(planes[row["frame"]], data.bit_depth)
        nodes.append((y, x, int(row["partition"])))
    return luma, nodes


def to_8_bit(luma: NDArray[Any], bit_depth: int) -> NDArray[np.uint8]:
    """Keep the upper 8 bits of luma code values."""
    return (luma >> (bit_depth - 8)).astype(np.uint8)


def draw_partitions(
    luma: NDArray[np.uint8], nodes: Sequence[tuple[int, int, int]], node: int = NODE, scale: int = SCALE
) -> Image.Image:
    """Draw luma (H, W), enlarged by `scale`, and outline nodes (row, column, partition id) of `node` pixels a side."""
    # The luma is darkened, so that the lines stand out.
    image = Image.fromarray((luma * 0.75).astype(np.uint8)).resize((luma.shape[1] * scale, luma.shape[0] * scale))
    image = image.convert("RGB")
    draw = ImageDraw.Draw(image)
    for y, x, partition in nodes:
        for r, c, h, w in rectangles(partition, node):
            box = [(x + c) * scale, (y + r) * scale, (x + c + w) * scale - 1, (y + r + h) * scale - 1]
            draw.rectangle(box, outline=COLOURS[partition])
    return image


def legend_lines(width: int, font: Any) -> list[list[tuple[int, int | None]]]:
    """Entries of `draw_legend` by line: pixels from the left, and a partition id (None: no outline)."""
    lines: list[list[tuple[int, int | None]]] = [[]]
    at = 0
    for partition in (*range(len(NAMES)), None):
        name = INSIDE if partition is None else NAMES[partition]
        wide = ICON + 8 + math.ceil(font.getlength(name)) + 18
        if lines[-1] and at + wide > width:
            lines.append([])
            at = 0
        lines[-1].append((at, partition))
        at += wide
    return lines


def draw_legend(sheet: Image.Image, corner: tuple[int, int], width: int, font: Any) -> None:
    """Write the legend of `draw_partitions`: beside each name the partition as it is outlined in a picture."""
    draw = ImageDraw.Draw(sheet)
    for line, entries in enumerate(legend_lines(width, font)):
        y = corner[1] + line * LEGEND_LINE
        for at, partition in entries:
            x = corner[0] + at
            draw.rectangle((x, y, x + ICON - 1, y + ICON - 1), fill=(75, 75, 75))
            if partition is not None:
                for r, c, h, w in rectangles(partition, ICON - 1):
                    draw.rectangle((x + c, y + r, x + c + w, y + r + h), outline=COLOURS[partition])
            name = INSIDE if partition is None else NAMES[partition]
            draw.text((x + ICON + 8, y + ICON // 2), name, fill=INK, font=font, anchor="lm")
