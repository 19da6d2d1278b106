"""Arrays of a foreign hand: what is no .npy file, or says of itself what it is not, is refused and never unpickled."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from toolkit.arrays import load_array
from toolkit.errors import ToolkitError


@pytest.mark.parametrize("mapped", [False, True])
def test_what_numpy_wrote_is_read(tmp_path: Path, mapped: bool) -> None:
    for array in (np.arange(6).reshape(2, 3), np.zeros(0, "f4"), np.array([(1, 2.5)], [("a", "u1"), ("b", "f4")])):
        np.save(tmp_path / "x.npy", array)
        found = load_array(tmp_path / "x.npy", "Make it again.", mapped=mapped)
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("mapped", [False, True])
def test_no_header_with_a_few_other_bytes_raises_anything_else(tmp_path: Path, mapped: bool) -> None:
    file, rng = tmp_path / "x.npy", np.random.default_rng(0)
    np.save(file, np.zeros(3, [("row", "<i4"), ("bits", "<f4", 10)]))
    good = file.read_bytes()
    said = []
    for _ in range(300):
        data = bytearray(good)
        for at in rng.integers(0, 128, 3):
            data[at] = rng.choice([*b"(){}[],:'\"\\ #L0-9i<", int(rng.integers(256))])
        file.write_bytes(data[: int(rng.integers(1, 300))] if rng.random() < 0.1 else data)
        try:
            load_array(file, "Make it again.", mapped=mapped)
        except ToolkitError as error:
            said.append(error.message)
    assert len(said) > 150
    assert all(text.startswith(f"{file}: not a NumPy array") and text.endswith("Make it again.") for text in said)


def test_pickles_and_archives_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    file.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ToolkitError, match="not a NumPy array"):
        load_array(file, "Make it again.")
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ToolkitError, match="not a NumPy array"):
        load_array(file, "Make it again.")
    np.savez(tmp_path / "x.npz", np.zeros(3))
    with pytest.raises(ToolkitError, match="not a NumPy array"):
        load_array(tmp_path / "x.npz", "Make it again.")
    with pytest.raises(ToolkitError, match="not a NumPy array"):
        load_array(tmp_path / "nowhere.npy", "Make it again.")
