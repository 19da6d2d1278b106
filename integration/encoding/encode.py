"""A real encode of a clip, with a pipeline's masks or without, and what it cost."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, Masks, encoder_settings
from integration.encoding.config import EncodeConfig
from integration.encoding.lookahead import Ahead
from integration.media.containers import check_ending, output_file
from integration.media.video import Clip, RawFormat, open_clip, parse_size
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError

Progress = Callable[[int, int | None], None]


class Masker(Protocol):
    """What an encode asks of a pipeline."""

    @property
    def bit_depth(self) -> int:
        """Bit depth of the luma that it was made for."""

    @property
    def encoder(self) -> dict[str, Any]:
        """Settings of the encoder whose labels it learnt."""

    def mask(self, luma: Luma, qindex: int) -> Mask | Masks:
        """Masks of a frame, luma (H, W) in code values, as `Encoder` takes them."""


@dataclass
class Report:
    """Cost and result of an encode. Seconds are CPU time of the process but `wall_seconds` and `total_seconds`.

    They are apart: `encode_seconds` is libaom's, `inference_seconds` that of masks, blocks cut out included,
    `reading_seconds` that of decoding and shrinking frames. On the clock, `wall_seconds` is the time that encoding and
    inference took together, `total_seconds` that of everything, of which `fps` is. `psnr_y` in dB from the squared
    error of all frames together, None where the luma is exact. `masked_frames` had a mask, `masked_blocks` of their
    nodes lost something to it, `masks_ahead` of the masks were ready before they were asked for. `failed_masks` counts
    frames that were encoded unmasked because the pipeline failed, `unmasked_frames` has their numbers, `mask_errors`
    the reasons. `qindex` has one entry a frame, -1 where a packet only shows a frame that was coded before.
    """

    frames: int = 0
    key_frames: int = 0
    bytes: int = 0
    psnr_y: float | None = None
    fps: float = 0.0
    total_seconds: float = 0.0
    wall_seconds: float = 0.0
    encode_seconds: float = 0.0
    inference_seconds: float = 0.0
    reading_seconds: float = 0.0
    masked_frames: int = 0
    masked_blocks: int = 0
    kept_blocks: int = 0
    masks_ahead: int = 0
    failed_masks: int = 0
    unmasked_frames: list[int] = field(default_factory=list)
    mask_errors: list[str] = field(default_factory=list)
    qindex: list[int] = field(default_factory=list)


def check_masker(masker: Masker, config: EncoderConfig, version: str, any_settings: bool) -> None:
    """Refuse a pipeline made for another bit depth or, unless `any_settings`, another encoder.

    Threads may differ, and the distance of key frames: they alone are masked.
    """
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
    """Encode a clip or photograph to a file that `output_file` knows; `progress(frames, of)` counts.

    The file is written whole or not at all. Raises ToolkitError for a bad source or settings, or a pipeline
    that was made for others.
    """
    check_ending(output)
    size = parse_size(settings.size) if settings.size else None
    raw = RawFormat.parse(settings.raw) if settings.raw else None
    clip = open_clip(source, size, settings.frames, raw)
    options = {name: getattr(settings, name) for name in ("cq", "cpu_used", "usage", "threads", "keyint", "lag")}
    config = EncoderConfig(clip.width, clip.height, clip.bit_depth, **options)
    ask = masker.mask if masker else None
    with ExitStack() as stack:
        ahead, read = None, clip
        if settings.ahead:
            ahead = stack.enter_context(Ahead(clip, settings.ahead, ask, masks=settings.keyint == 1))
            read = replace(clip, frames=ahead.frames)
        clock = ahead.clock if ahead else time.process_time
        encoder = stack.enter_context(Encoder(config, ahead.mask if ahead and ask else ask, clock=clock))
        if masker:
            check_masker(masker, config, encoder.version, settings.any_settings)
        write = stack.enter_context(output_file(output, config.width, config.height, clip.rate))

        def each(count: int, frame: EncodedFrame) -> None:
            write(frame)
            if progress:
                progress(count, clip.count)

        report = code_clip(read, encoder, each)
        if ahead:
            report.reading_seconds += ahead.reading_seconds
            report.inference_seconds += ahead.mask_seconds
            report.masks_ahead = ahead.used
    return report


def code_clip(
    clip: Clip, encoder: Encoder, each: Callable[[int, EncodedFrame], None], masks: Sequence[Mask | Masks] | None = None
) -> Report:
    """Encode every frame of a clip; `each(count, frame)` takes what was coded, frames counted from 1.

    `masks`, one a frame, take the place of the encoder's mask source. At most `lag` frames and one are held. Raises
    ToolkitError for a clip without frames, or with fewer masks than frames.
    """
    report = Report()
    clock, began = encoder.clock, time.perf_counter()
    sources: deque[Luma] = deque()
    squared_error = given = 0

    def take(frame: EncodedFrame) -> None:
        nonlocal squared_error
        error = sources.popleft().astype(np.int64) - frame.reconstruction[0]
        squared_error += int((error * error).sum())
        _count(report, frame)
        each(report.frames, frame)

    frames, flushed = clip.frames(), encoder.flush()
    while True:
        before = clock()
        planes = next(frames, None)
        read = clock()
        report.reading_seconds += read - before
        started = time.perf_counter()
        if planes is None:
            frame = next(flushed, None)
        else:
            if masks is not None and given == len(masks):
                raise ToolkitError(f"{clip.path}: more frames than masks ({len(masks)}).")
            sources.append(planes[0])
            frame = encoder.feed(planes, None if masks is None else masks[given])
            given += 1
        report.encode_seconds += clock() - read
        report.wall_seconds += time.perf_counter() - started
        if frame:
            take(frame)
        elif planes is None:
            break
    if not report.frames:
        raise ToolkitError(f"{clip.path}: holds no frame.")
    report.total_seconds = time.perf_counter() - began
    report.fps = report.frames / report.total_seconds
    report.failed_masks = encoder.failed_masks
    report.inference_seconds = encoder.mask_seconds
    report.encode_seconds -= encoder.mask_seconds
    if squared_error:
        peak = (1 << encoder.config.bit_depth) - 1
        samples = report.frames * encoder.config.width * encoder.config.height
        report.psnr_y = 10 * math.log10(peak * peak * samples / squared_error)
    return report


def _count(report: Report, frame: EncodedFrame) -> None:
    report.frames += 1
    report.bytes += len(frame.data)
    report.qindex.append(frame.qindex)
    report.key_frames += frame.key
    report.masked_frames += frame.masked
    report.masked_blocks += frame.masked_blocks
    report.kept_blocks += frame.kept_blocks
    if frame.mask_error:
        report.unmasked_frames.append(frame.number)
        if frame.mask_error not in report.mask_errors:
            report.mask_errors.append(frame.mask_error)
