"""SSIM of luma by the ssim filter of PyAV's FFmpeg: Wang et al. 2004, in 8x8 windows at every fourth sample."""

import math
from fractions import Fraction
from statistics import fmean

import av
from av.filter import Graph

from toolkit.data.blockset import Luma

_RATE = Fraction(1, 30)


class SsimMeter:
    """Meter of the mean SSIM of pairs of frames, all of one size, at least 8x8, and one bit depth, 8 or 10."""

    def __init__(self, width: int, height: int, bit_depth: int) -> None:
        self._format = "gray" if bit_depth == 8 else f"gray{bit_depth}le"
        layout = av.VideoFormat(self._format, width, height)
        self._graph = Graph()
        self._values: list[float] = []
        compare, sink = self._graph.add("ssim"), self._graph.add("buffersink")
        self._sides = [
            self._graph.add_buffer(width=width, height=height, format=layout, time_base=_RATE) for _ in range(2)
        ]
        for place, side in enumerate(self._sides):
            side.link_to(compare, 0, place)
        compare.link_to(sink)
        self._graph.configure()

    def add(self, reference: Luma, test: Luma) -> None:
        """Measure a pair of luma planes (H, W)."""
        for side, plane in zip(self._sides, (reference, test), strict=True):
            frame = av.VideoFrame.from_ndarray(plane, format=self._format)
            frame.pts, frame.time_base = len(self._values), _RATE
            side.push(frame)
        # The filter gives SSIM itself as well, but with six digits only.
        decibels = float(self._graph.vpull().metadata["lavfi.ssim.dB"])
        self._values.append(1 - 10 ** (-decibels / 10))

    @property
    def mean(self) -> float:
        """Mean over the pairs; 1 where both planes of every pair are equal."""
        return fmean(self._values)


def ssim_decibels(ssim: float) -> float:
    """SSIM as -10 log10(1 - SSIM), which grows with the rate about as PSNR does; infinite at 1."""
    return math.inf if ssim >= 1 else -10 * math.log10(1 - ssim)
