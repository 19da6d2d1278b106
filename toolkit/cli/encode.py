"""`av1part encode`: a real encode through the hook."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from integration.encode_config import EncodeConfig

_D = EncodeConfig()


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The IVF file.")
@click.option("--pipeline", type=click.Path(path_type=Path), help="Restrict the search with this pipeline's masks.")
@click.option("--cq", default=_D.cq, show_default=True, type=click.IntRange(0, 63), help="Constant-quality level.")
@click.option("--cpu-used", default=_D.cpu_used, show_default=True, type=click.IntRange(0, 6), help="Speed preset.")
@click.option("--usage", default=_D.usage, show_default=True, type=click.Choice(["good", "allintra"]))
@click.option("--threads", default=_D.threads, show_default=True, type=click.IntRange(1, 64))
@click.option("--frames", default=_D.frames, type=click.IntRange(1), help="Only the first N frames.")
@click.option("--size", default=_D.size, help="Shrink to fit WxH.")
@click.option("--raw", default=_D.raw, help="Layout of a .yuv file, WxH[:bitdepth].")
@click.option("--any-settings", is_flag=True, help="Use a pipeline made for other encoder settings.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def encode(clip: Path, output: Path, pipeline: Path | None, as_json: bool, **options: Any) -> None:
    """Encode a clip with libaom, with a pipeline's masks or without; every frame is a key frame.

    Prints bytes, PSNR-Y, and the process's CPU seconds of encoding and of inference. Exits 1 where the pipeline
    failed on a frame: the file is there, with that frame unmasked.
    """
    from rich.console import Console

    from integration.encode import encode_file
    from toolkit.errors import ToolkitError

    masker = None
    if pipeline:
        from integration.pipeline import Pipeline

        masker = Pipeline.load(pipeline, threads=options["threads"])
    with Console(stderr=True).status("encoding") as status:
        done = encode_file(clip, output, EncodeConfig(**options), masker, lambda n: status.update(f"{n} frames coded"))
    report = asdict(done)
    click.echo(json.dumps(report) if as_json else "\n".join(f"{key}: {value}" for key, value in report.items()))
    if report["failed_masks"]:
        reasons = "; ".join(report["mask_errors"])
        raise ToolkitError(f"{report['failed_masks']} of {report['frames']} frames went unmasked: {reasons}")
