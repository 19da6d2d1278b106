"""NumPy files, read without unpickling anything and without trusting what their header claims."""

import math
import tokenize
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ToolkitError, first_line

_UNREADABLE = (ValueError, TypeError, EOFError, OSError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError)
"""What NumPy raises on the header of a file that it did not write."""


def load_array(path: Path, mend: str, *, mapped: bool = False) -> NDArray[Any]:
    """Array of a .npy file, memory-mapped where `mapped`.

    Raises ToolkitError, which ends in `mend`, on an archive, a pickle, a header that cannot be read, and a file that
    holds more or fewer bytes than its header says.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy only warns of headers that it would not write itself
            _check_header(path)
            array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (*_UNREADABLE, Warning) as error:
        raise ToolkitError(f"{path}: not a NumPy array ({first_line(error)}). {mend}") from None
    return array


def _check_header(path: Path) -> None:
    """Raise ValueError where the file is no .npy, or its header claims another number of bytes than the file holds."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        held = path.stat().st_size - file.tell()
    if any(n < 0 for n in shape) or (not dtype.hasobject and math.prod(shape) * dtype.itemsize != held):
        raise ValueError(f"shape {shape!s:.80} of {dtype.itemsize} bytes each, but it holds {held} bytes")
