"""`av1part encode`: a real encode through the hook."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from integration.encoding.config import EncodeConfig

if TYPE_CHECKING:
    from integration.encoding.encode import Report

_D = EncodeConfig()
ENDINGS = ".ivf, .obu, .mp4, .mkv or .webm"


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help=f"The file: {ENDINGS}.")
@click.option(
    "--pipeline",
    "pipelines",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Restrict the search with its masks; once for each node size.",
)
@click.option("--cq", default=_D.cq, show_default=True, type=click.IntRange(0, 63), help="Constant-quality level.")
@click.option("--cpu-used", default=_D.cpu_used, show_default=True, type=click.IntRange(0, 6), help="Speed preset.")
@click.option("--usage", default=_D.usage, show_default=True, type=click.Choice(["good", "allintra"]))
@click.option("--threads", default=_D.threads, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--keyint",
    default=_D.keyint,
    show_default=True,
    type=click.IntRange(1, 9999),
    help="Frames from key frame to key frame at most; only key frames are masked.",
)
@click.option(
    "--lag",
    default=_D.lag,
    show_default=True,
    type=click.IntRange(0, 48),
    help="Frames that libaom looks ahead; needs a keyint above 1.",
)
@click.option(
    "--ahead",
    default=_D.ahead,
    show_default=True,
    type=click.IntRange(0, 64),
    help="Frames decoded, and masked where every frame is a key frame, while the encoder works.",
)
@click.option("--frames", default=_D.frames, type=click.IntRange(1), help="Only the first N frames.")
@click.option("--size", default=_D.size, help="Shrink to fit WxH.")
@click.option("--raw", default=_D.raw, help="Layout of a .yuv file, WxH[:bitdepth].")
@click.option("--any-settings", is_flag=True, help="Use a pipeline made for other encoder settings.")
@click.option("--strict", is_flag=True, help="Exit 1 where a frame went unmasked because the pipeline failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def encode(clip: Path, output: Path, pipelines: tuple[Path, ...], strict: bool, as_json: bool, **options: Any) -> None:
    """Encode a clip with libaom, with pipelines' masks or without; y4m, mp4 and what else FFmpeg reads, or raw yuv.

    Prints frames, bytes, PSNR-Y, frames a second, and the process's CPU seconds of encoding, of inference and of
    reading. Where the pipeline fails on a frame, that frame is coded unmasked, and the file is complete and valid:
    exits 0 with a warning that counts these frames, with --strict 1. A frame that cannot be read is an error (1) and
    leaves no file.
    """
    from integration.encoding.encode import encode_file
    from toolkit.cli.progress import coding
    from toolkit.errors import ToolkitError

    masker = None
    if pipelines:
        from integration.pipeline.pipeline import Pipeline
        from integration.pipeline.pipeline_set import Levels

        # Ahead of the encoder a mask has the time of a whole frame: one thread, beside the encoder's.
        threads = 1 if options["ahead"] else options["threads"]
        masker = Levels([Pipeline.load(path, threads=threads) for path in pipelines])
    with coding() as progress:
        done = encode_file(clip, output, EncodeConfig(**options), masker, progress)
    click.echo(json.dumps(asdict(done)) if as_json else summary(done))
    if done.failed_masks:
        said = f"{done.failed_masks} of {done.frames} frames went unmasked: {'; '.join(done.mask_errors)}"
        if strict:
            raise ToolkitError(f"{said}. The file is there and valid.")
        click.echo(f"Warning: {said}", err=True)


def summary(report: "Report") -> str:
    """What a person wants to know of an encode, a line each."""
    psnr = "no error" if report.psnr_y is None else f"{report.psnr_y:.2f} dB"
    lines = {
        "frames": f"{report.frames}, {report.key_frames} of them key frames, {report.masked_frames} masked",
        "bytes": report.bytes,
        "PSNR-Y": psnr,
        "qindex": f"{min(q for q in report.qindex if q >= 0)} to {max(report.qindex)}",
        "nodes masked": f"{report.masked_blocks}, {report.kept_blocks} more where nothing would have been left",
        "masks made ahead": report.masks_ahead,
        "frames unmasked by failure": f"{report.failed_masks} {report.unmasked_frames[:20] or ''}".rstrip(),
        "encoding": f"{report.encode_seconds:.2f} CPU s",
        "inference": f"{report.inference_seconds:.2f} CPU s",
        "reading": f"{report.reading_seconds:.2f} CPU s",
        "wall": f"{report.total_seconds:.2f} s, {report.fps:.2f} frames a second",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())
