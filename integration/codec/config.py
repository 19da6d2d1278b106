"""Settings of one encode, and the grids of nodes that they give a frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from toolkit.data.encoder_settings import EncoderRecord
from toolkit.option import option
from toolkit.partition import NODES

USAGES = ("good", "allintra")
CODING = "Coding"
"""Group of options in the help of commands."""
CHROMAS = {420: "4:2:0", 422: "4:2:2", 444: "4:4:4", 400: "monochrome"}
"""Formats of chroma by the C interface's number, and their names; monochrome is luma alone."""
TUNES = {"psnr": 0, "ssim": 1, "iq": 10, "ssimulacra2": 11}
"""What libaom tunes for, and its own numbers. Of iq and ssimulacra2 it sets further controls itself."""
NODE_SIZES = NODES
"""Sides, in pixels, of the nodes whose partitions libaom can be told, asked for and made to price.

Their order is that of the C interface.
"""


UNSPECIFIED = 2
_PRIMARIES = {1, 2, *range(4, 13), 22}
_TRANSFERS = {1, 2, *range(4, 19)}
_MATRICES = {1, 2, *range(4, 15)}
"""Numbers of ITU-T H.273 that AV1 has; matrix 0, identity, needs 4:4:4."""


@dataclass(frozen=True)
class Colour:
    """What a stream's sequence header says of its colour, in the numbers of ITU-T H.273.

    2 is unspecified. Nothing is converted: it tells a player how the samples are meant.
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool = False

    @classmethod
    def of(cls, primaries: int, transfer: int, matrix: int, full_range: bool) -> "Colour":
        """The description as AV1 in 4:2:0 can carry it: numbers that it does not have become unspecified."""
        given = ((primaries, _PRIMARIES), (transfer, _TRANSFERS), (matrix, _MATRICES))
        numbers = [value if value in known else UNSPECIFIED for value, known in given]
        return cls(numbers[0], numbers[1], numbers[2], full_range)


UNDESCRIBED = Colour()
CHROMA_UNKNOWN, CHROMA_LEFT, CHROMA_TOP_LEFT = 0, 1, 2
"""AV1's numbers of where a chroma sample of 4:2:0 lies: between two rows of luma samples, or on a luma sample."""


@dataclass(frozen=True)
class FrameFormat:
    """Size of a frame in pixels, its bit depth, 8, 10 or 12, and its `chroma`, one of CHROMAS."""

    width: int
    height: int
    bit_depth: int = 8
    chroma: int = field(default=420, kw_only=True)

    def grid(self, node_size: int) -> tuple[int, int]:
        """Rows and columns of nodes of that size, those cut by the frame's edge included."""
        return -(-self.height // node_size), -(-self.width // node_size)

    @property
    def grids(self) -> dict[int, tuple[int, int]]:
        """`grid` of each node size."""
        return {size: self.grid(size) for size in NODE_SIZES}

    def plane_shape(self, plane: int) -> tuple[int, int]:
        """Height and width of plane 0 (luma), 1 or 2 (chroma; half of a side is rounded up)."""
        down, across = chroma_step(self.chroma) if plane else (1, 1)
        return -(-self.height // down), -(-self.width // across)

    @property
    def planes(self) -> int:
        """Number of planes: 3, of monochrome frames 1."""
        return 1 if self.chroma == 400 else 3


def chroma_step(chroma: int) -> tuple[int, int]:
    """Rows and columns of luma that a row and a column of chroma stand for; `chroma` is of CHROMAS."""
    return (2 if chroma == 420 else 1), (1 if chroma == 444 else 2)


@dataclass(frozen=True)
class EncoderSettings:
    """How frames are coded, whatever their size and quality. What is not named is fixed: one pass, constant quality.

    `keyint` is the largest distance between key frames, 1 for key frames alone. `lag` is the number of frames, 0 to 48,
    that libaom looks ahead; packets come that many frames later. It is 0 where every frame is a key frame. `four_way`
    lets libaom search HORZ_4 and VERT_4, as it does by default. `tune` is one of TUNES.
    """

    cpu_used: int = option(1, "Speed preset.", CODING, least=0, most=6)
    usage: str = option("good", "libaom's usage; AVIF encoders code in allintra.", CODING, USAGES)
    threads: int = option(1, "Threads of libaom.", CODING, least=1, most=64)
    keyint: int = option(1, "Largest distance between key frames, of every encode.", CODING, least=0, most=9999)
    lag: int = option(0, "Number of frames that libaom looks ahead; needs a keyint above 1.", CODING, least=0, most=48)
    four_way: bool = option(
        True, "Search HORZ_4 and VERT_4, as libaom does by default.", CODING, flags="--four-way/--no-4way"
    )
    tune: str = option("psnr", "What libaom tunes for.", CODING, tuple(TUNES))

    @property
    def searches(self) -> bool:
        """Whether libaom searches partitions at this speed, so that there is something to prune and to record."""
        return self.usage != "allintra" or self.cpu_used <= 6

    def at(self, width: int, height: int, bit_depth: int, cq: int, chroma: int = 420) -> "EncoderConfig":
        """What opens an encoder of such frames at that quality."""
        own = {own.name: getattr(self, own.name) for own in fields(EncoderSettings)}
        return EncoderConfig(width, height, bit_depth, cq, **own, chroma=chroma)

    def recorded(self, version: str, chroma: int = 420) -> EncoderRecord:
        """Settings as a manifest records them, with libaom's version: all that decides the partitions, but the cq.

        The tune is named where it is not psnr. A delta-q mode of -1 is the tune's own.
        """
        found: EncoderRecord = {
            "name": "libaom",
            "version": version,
            "usage": self.usage,
            "cpu_used": self.cpu_used,
            "threads": self.threads,
            "passes": 1,
            "end_usage": "q",
            "lag_in_frames": self.lag,
            "kf_max_dist": 0 if self.keyint == 1 else self.keyint,
            "deltaq_mode": -1 if self.tune in ("iq", "ssimulacra2") else 0,
            "enable_1to4_partitions": int(self.four_way),
            "chroma": CHROMAS[chroma],
            "all_key_frames": self.keyint == 1,
        }
        if self.tune != "psnr":
            found["tune"] = self.tune
        return found


@dataclass(frozen=True)
class _Quality:
    cq: int = option(32, "Constant-quality level.", CODING, least=0, most=63)


@dataclass(frozen=True)
class CodingConfig(EncoderSettings, _Quality):
    """How frames are coded at the constant quality `cq`, 0 to 63."""


@dataclass(frozen=True)
class EncoderConfig(CodingConfig, FrameFormat):
    """Everything that opens an encoder: the format of its frames, then how they are coded.

    A `still` is one frame, whose stream has the short header of still pictures.
    """

    still: bool = field(default=False, kw_only=True)


def four_way_of(given: bool | None, *made_for: Mapping[str, Any]) -> bool:
    """Whether to search HORZ_4 and VERT_4: as given, else as the models' encoder settings say, else as libaom does."""
    if given is not None:
        return given
    return bool(made_for[0].get("enable_1to4_partitions", 1)) if made_for else True
