"""A real encode of a clip, with a pipeline's masks or without, and what it cost."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from integration.encode_config import EncodeConfig
from integration.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, encoder_settings
from integration.ivf import IvfWriter
from integration.video import Clip, RawFormat, open_clip, parse_size
from toolkit.blocks import Luma
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file

Progress = Callable[[int], None]


class Masker(Protocol):
    """What an encode asks of a pipeline."""

    @property
    def bit_depth(self) -> int:
        """Bit depth of the luma that it was made for."""

    @property
    def encoder(self) -> dict[str, Any]:
        """Settings of the encoder whose labels it learnt."""

    def mask(self, luma: Luma, qindex: int) -> Mask:
        """Mask uint16 (rows, columns) of a frame, luma (H, W) in code values."""


@dataclass
class Report:
    """Cost and result of an encode. Seconds are CPU time of the whole process, inference apart from encoding.

    `wall_seconds` is the time on the clock that both took together. `psnr_y` in dB from the squared error of all frames
    together, None where the luma is exact. `failed_masks` counts frames that were encoded unmasked because the pipeline
    failed, `mask_errors` holds the reasons.
    """

    frames: int = 0
    bytes: int = 0
    psnr_y: float | None = None
    encode_seconds: float = 0.0
    inference_seconds: float = 0.0
    wall_seconds: float = 0.0
    masked_blocks: int = 0
    kept_blocks: int = 0
    failed_masks: int = 0
    qindex: list[int] = field(default_factory=list)
    mask_errors: list[str] = field(default_factory=list)


def check_masker(masker: Masker, config: EncoderConfig, version: str, any_settings: bool) -> None:
    """Refuse a pipeline made for another bit depth or, unless `any_settings`, another encoder; threads may differ."""
    if masker.bit_depth != config.bit_depth:
        raise ToolkitError(
            f"The pipeline was made for {masker.bit_depth} bit, the clip has {config.bit_depth}. "
            "Label and train with clips of this bit depth."
        )
    if any_settings:
        return
    wanted = encoder_settings(config.usage, config.cpu_used, version)
    del wanted["threads"]
    differ = [
        f"{key} is {masker.encoder.get(key, 'not recorded')!r} there and {value!r} here"
        for key, value in wanted.items()
        if masker.encoder.get(key) != value
    ]
    if differ:
        raise ToolkitError(
            f"The pipeline was made for another encoder: {'; '.join(differ)}. "
            "Label and train with these settings, or pass --any-settings."
        )


def encode_file(
    source: Path, output: Path, settings: EncodeConfig, masker: Masker | None = None, progress: Progress | None = None
) -> Report:
    """Encode a clip or photograph to an IVF file, every frame a key frame; `progress(frames)` counts.

    The file is written whole or not at all. Raises ToolkitError for a bad source or settings, or a pipeline
    that was made for others.
    """
    size = parse_size(settings.size) if settings.size else None
    raw = RawFormat.parse(settings.raw) if settings.raw else None
    clip = open_clip(source, size, settings.frames, raw)
    config = EncoderConfig(
        clip.width, clip.height, clip.bit_depth, settings.cq, settings.cpu_used, settings.usage, settings.threads
    )
    with (
        Encoder(config, masker.mask if masker else None) as encoder,
        atomic_file(output) as temporary,
        temporary.open("wb") as file,
    ):
        if masker:
            check_masker(masker, config, encoder.version, settings.any_settings)
        ivf = IvfWriter(file, config.width, config.height, clip.rate)

        def each(count: int, frame: EncodedFrame) -> None:
            ivf.write(frame.data)
            if progress:
                progress(count)

        report = code_clip(clip, encoder, each)
        ivf.finish()
    return report


def code_clip(
    clip: Clip, encoder: Encoder, each: Callable[[int, EncodedFrame], None], masks: Sequence[Mask] | None = None
) -> Report:
    """Encode every frame of a clip; `each(count, frame)` takes what was coded, frames counted from 1.

    `masks`, one a frame, take the place of the encoder's mask source. Raises ToolkitError for a clip without frames,
    or with fewer masks than frames.
    """
    config = encoder.config
    report = Report()
    squared_error = 0
    for planes in clip.frames():
        if masks is not None and report.frames == len(masks):
            raise ToolkitError(f"{clip.path}: more frames than masks ({len(masks)}).")
        mask = None if masks is None else masks[report.frames]
        before, clock = time.process_time(), time.perf_counter()
        frame = encoder.encode(planes, mask)
        report.encode_seconds += time.process_time() - before
        report.wall_seconds += time.perf_counter() - clock
        error = planes[0].astype(np.int64) - frame.reconstruction[0]
        squared_error += int((error * error).sum())
        report.frames += 1
        report.bytes += len(frame.data)
        report.qindex.append(frame.qindex)
        report.masked_blocks += frame.masked_blocks
        report.kept_blocks += frame.kept_blocks
        if frame.mask_error and frame.mask_error not in report.mask_errors:
            report.mask_errors.append(frame.mask_error)
        each(report.frames, frame)
    if not report.frames:
        raise ToolkitError(f"{clip.path}: holds no frame.")
    report.failed_masks = encoder.failed_masks
    report.inference_seconds = encoder.mask_seconds
    report.encode_seconds -= encoder.mask_seconds
    if squared_error:
        peak = (1 << config.bit_depth) - 1
        samples = report.frames * config.width * config.height
        report.psnr_y = 10 * math.log10(peak * peak * samples / squared_error)
    return report
