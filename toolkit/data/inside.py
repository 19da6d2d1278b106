"""What is known of a node inside its search, beside pixels: the features of the hook's table, point by point.

A data set holds them where it was labelled with them. A model that is asked inside the search is given those that are
known at its point.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from toolkit.errors import ToolkitError
from toolkit.search.table import POINTS, Feature
from toolkit.shapes import converted, shaped

SEARCH = "search.npy"
"""File of a data set with the features of its blocks."""
INSIDE = {point: POINTS.index(point) for point in ("none", "split")}
"""Points at which a model may be asked, after NONE and after SPLIT, by their number in the table of features."""
_OUTSIDE = -8.0
"""Size of a neighbour outside of the frame, as the table's units say."""
_LEAST_STD = 1e-3
_PART = 1 << 16
_MEND = "Label the sources again with `av1part label --search`."


@dataclass(frozen=True)
class SearchTable:
    """The hook's table of features, sorted by point. `table` names it, version included, by 8 hexadecimal digits."""

    table: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}\Z", description="8 hexadecimal digits")]
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class SearchFeatures:
    """Features of every block of a data set, in the order of its blocks.

    `rows` is float32 (blocks, features): a row as the hook gave it, with 0 at the points that the search of the node
    did not come to; all NaN where libaom never searched the node.
    """

    table: SearchTable
    rows: NDArray[np.float32]

    @classmethod
    def mapped(cls, file: Path, table: SearchTable) -> "SearchFeatures":
        """Features whose rows lie one behind the other in a file, which is not read into memory."""
        return cls(table, np.memmap(file, np.float32, "r").reshape(-1, len(table.features)))

    def reached(self, point: str) -> NDArray[np.bool_]:
        """Whether the search of each block came to the point and knew something there (blocks,)."""
        columns = [i for i, feature in enumerate(self.table.features) if feature.point == INSIDE[point]]
        part = slice(columns[0], columns[-1] + 1)
        found = np.empty(len(self.rows), bool)
        for start in range(0, len(self.rows), _PART):
            rows = self.rows[start : start + _PART, part]
            found[start : start + _PART] = np.isfinite(rows[:, 0]) & (rows != 0).any(axis=1)
        return found


class InsideRecord(TypedDict):
    """The fields of `Inside` in JSON types."""

    point: str
    table: str
    features: list[str]
    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class Inside:
    """Where in the search a model is asked, and what it is given there.

    `features`: names of the first features of the table called `table`, those that are known at the `point` (a key of
    INSIDE). `mean` and `std`, of each feature on the training blocks, normalise them. Raises ToolkitError on another
    point, on lengths that differ, and on a mean or deviation that is no usable number.
    """

    point: str
    table: str
    features: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.point not in INSIDE or not re.fullmatch("[0-9a-f]{8}", self.table):
            raise ToolkitError(
                f"Asked inside the search at {self.point!r:.40}, table {self.table!r:.40}: expected one of "
                f"{', '.join(INSIDE)}, and 8 hexadecimal digits."
            )
        if not len(self.features) == len(self.mean) == len(self.std) > 0:
            counts = f"{len(self.features)} features, {len(self.mean)} means, {len(self.std)} deviations"
            raise ToolkitError(f"Asked inside the search: {counts}; expected as many of each.")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and min(self.std) > 0):
            raise ToolkitError("Asked inside the search: a mean or deviation of a feature is no usable number.")

    def __str__(self) -> str:
        return f"after {self.point.upper()}, by {len(self.features)} features of table {self.table}"

    @classmethod
    def measured(cls, search: SearchFeatures, point: str, index: NDArray[np.integer[Any]]) -> "Inside":
        """How a model is asked at the point that learns from the blocks at these positions, one at least."""
        names = known_at(search.table, point)
        rows = search.rows[index, : len(names)]
        mean = rows.mean(0, dtype=np.float64)
        std = np.maximum(rows.std(0, dtype=np.float64), _LEAST_STD)
        # float32 values, so that a graph holds exactly what the contract says
        means, deviations = (tuple(values.astype(np.float32).tolist()) for values in (mean, std))
        return cls(point, search.table.table, names, means, deviations)

    def to_dict(self) -> InsideRecord:
        """The fields in JSON types."""
        lists = {"features": list(self.features), "mean": list(self.mean), "std": list(self.std)}
        return cast(InsideRecord, {"point": self.point, "table": self.table} | lists)

    @classmethod
    def from_dict(cls, values: Any, what: str) -> "Inside":
        """Read back `to_dict`, or the same with tuples; ToolkitError where an entry is missing or of another type."""
        mend = "Train or export the model again."
        shaped(values, InsideRecord, what, mend)
        if len(values) != 5 or not all(type(number) is float for number in (*values["mean"], *values["std"])):
            raise ToolkitError(f"{what}: features, means or deviations are malformed. {mend}")
        return cls(values["point"], values["table"], *(tuple(values[k]) for k in ("features", "mean", "std")))

    def check_table(self, table: SearchTable | None, what: str) -> None:
        """Raise ToolkitError unless the data set called `what` holds features of this very table."""
        if table is None:
            raise ToolkitError(f"{what}: holds no features of the search, and the model is asked {self}. {_MEND}")
        known = known_at(table, self.point)
        if (table.table, known) != (self.table, self.features):
            raise ToolkitError(
                f"{what}: features of table {table.table}, {len(known)} of them known after {self.point.upper()}; "
                f"the model is asked {self}. Label the sources again with the hook that it was trained for, or train "
                "it again."
            )

    def check_rows(self, search: NDArray[Any] | None, count: int, what: str) -> None:
        """Raise ToolkitError unless `search` is what the model takes for `count` blocks."""
        if search is None:
            raise ToolkitError(f"{what}: no features of the search, and the model is asked {self}.")
        expected = (count, len(self.features))
        if search.dtype != np.float32 or search.shape != expected:
            raise ToolkitError(
                f"{what}: features of the search are {search.dtype}{search.shape}, expected float32{expected}: the "
                f"model is asked {self}."
            )
        if not np.isfinite(search).all():
            raise ToolkitError(f"{what}: a feature of the search is not a number: a node that was never searched.")


def known_at(table: SearchTable, point: str) -> tuple[str, ...]:
    """Names of the features that are known at the point: the first ones of the table."""
    return tuple(feature.name for feature in table.features if feature.point <= INSIDE[point])


def check_feature_list(features: Sequence[Feature], what: str, mend: str) -> None:
    """Raise ToolkitError, which ends in `mend`, unless the features are sorted by point, no name twice."""
    points = [feature.point for feature in features]
    if points != sorted(points) or not set(points) <= set(range(len(POINTS))):
        raise ToolkitError(f"{what}: features are not sorted by the point at which they are known. {mend}")
    if len({feature.name for feature in features}) < len(features):
        raise ToolkitError(f"{what}: two features share a name. {mend}")


def read_table(document: Any, what: str) -> SearchTable:
    """Table of features that a document stands for; ToolkitError unless it is sorted by point, no name twice.

    Each point at which a model may be asked has to have a feature.
    """
    table = converted(document, SearchTable, what, _MEND)
    check_feature_list(table.features, what, _MEND)
    if not set(INSIDE.values()) <= {feature.point for feature in table.features}:
        raise ToolkitError(f"{what}: no feature is known from a point at which a model may be asked. {_MEND}")
    return table


def check_features(search: SearchFeatures, blocks: NDArray[Any], what: str) -> None:
    """Raise ToolkitError unless there is a row for each block, and it can be that block's.

    A row is finite or all NaN. Its qindex has to be the block's; above the first row of nodes and left of the first
    column there are no neighbours.
    """
    names = [feature.name for feature in search.table.features]
    if search.rows.dtype != np.float32 or search.rows.shape != (len(blocks), len(names)):
        raise ToolkitError(
            f"{what}: features of the search are {search.rows.dtype}{search.rows.shape}, expected "
            f"float32({len(blocks)}, {len(names)}). {_MEND}"
        )
    for start in range(0, len(blocks), _PART):
        _check_part(search.rows[start : start + _PART], blocks[start : start + _PART], names, what)


def _check_part(rows: NDArray[np.float32], blocks: NDArray[Any], names: Sequence[str], what: str) -> None:
    finite = np.isfinite(rows)
    searched = finite.all(axis=1)
    if not (searched | np.isnan(rows).all(axis=1)).all():
        raise ToolkitError(f"{what}: a feature of the search is not a number. {_MEND}")
    at: Mapping[str, int] = {name: i for i, name in enumerate(names)}
    strange = rows[:, at["qindex"]] != blocks["qindex"] if "qindex" in at else np.zeros(len(rows), bool)
    for name, place in (("above_width", "row"), ("left_width", "column")):
        if name in at:
            strange |= (blocks[place] == 0) & (rows[:, at[name]] != _OUTSIDE)
    if wrong := int((strange & searched).sum()):
        raise ToolkitError(
            f"{what}: the features of {wrong} blocks are another block's (another qindex, or neighbours beyond the "
            f"frame's edge). {_MEND}"
        )
