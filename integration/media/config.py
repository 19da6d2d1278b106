"""How a source is read, apart from the reading so that commands can take the defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.option import option

if TYPE_CHECKING:
    from integration.media.video import Clip

Size = tuple[int, int]
"""Width and height in pixels."""
SOURCES, AVIF_GROUP = "Sources", "AVIF"
"""Groups of options in the help of commands."""


def size_of(text: str) -> Size | None:
    """Size that is typed as `WxH`; None for `source`."""
    from integration.media.raw import parse_size

    return None if text == "source" else parse_size(text)


def size_text(size: Size | None) -> str:
    """Size as one types it."""
    return "source" if size is None else "{}x{}".format(*size)


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How a clip or photograph is read.

    `size` shrinks frames to fit and `frames` limits their number; None leaves them as they are. `raw` is
    `WxH[:bitdepth]` of a headerless file, or a TSV file of layouts. `allow_truncated` lets a clip end where it is cut
    short. `chroma`, one of `integration.codec.config.CHROMAS`, is what photographs are converted to; a clip has to be
    of it.
    """

    size: Size | None = option(
        None, "Shrink to fit WxH; `source` keeps the size.", SOURCES, parse=size_of, text=size_text
    )
    frames: int | None = option(None, "Only the first N frames of each source.", SOURCES, least=1)
    raw: str | None = option(None, "Layout of raw .yuv files, WxH[:bitdepth], or a TSV of names and layouts.", SOURCES)
    allow_truncated: bool = option(
        False, "Take clips that are cut short as far as they go.", SOURCES, flags="--allow-truncated"
    )
    chroma: int = option(
        420,
        "What photographs are converted to, and a clip has to be; 400 is luma alone.",
        SOURCES,
        (420, 422, 444, 400),
    )

    @property
    def size_text(self) -> str | None:
        """The size as it is typed and recorded, `WxH`."""
        return self.size and "{}x{}".format(*self.size)

    def open(self, path: Path) -> "Clip":
        """Open a source, its frames as these settings say that they are coded; errors as of `open_clip`."""
        from integration.media.raw import raw_layout
        from integration.media.video import open_clip

        raw = raw_layout(path, self.raw)
        return open_clip(path, self.size, self.frames, raw, allow_truncated=self.allow_truncated, chroma=self.chroma)


@dataclass(frozen=True, kw_only=True)
class StillConfig(ReadConfig):
    """How a picture is prepared for AVIF.

    With `own_chroma` a JPEG keeps its own format of chroma, a grey picture is luma alone, and others are 4:4:4,
    whatever `chroma` is. `depth` is 8, 10 or 12 bits a sample; None takes 8, and 10 where the file has more. `metadata`
    keeps EXIF and XMP.
    """

    own_chroma: bool = True
    depth: int | None = option(
        None, "Bits a sample.  [default: 10 where the file has more than 8]", AVIF_GROUP, (8, 10, 12)
    )
    metadata: bool = option(True, "Keep EXIF and XMP.", AVIF_GROUP)
