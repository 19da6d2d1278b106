"""How a source is read, apart from the reading so that commands can take the defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integration.media.video import Clip

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How a clip or photograph is read.

    `size` shrinks frames to fit and `frames` limits their number; None leaves them as they are. `raw` is
    `WxH[:bitdepth]` of a headerless file, or a TSV file of layouts. `allow_truncated` lets a clip end where it is cut
    short.
    """

    size: Size | None = None
    frames: int | None = None
    raw: str | None = None
    allow_truncated: bool = False

    @property
    def size_text(self) -> str | None:
        """The size as it is typed and recorded, `WxH`."""
        return self.size and "{}x{}".format(*self.size)

    def open(self, path: Path) -> "Clip":
        """Open a source, its frames as these settings say that they are coded; errors as of `open_clip`."""
        from integration.media.raw import raw_layout
        from integration.media.video import open_clip

        raw = raw_layout(path, self.raw)
        return open_clip(path, self.size, self.frames, raw, allow_truncated=self.allow_truncated)
