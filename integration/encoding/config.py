"""Settings of `av1part encode`, apart from the encoder so that the command line can read the defaults."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncodeConfig:
    """`size` (`WxH`) and `frames` None take all of the clip; `raw` is `WxH[:bitdepth]` of a headerless file.

    `keyint` and `lag` as in `EncoderConfig`: by default every frame is a key frame, and only key frames are masked.
    `ahead` frames are made ready while the encoder works, 0 for none. `any_settings` lets a pipeline mask an encode
    whose settings it was not made for.
    """

    cq: int = 32
    cpu_used: int = 1
    usage: str = "good"
    threads: int = 1
    keyint: int = 1
    lag: int = 0
    ahead: int = 2
    size: str | None = None
    frames: int | None = None
    raw: str | None = None
    any_settings: bool = False
