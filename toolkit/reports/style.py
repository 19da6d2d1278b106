"""Style of every figure of a report, and its conversion to SVG text (matplotlib, no display)."""

import io
from typing import Any

from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "av1part",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.edgecolor": "#9ca3af",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def to_svg(figure: Figure) -> str:
    """SVG text of the figure; the same figure gives the same bytes."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
