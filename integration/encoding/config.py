"""Settings of `av1part encode`, apart from the encoder so that the command line can read the defaults."""

from dataclasses import dataclass

from integration.codec.config import CodingConfig


@dataclass(frozen=True)
class EncodeConfig(CodingConfig):
    """How a clip is read and coded; by default every frame is a key frame, and only key frames are masked.

    `ahead` frames are prepared while the encoder works, 0 for none. `size` (`WxH`) shrinks frames to fit and `frames`
    limits their number; None leaves them as they are. `raw` is `WxH[:bitdepth]` or a TSV file of layouts.
    `any_settings` lets a pipeline mask an encode whose settings it was not made for. `price` is what a pruner may lose
    for the time that it saves; None takes its own. `allow_truncated` lets a clip end where it is cut short.
    `audio` carries the sound over where the output's format holds it; with `frames` or `allow_truncated` it ends with
    the last frame.
    """

    ahead: int = 2
    size: str | None = None
    frames: int | None = None
    raw: str | None = None
    any_settings: bool = False
    price: float | None = None
    allow_truncated: bool = False
    audio: bool = True
