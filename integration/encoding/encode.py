"""A real encode of a clip, with a pipeline's masks or without, and a report of its cost."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from integration.codec.config import UNDESCRIBED, Colour, EncoderSettings
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, Masks
from integration.codec.hdr import NO_HDR
from integration.encoding.config import AVIF, EncodeConfig
from integration.encoding.lookahead import Ahead
from integration.media.beside import Beside, look_beside
from integration.media.containers import HOLD_TIMES, Described, check_target, output_file, unheld
from integration.media.sound import opened_sound, why_not
from integration.media.still import OPAQUE
from integration.media.video import Clip
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import DecisionCount, count_decisions, named_counts, use_pruner
from toolkit.data.blockset import Luma
from toolkit.data.encoder_settings import EncoderRecord, is_recorded
from toolkit.errors import ToolkitError
from toolkit.files import one_writer
from toolkit.processes import spent_apart

_log = logging.getLogger("av1part")

Progress = Callable[[int, int | None], None]


class Masker(Protocol):
    """A source of masks for an encode: a pipeline, or several for different node sizes."""

    @property
    def bit_depth(self) -> int:
        """Bit depth of the luma that it was made for."""

    @property
    def encoder(self) -> EncoderRecord:
        """Settings of the encoder whose decisions it learnt."""

    @property
    def pruner(self) -> PrunerBundle | None:
        """What decides inside the search of the frames that it masks; None where nothing does."""

    def mask(self, luma: Luma, qindex: int) -> Mask | Masks:
        """Masks of a frame, whose luma (H, W) holds raw code values; `Encoder` takes them as they are."""


@dataclass(frozen=True)
class Trial:
    """CPU seconds of a piece, `width` x `height` pixels, coded `plain` and as the clip is coded.

    `inference_seconds` are part of `seconds`. `of`: "the first frame" or "the photograph".
    """

    width: int
    height: int
    plain_seconds: float
    seconds: float
    inference_seconds: float
    of: str = "the first frame"

    @property
    def saving(self) -> float:
        """CPU time saved, in percent, inference and deciding charged; below 0 where it costs time."""
        return 100 * (1 - self.seconds / self.plain_seconds)


@dataclass
class Report:
    """Cost and result of an encode.

    CPU seconds of the process, which do not overlap: `encode_seconds` of libaom, `inference_seconds` of making masks,
    with cutting out blocks (and of the processes that WebGPU runs in), `reading_seconds` of decoding and shrinking
    frames. Seconds by the clock: `wall_seconds` of encoding and inference together, `total_seconds` of everything;
    `fps` is by the latter.

    `psnr_y`, in dB, is from the squared error of all frames together, None where the luma is exact. `qindex` has one
    entry a frame, -1 where a packet only shows a frame that was coded before.

    `masked_frames` had a mask; at `masked_nodes` the mask took something away, at `kept_nodes` it would have left
    nothing. `masks_ahead` of the masks were ready before they were asked for. `failed_masks` counts the frames that
    were encoded unmasked because the pipeline failed; `unmasked_frames` holds their numbers, `mask_errors` the reasons.
    `decisions` has, by node size and decision, how often a pruner was asked and how often it skipped.
    `expected_saving` is the share of CPU time, in percent, that the pruner's card expects it to save; not measured.
    `expected_at` says what the card measured and at which size, `expected_near` whether that is near the clip's.
    `trial` is what a piece of the first frame took, where the command made one.
    `waited_seconds` by the clock, from the command's start to its report, is set by the command. `carried` names what
    the output has of the source beside its samples. `alpha_bytes` are part of `bytes`.
    """

    frames: int = 0
    key_frames: int = 0
    bytes: int = 0
    alpha_bytes: int = 0
    psnr_y: float | None = None
    fps: float = 0.0
    total_seconds: float = 0.0
    wall_seconds: float = 0.0
    encode_seconds: float = 0.0
    inference_seconds: float = 0.0
    reading_seconds: float = 0.0
    masked_frames: int = 0
    masked_nodes: int = 0
    kept_nodes: int = 0
    masks_ahead: int = 0
    failed_masks: int = 0
    unmasked_frames: list[int] = field(default_factory=list)
    mask_errors: list[str] = field(default_factory=list)
    qindex: list[int] = field(default_factory=list)
    decisions: tuple[DecisionCount, ...] = ()
    expected_saving: float | None = None
    expected_at: str | None = None
    expected_near: bool = False
    trial: Trial | None = None
    waited_seconds: float | None = None
    carried: list[str] = field(default_factory=list)

    def add(self, ahead: Ahead) -> None:
        """Count what was done ahead of the encoder, in another thread."""
        self.reading_seconds += ahead.reading_seconds
        self.inference_seconds += ahead.mask_seconds
        self.masks_ahead = ahead.used

    def to_dict(self) -> dict[str, object]:
        """JSON values as `av1part encode --json` prints them: the counts of nodes are called blocks there."""
        values = asdict(self) | {"decisions": named_counts(self.decisions)}
        return {name.replace("_nodes", "_blocks"): value for name, value in values.items()}


def check_masker(masker: Masker, config: EncoderConfig, version: str, any_settings: bool) -> None:
    """Raise ToolkitError for a pipeline made for another bit depth or, unless `any_settings`, another encoder.

    The number of threads may differ. So may the distance of key frames, because only key frames are masked.
    """
    if masker.bit_depth != config.bit_depth:
        raise ToolkitError(
            f"The pipeline was made for {masker.bit_depth} bit, the clip has {config.bit_depth}. "
            "Label and train with clips of this bit depth."
        )
    if any_settings:
        return
    if not is_recorded(masker.encoder):
        raise ToolkitError(
            "The pipeline learnt from imported labels, and which encoder chose them is not recorded. Pass "
            "--any-settings to use it all the same."
        )
    own = EncoderSettings(config.cpu_used, config.usage, four_way=config.four_way, tune=config.tune)
    wanted = {"tune": "psnr"} | own.recorded(version, config.chroma)
    made_for = {"tune": "psnr"} | masker.encoder
    del wanted["threads"]
    differ = [
        f"{key} is {made_for.get(key, 'not recorded')!r} there and {value!r} here"
        for key, value in wanted.items()
        if made_for.get(key) != value
    ]
    if differ:
        raise ToolkitError(
            f"The pipeline was made for another encoder: {'; '.join(differ)}. "
            "Label and train with these settings, or pass --any-settings."
        )


def one_pruner(masker: Masker | None, pruner: PrunerBundle | None) -> PrunerBundle | None:
    """The pruner of an encode: the one given, else the one that the pipeline holds; ToolkitError on two."""
    own = masker.pruner if masker else None
    if own and pruner and own.sha256 != pruner.sha256:
        raise ToolkitError(
            f"{pruner.path}: a second pruner; the pipeline holds one ({own.path}). Leave --pruner out, or build the "
            "pipeline without one."
        )
    return pruner or own


def open_source(source: Path, settings: EncodeConfig, output: Path) -> Clip:
    """Open a clip or photograph as the settings say that it is coded for an output; errors as of `open_clip`.

    Raises ToolkitError too where a setting is for AVIF alone, and the output is none, or the reverse.
    """
    if output.suffix.lower() == AVIF:
        from integration.media.stills import open_still

        if settings.keyint != 1:
            raise ToolkitError(f"{output}: a picture is one key frame. Leave --keyint out.")
        return open_still(source, settings)
    if settings.depth:
        raise ToolkitError(f"{output}: the bit depth is chosen for {AVIF} alone. Leave --depth out.")
    return settings.open(source)


def encode_file(
    source: Path | Clip,
    output: Path,
    settings: EncodeConfig,
    masker: Masker | None = None,
    progress: Progress | None = None,
    pruner: PrunerBundle | None = None,
    *,
    key_pruner: PrunerBundle | None = None,
    overwrite: bool = False,
) -> Report:
    """Encode a clip or photograph to a file of a format that `output_file` knows; `progress(frames, of)` counts frames.

    A source may be one that `open_source` has opened with the same settings and output. `pruner` None takes the
    pipeline's own, where it holds one; `key_pruner` is for key frames of a clip whose inter frames are the pruner's.

    Colour description, HDR metadata and sound are carried over, as far as the output's format holds them; what is not
    is named in a line of the log. The file is written whole or not at all. Raises ToolkitError for a bad source or bad
    settings, for a pipeline or a pruner that was made for other settings, for two pruners, and where `output` is the
    source, is being written by another process, or exists and `overwrite` is not given.
    """
    check_target(output, source.path if isinstance(source, Clip) else source, overwrite)
    pruner = one_pruner(masker, pruner)
    clip = source if isinstance(source, Clip) else open_source(source, settings, output)
    beside = look_beside(clip.path)
    config = config_of(clip, settings)
    ask = masker.mask if masker else None
    with ExitStack() as stack:
        stack.enter_context(one_writer(output))
        check_target(output, clip.path, overwrite)  # another encode may have ended meanwhile
        ahead, read = None, clip
        if settings.ahead:
            ahead = stack.enter_context(Ahead(clip, settings.ahead, ask, masks=settings.keyint == 1))
            read = replace(clip, frames=ahead.frames)
        clock = ahead.clock if ahead else time.process_time
        encoder = stack.enter_context(Encoder(config, ahead.mask if ahead and ask else ask, clock=clock))
        _describe_samples(encoder, clip, beside)
        _let_decide(encoder, settings, masker, pruner, key_pruner)
        alpha, seconds = coded_alpha(clip, settings)
        described = stack.enter_context(_described(clip, beside, output, settings, alpha))
        write = stack.enter_context(output_file(output, described))

        def each(count: int, frame: EncodedFrame) -> None:
            write(frame)
            if progress:
                progress(count, clip.count)

        report = code_clip(read, encoder, each)
        report.bytes, report.alpha_bytes = report.bytes + len(alpha), len(alpha)
        report.encode_seconds += seconds
        report.carried = _carried(described)
        report.decisions = count_decisions(encoder) if pruner else ()
        if ahead:
            report.add(ahead)
    _warn_of_times(clip, output, report.frames)
    return report


def _let_decide(
    encoder: Encoder,
    settings: EncodeConfig,
    masker: Masker | None,
    pruner: PrunerBundle | None,
    key_pruner: PrunerBundle | None,
) -> None:
    """Give the encoder its pruners; ToolkitError where one of them, or the masker, was made for other settings."""
    if masker:
        check_masker(masker, encoder.config, encoder.version, settings.any_settings)
    if key_pruner:
        use_pruner(encoder, key_pruner)
    if pruner:
        use_pruner(encoder, pruner, settings.price)


def config_of(clip: Clip, settings: EncodeConfig) -> EncoderConfig:
    """What opens the encoder of an opened source."""
    config = settings.at(clip.width, clip.height, clip.bit_depth, settings.cq, clip.chroma)
    return replace(config, still=clip.still is not None)


def coded_alpha(clip: Clip, settings: EncodeConfig) -> tuple[bytes, float]:
    """The opacity of a picture as a stream of luma alone, as good as its colours, and the CPU seconds of coding it.

    Empty where it is opaque. Nothing prunes or masks there.
    """
    if clip.still is None or clip.still.alpha is None:
        return b"", 0.0
    with Encoder(replace(config_of(clip, settings), chroma=400)) as encoder:
        encoder.set_colour(Colour(full_range=True))
        before = time.process_time()
        return encoder.encode([clip.still.alpha]).data, time.process_time() - before


def _describe_samples(encoder: Encoder, clip: Clip, beside: Beside) -> None:
    """Say in the stream how the samples of a clip are meant, as far as its file says so."""
    if clip.colour != UNDESCRIBED:
        encoder.set_colour(clip.colour)
    encoder.set_chroma_position(beside.chroma)
    if beside.aspect != 1:
        encoder.set_aspect(beside.aspect)
    encoder.set_hdr(beside.hdr)


@contextmanager
def _described(clip: Clip, beside: Beside, output: Path, settings: EncodeConfig, alpha: bytes) -> Iterator[Described]:
    """Describe the output, its sound opened, and log what it does not get of what lies beside the video's samples."""
    ending = output.suffix.lower()
    cut = settings.frames is not None or settings.allow_truncated
    lost = [why_not(beside, ending)] if settings.audio else []
    left = [*beside.left, *unheld(beside, ending, cut=cut)]
    lost += [f"{note[0].upper()}{note[1:]}." for note in clip.notes]
    lost += [f"Not carried over: {', '.join(left)}."] if left else []
    if any(lost):
        _log.warning("%s: %s", clip.path, " ".join(filter(None, lost)))
    with opened_sound(clip.path, beside, ending) if settings.audio else nullcontext() as sound:
        yield Described(clip, beside, sound, cut, alpha)


def _warn_of_times(clip: Clip, output: Path, frames: int) -> None:
    """Warn where frames do not come at a constant rate, and the output has no place for their times."""
    if output.suffix.lower() not in HOLD_TIMES and not clip.is_even(frames):
        said = "its frames do not come at a constant rate, and %s holds no times: it is played too fast or too slow."
        _log.warning(f"Warning: %s: {said} Write %s.", clip.path, output.suffix, " or ".join(HOLD_TIMES))


def _carried(described: Described) -> list[str]:
    """What is carried over to the output beside the samples, for people."""
    clip, hdr = described.clip, described.beside.hdr
    found: dict[str, object] = {"colour description": clip.colour != UNDESCRIBED, "HDR metadata": hdr != NO_HDR}
    still = described.clip.still or OPAQUE
    found |= {"colour profile": still.icc, "EXIF": still.exif, "XMP": still.xmp, "alpha": described.alpha}
    tracks = [f"sound ({codec})" for codec in described.sound.codecs] if described.sound else []
    return [name for name, there in found.items() if there] + tracks


def code_clip(
    clip: Clip, encoder: Encoder, each: Callable[[int, EncodedFrame], None], masks: Sequence[Mask | Masks] | None = None
) -> Report:
    """Encode every frame of a clip; `each(count, frame)` is called with every coded frame, counted from 1.

    `masks`, one entry a frame, replace the encoder's mask source. At most `lag` + 1 frames are held in memory. Raises
    ToolkitError for a clip without frames, or with fewer masks than frames.
    """
    report = Report()
    clock, began, apart = encoder.clock, time.perf_counter(), spent_apart()
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
            frame = encoder.feed(planes, None if masks is None else masks[given], clip.span(given))
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
    report.inference_seconds = encoder.mask_seconds + spent_apart() - apart
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
    report.masked_nodes += frame.masked_nodes
    report.kept_nodes += frame.kept_nodes
    if frame.mask_error:
        report.unmasked_frames.append(frame.number)
        if frame.mask_error not in report.mask_errors:
            report.mask_errors.append(frame.mask_error)
