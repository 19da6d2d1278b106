"""Labels beside points of a figure, where they cover neither lines nor points nor one another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Bbox

DISTANCES = (11, 16, 22, 30)
"""Distances from the point in points of print, the nearest tried first."""
_DIRECTIONS = [(np.cos(angle), np.sin(angle)) for angle in np.radians([135, 45, 315, 225, 90, 270, 180, 0])]
_MARKER = 5
Place = tuple[float, float]


class Label(NamedTuple):
    """Text that belongs to a place in data coordinates."""

    text: str
    place: Place
    colour: str


def write_labels(figure: Figure, axes: Axes, labels: Sequence[Label], lines: Sequence[Sequence[Place]]) -> None:
    """Write each label where it hits least of the lines (in data coordinates), the points and the labels before it.

    The limits of the axes are final after this.
    """
    figure.draw_without_rendering()
    paths = [Path(axes.transData.transform(line)) for line in lines if len(line) > 1]
    half = _MARKER * figure.dpi / 72
    points = [axes.transData.transform(label.place) for label in labels]
    taken = [Bbox([point - half, point + half]) for point in points]
    for label in labels:
        note = axes.annotate(
            label.text, label.place, xytext=(0, 0), textcoords="offset points", ha="center", va="center",
            color=label.colour, in_layout=False,
        )  # fmt: skip
        hits = {}
        for offset in ((far * x, far * y) for far in DISTANCES for x, y in _DIRECTIONS):
            note.set_position(offset)
            box = note.get_window_extent()
            hits[offset] = sum(path.intersects_bbox(box, filled=False) for path in paths)
            hits[offset] += sum(box.overlaps(other) for other in taken)
            hits[offset] += not (axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0)
        note.set_position(min(hits, key=lambda offset: hits[offset]))
        taken.append(note.get_window_extent())
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
