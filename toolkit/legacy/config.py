"""Options of `data import` and their defaults. Light: imports no torch."""

from dataclasses import dataclass

from toolkit.partition import NAMES

FORMATS = ("triplets", "pt")
QPS = ("qindex", "quantizer")


@dataclass(frozen=True)
class ImportConfig:
    """Options of `data import`. `label_order`: comma-separated AV1 names of the labels 0, 1, 2, ...

    `qps`: whether the numbers are qindexes (0 to 255) or libaom's quantizer steps (--cq-level, 0 to 63). `split`: as
    `toolkit.data.splits.assign_splits` takes it.
    """

    split: str = "auto"
    label_order: str = ",".join(NAMES)
    qps: str = "qindex"
    licence: str = "unknown"
