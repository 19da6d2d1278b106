"""Draw a data set: frames with their partitions outlined, a row for each source and a column for each qindex."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from toolkit.data.blockset import BlockSet
from toolkit.files import atomic_file
from toolkit.partition import INSIDE_LARGER, NODE, rectangles

WINDOW = (240, 400)
"""Height and width in pixels of the shown part of a frame."""
SCALE = 2
ROWS, COLUMNS = 3, 4
MARGIN, TITLE = 8, 22

GROUPS = (
    ("NONE", (150, 160, 170), (0,)),
    ("HORZ, VERT", (255, 214, 10), (1, 2)),
    ("SPLIT", (255, 69, 58), (3,)),
    ("HORZ_A/B, VERT_A/B", (48, 213, 255), (4, 5, 6, 7)),
    ("HORZ_4, VERT_4", (233, 90, 255), (8, 9)),
)
_COLOURS = {i: colour for _, colour, ids in GROUPS for i in ids}
_View = tuple[NDArray[np.uint8], list[tuple[int, int, int]]]
"""Luma (height, width) of 8 bit, and its nodes as (row, column, partition id)."""


def write_preview(data: BlockSet, path: Path) -> None:
    """Draw up to 3 sources, of different splits where possible, at up to 4 qindexes as a PNG.

    Every partition is outlined in the colour of its group; nodes inside a larger block are not outlined. A large frame
    is cropped to the window with most partitioned nodes. Loose blocks are laid out side by side.
    """
    cells = [[(_title(data, s, q), _view(data, s, q)) for q in _qindexes(data)] for s in _sources(data)]
    width = max(view[0].shape[1] for row in cells for _, view in row) * SCALE + MARGIN
    heights = [max(view[0].shape[0] for _, view in row) * SCALE + MARGIN + TITLE for row in cells]
    sheet = Image.new("RGB", (max(760, width * len(cells[0]) + MARGIN), sum(heights) + MARGIN + TITLE), (18, 18, 20))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    top = MARGIN
    for row, height in zip(cells, heights, strict=True):
        for column, (title, view) in enumerate(row):
            left = MARGIN + column * width
            draw.text((left, top), title, fill=(235, 235, 240), font=font)
            sheet.paste(draw_partitions(*view, data.node), (left, top + TITLE))
        top += height
    left = float(MARGIN)
    for name, colour, _ in GROUPS:
        draw.rectangle((left, top + 3, left + 14, top + 17), outline=colour, width=3)
        draw.text((left + 20, top), name, fill=(235, 235, 240), font=font)
        left += 44 + draw.textlength(name, font=font)
    with atomic_file(path) as temporary:
        sheet.save(temporary, format="PNG")


def _sources(data: BlockSet) -> list[int]:
    """Up to ROWS labelled sources: the first of each split, then the second of each, and so on."""
    labelled = set(np.unique(data.blocks["source"]).tolist())
    rank: dict[int, int] = {}
    seen: dict[str, int] = {}
    for index, source in enumerate(data.sources):
        rank[index] = seen[source["split"]] = seen.get(source["split"], -1) + 1
    return sorted((i for i in rank if i in labelled), key=lambda i: (rank[i], i))[:ROWS]


def _qindexes(data: BlockSet) -> list[int]:
    """Up to COLUMNS qindexes of the shown sources, spread evenly."""
    found = np.unique(data.blocks["qindex"][np.isin(data.blocks["source"], _sources(data))])
    return [int(q) for q in found[np.unique(np.linspace(0, len(found) - 1, COLUMNS).round().astype(int))]]


def _title(data: BlockSet, source: int, qindex: int) -> str:
    entry = data.sources[source]
    return f"{entry['name'][:28]} ({entry['split']}), qindex {qindex}"


def _view(data: BlockSet, source: int, qindex: int) -> _View:
    rows = data.blocks[(data.blocks["source"] == source) & (data.blocks["partition"] != INSIDE_LARGER)]
    at_qindex = rows["qindex"] == qindex
    planes = data.luma(source)
    if planes.shape[1:] == (data.node, data.node):
        return _sheet_of_blocks(data, planes, rows[at_qindex])
    frame, r, c, height, width = _window(rows, planes.shape, data.node)
    shown = rows[at_qindex & (rows["frame"] == frame)]
    nodes = zip(shown["row"].tolist(), shown["column"].tolist(), shown["partition"].tolist(), strict=True)
    luma = to_8_bit(planes[frame, r : r + height, c : c + width], data.bit_depth)
    return luma, [(y - r, x - c, p) for y, x, p in nodes]


def _window(rows: NDArray[Any], shape: tuple[int, ...], node: int) -> tuple[int, int, int, int, int]:
    """Frame, row, column, height and width of the window with most partitioned nodes over all qindexes."""
    height, width = min(shape[1], WINDOW[0]), min(shape[2], WINDOW[1])
    frame = int(np.bincount(rows["frame"]).argmax()) if len(rows) else 0
    nodes = rows[(rows["frame"] == frame) & (rows["partition"] > 0)]
    total = np.zeros((shape[1] // node + 1, shape[2] // node + 1), np.int64)
    np.add.at(total, (nodes["row"] // node + 1, nodes["column"] // node + 1), 1)
    total = total.cumsum(0).cumsum(1)  # total[r, c]: number of partitioned nodes above and left of node (r, c)
    h, w = height // node, width // node
    inside = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    r, c = (int(v) * node for v in np.unravel_index(int(inside.argmax()), inside.shape))
    return frame, min(r, shape[1] - height), min(c, shape[2] - width), height, width


def _sheet_of_blocks(data: BlockSet, planes: NDArray[Any], rows: NDArray[Any]) -> _View:
    """Lay the first loose blocks side by side, as many as fit."""
    node = data.node
    down, across = WINDOW[0] // node, WINDOW[1] // node
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


def draw_partitions(luma: NDArray[np.uint8], nodes: Sequence[tuple[int, int, int]], node: int = NODE) -> Image.Image:
    """Draw luma (H, W), enlarged by SCALE, and outline nodes (row, column, partition id) of `node` pixels a side."""
    # The luma is darkened, so that the lines stand out.
    image = Image.fromarray((luma * 0.75).astype(np.uint8)).resize((luma.shape[1] * SCALE, luma.shape[0] * SCALE))
    image = image.convert("RGB")
    draw = ImageDraw.Draw(image)
    for y, x, partition in nodes:
        for r, c, h, w in rectangles(partition, node):
            box = [(x + c) * SCALE, (y + r) * SCALE, (x + c + w) * SCALE - 1, (y + r + h) * SCALE - 1]
            draw.rectangle(box, outline=_COLOURS[partition])
    return image
