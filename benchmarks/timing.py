"""Clocks and table cells of the benchmarks of training."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np


def clocks() -> np.ndarray:
    """Wall seconds and this process's CPU seconds, which say more where cores are shared."""
    return np.array([time.perf_counter(), time.process_time()])


def seconds(run: Callable[[], Any], calls: int = 1) -> np.ndarray:
    begun = clocks()
    for _ in range(calls):
        run()
    return clocks() - begun


def quartiles(values: Any) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.3g} ({low:.3g}–{high:.3g})"


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)
