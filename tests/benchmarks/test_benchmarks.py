"""The scripts of benchmarks/: each one's imports are there, and 10-bit material is made as its docstring says."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from support.pictures import CHELSEA, frame
from support.places import ROOT

from benchmarks.ten_bit import frames
from integration.media.video import open_clip

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_it_can_be_loaded(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(script.parent)
    spec = importlib.util.spec_from_file_location(f"loaded_{script.stem}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)


def test_ten_bit_clips_are_sums_of_four_samples_and_photographs_use_the_lowest_bits(tmp_path: Path) -> None:
    clip, pictures = tmp_path / "clip.y4m", [frame(96, 64, top=top) for top in (0, 40)]
    parts = [b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in pictures]
    clip.write_bytes(b"YUV4MPEG2 W96 H64 F25:1 C420jpeg\n" + b"".join(parts))
    made = list(frames(clip, (64, 64), most=2))
    for planes, (y, _, v) in zip(made, open_clip(clip).frames(), strict=True):
        luma, _, red = planes
        assert luma[3, 5] == y[6:8, 10:12].sum(dtype=int)
        assert red[1, 2] == v[2:4, 4:6].sum(dtype=int)
    ((luma, *_),) = frames(CHELSEA, (128, 128), most=1)
    assert luma.max() <= 940
    assert len(np.unique(luma % 4)) == 4
