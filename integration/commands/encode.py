"""`av1part encode`: a real encode through the hook."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from integration.codec.config import CHROMAS, CODING, USAGES, four_way_of
from integration.commands.encode_options import four_way_option, provider_option
from integration.encoding.config import (
    AVIF,
    AVIF_USUAL,
    CLIP_KEYINT,
    CLIP_LAG,
    DECIDING,
    USUAL,
    EncodeConfig,
    distances,
)
from toolkit.cli.grouped import GroupedCommand, grouped_option
from toolkit.cli.options import config_options, scheduler_option
from toolkit.cluster import Cluster
from toolkit.folders import check_file
from toolkit.option import Options

if TYPE_CHECKING:
    from integration.encoding.encode import Report, Trial
    from integration.encoding.opening import Named
    from integration.media.video import Clip
    from integration.pipeline.pipeline_set import PipelineSet
    from integration.pruning.bundle import PrunerBundle

ENDINGS = (".avif", ".ivf", ".obu", ".mp4", ".mkv", ".webm")


NOT_OF_PICTURES = (
    "provider", "strict", "any_settings", "lag", "ahead", "audio", "frames", "allow_truncated", "raw",
)  # fmt: skip
"""Options that mean nothing for pictures that go to a folder: of pipelines, and of clips."""
JOBS = "Processes that code pictures into a folder; 0 for one a core."


def _usual(name: str) -> dict[str, Any]:
    """Default of an option that is another for AVIF."""
    return {"default": None, "show_default": f"{USUAL[name]}; {AVIF_USUAL[name]} for AVIF"}


@click.command(cls=GroupedCommand)
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help=f"File to write, {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}; or a folder, there or named with / at its end, "
    "for AVIF pictures.",
)
@click.option("--strict", is_flag=True, help="Exit 1 where a frame went unmasked because the pipeline failed.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there; never the clip itself.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@grouped_option(
    "--pipeline",
    "pipelines",
    multiple=True,
    type=click.Path(path_type=Path),
    group=DECIDING,
    help="Pipeline, whose masks restrict the search, repeatable, once for each node size; or a pruner, as --pruner.",
)
@grouped_option(
    "--pruner",
    type=click.Path(path_type=Path),
    group=DECIDING,
    help="Decides inside the search: a folder, or a name of `av1part zoo`.  [default: the pipeline's own; without "
    "--pipeline the one in the box that has a measured gain on such an encode, if there is one]",
)
@grouped_option("--no-pipeline", is_flag=True, group=DECIDING, help="Stock libaom: no pruner by default, no masks.")
@provider_option
@four_way_option("as the pruner or the pipeline was made; without either, yes")
@grouped_option(
    "--keyint",
    show_default=f"{CLIP_KEYINT} for clips, 1 for photographs and in all-intra usage",
    type=click.IntRange(0, 9999),
    group=CODING,
    help="Largest distance between key frames; 1 or 0: key frames alone. Masks are for these, a pruner for these or "
    "for inter frames.",
)
@grouped_option(
    "--lag",
    show_default=f"{CLIP_LAG} where there are inter frames",
    type=click.IntRange(0, 48),
    group=CODING,
    help="Number of frames that libaom looks ahead; needs a keyint above 1.",
)
@grouped_option("--cq", **_usual("cq"), type=click.IntRange(0, 63), group=CODING, help="Constant-quality level.")
@grouped_option("--cpu-used", **_usual("cpu_used"), type=click.IntRange(0, 9), group=CODING, help="Speed preset.")
@grouped_option("--usage", **_usual("usage"), type=click.Choice(USAGES), group=CODING, help="libaom's usage.")
@grouped_option(
    "--chroma",
    type=click.Choice([str(chroma) for chroma in CHROMAS]),
    group=CODING,
    help="What a picture is converted to, and a clip has to be; 400 is luma alone.  [default: 420; for AVIF a JPEG's "
    "own, 400 of a grey picture, and 444]",
)
@config_options(EncodeConfig, but=("four_way", "keyint", "lag", "chroma", *USUAL))
@click.option("--jobs", default=0, show_default=True, type=click.IntRange(0), help=JOBS)
@scheduler_option("Options")
@click.pass_context
def encode(
    ctx: click.Context,
    /,
    clips: tuple[Path, ...],
    output: str,
    pipelines: tuple[Path, ...],
    pruner: Path | None,
    no_pipeline: bool,
    provider: str | None,
    strict: bool,
    overwrite: bool,
    as_json: bool,
    jobs: int,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Encode a clip or picture with libaom; a pruner or the masks of pipelines make it faster.

    Without --pruner and --pipeline, a pruner in the box is used where its card has a measured gain on such material,
    bit depth, usage and speed (`av1part zoo`); a line on stderr names it and what to expect. --no-pipeline gives
    libaom's own stream. A pipeline that holds a pruner masks a frame before its search and prunes inside it.

    A clip has a key frame at least every 240 frames unless --keyint says otherwise. Masks are for key frames alone, a
    pruner for these or for the frames between; a line says which are pruned. A clip of 8 or more frames, all key
    frames, gets a trial: a piece of its first frame is coded with the pruner or pipeline and without, and a line says
    what that saved. With a pipeline, a large photograph gets one too, on small tiles of it.

    A picture becomes AVIF by the name of OUTPUT: with its opacity, colour profile, EXIF and XMP, upright. Several
    CLIPS or a folder of them have to be pictures, and OUTPUT is a folder, where each becomes NAME.avif: on all cores,
    one thread each. What is there already is left as it is, so that a run which was stopped goes on.

    A clip is a photograph, y4m, MP4, Matroska, IVF, AVI or a like video, or raw yuv. Colour description and HDR
    metadata are carried over, and when each frame is shown (not into .obu); into .mp4, .mkv and .webm sound too,
    unchanged, title and chapters; into .mp4 the aspect of samples. A line says what is not.

    Prints frames, bytes, PSNR-Y, frames a second, and the CPU seconds of encoding, of inference and of reading. A frame
    on which the pipeline fails is coded unmasked, and the file is still complete and valid: the exit code is 0 with a
    warning that counts these frames, and 1 with --strict. A frame that cannot be read is an error (1) and leaves no
    file.
    """
    began = time.perf_counter()
    target = Path(output)
    into_folder = len(clips) > 1 or clips[0].is_dir() or target.is_dir() or output.endswith("/")
    usual = AVIF_USUAL if into_folder or target.suffix.lower() == AVIF else USUAL
    options |= {name: value for name, value in usual.items() if options[name] is None}
    options |= {"own_chroma": options["chroma"] is None, "chroma": int(options["chroma"] or 420)}
    if no_pipeline and (pruner or pipelines or options["price"] is not None):
        raise click.UsageError("--no-pipeline is stock libaom: leave --pruner, --pipeline and --price out, or it.")
    from integration.encoding.opening import named

    given = named(pipelines, pruner)
    if into_folder:
        _check_of_pictures(ctx, clips, output, pipelines=bool(given.pipelines))
        from integration.commands.encode_folder import code_folder

        where = Cluster(scheduler) if scheduler else jobs
        code_folder(
            clips, target, given.decider(), options, where, without=no_pipeline, overwrite=overwrite, as_json=as_json
        )
        return
    if ctx.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--scheduler is for several pictures, each coded by a worker. Leave it out.")
    if strict and not given.pipelines:
        raise click.UsageError("--strict is about the masks of a pipeline, and none is named. Leave it out.")
    done = _to_file(clips[0], target, given, options, provider, without=no_pipeline, overwrite=overwrite)
    done.waited_seconds = time.perf_counter() - began
    click.echo(json.dumps(done.to_dict()) if as_json else summary(done))
    _count_unmasked(done, strict)


def _check_of_pictures(ctx: click.Context, clips: Sequence[Path], output: str, *, pipelines: bool) -> None:
    """Raise a usage error where `output` names a file, or options mean nothing for pictures that go to a folder."""
    if output.lower().endswith(ENDINGS) and not Path(output).is_dir():
        check_file(clips[0], "a clip or photograph")
        raise click.UsageError(f"-o {output}: the name of one file, for {len(clips)} pictures. Name a folder.")
    if pipelines:
        raise click.UsageError("Pictures for a folder are coded without masks: leave --pipeline out.")
    given = [name for name in NOT_OF_PICTURES if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    given += ["keyint"] if ctx.params["keyint"] not in (None, 0, 1) else []
    if given:
        words = [param.opts[0] for param in ctx.command.params if param.name in given]
        raise click.UsageError(
            f"{', '.join(words)}: for clips or pipelines; these are pictures for a folder, each one key frame. Leave "
            f"{'it' if len(words) == 1 else 'them'} out."
        )


def _to_file(
    clip: Path,
    output: Path,
    given: "Named",
    options: Options,
    provider: str | None,
    *,
    without: bool,
    overwrite: bool,
) -> "Report":
    """Open what was named to decide, and encode one clip or picture."""
    check_file(clip, "a clip or photograph")
    from integration.encoding.encode import one_pruner
    from integration.media.containers import check_target

    check_target(output, clip, overwrite)
    # A mask made ahead of the encoder has a whole frame's time, so one thread beside the encoder's is enough.
    masker = given.masks(1 if options["ahead"] else options["threads"], provider)
    asked = one_pruner(masker, given.decider())
    return _coded(clip, output, masker, asked, options, without=without, overwrite=overwrite)


def _coded(
    clip: Path,
    output: Path,
    masker: "PipelineSet | None",
    asked: "PrunerBundle | None",
    options: Options,
    *,
    without: bool,
    overwrite: bool,
) -> "Report":
    """Choose a pruner unless one was `asked` for, say what is expected of it and what a trial gave, and encode."""
    from integration.encoding.choice import expect, key_frames_pruner, pruner_for
    from integration.encoding.encode import encode_file, open_source
    from toolkit.cli.progress import coding

    options |= _distances(clip, asked, options, still=output.suffix.lower() == AVIF)
    plain = EncodeConfig(**options | {"four_way": False})
    source = open_source(clip, plain, output)
    opened, row, said = pruner_for(
        source, plain, asked, options["four_way"], without=without, masked=masker is not None
    )
    if options["price"] is not None and not opened:
        raise click.UsageError(f"--price is a pruner's, and this encode has none: name one by --pruner. {said}".strip())
    if said:
        click.echo(said, err=True)
    made_for = [model.encoder for model in (opened, masker) if model]
    options["four_way"] = four_way_of(options["four_way"], *made_for)
    settings = EncodeConfig(**options)
    key_pruner = key_frames_pruner(source, settings, None if asked else opened)
    if settings.keyint > 1 and (opened or masker):
        click.echo(_which_frames(masker, opened, key_pruner), err=True)
    trial = tried(source, settings, masker, opened)
    with coding() as progress:
        done = encode_file(
            source, output, settings, masker, progress, opened, key_pruner=key_pruner, overwrite=overwrite
        )
    done.trial = trial
    if row:
        expect(done, row, source)
    return done


def _count_unmasked(done: "Report", strict: bool) -> None:
    """Warn of frames that went unmasked because the pipeline failed; ToolkitError with --strict."""
    from toolkit.errors import ToolkitError

    if done.failed_masks:
        said = f"{done.failed_masks} of {done.frames} frames went unmasked: {'; '.join(done.mask_errors)}"
        if strict:
            raise ToolkitError(f"{said}. The file is there and valid.")
        click.echo(f"Warning: {said}", err=True)


def _distances(clip: Path, pruner: "PrunerBundle | None", options: Options, *, still: bool) -> dict[str, int]:
    """`keyint` and `lag` as given, else as is usual for the source and the pruner that was asked for."""
    from integration.media.photographs import is_photograph

    intra = still or is_photograph(clip) or options["usage"] == "allintra"
    learnt: Mapping[str, Any] = pruner.encoder if pruner and pruner.frame_kind == "inter" else {}
    found = distances(options["keyint"], options["lag"], intra=intra, learnt=learnt)
    if options["keyint"] is None and found["keyint"] > 1:
        alone = "--keyint 1 makes every frame a key frame"
        click.echo(f"Key frames at most {found['keyint']} frames apart, inter frames between; {alone}.", err=True)
    return found


def _which_frames(
    masker: "PipelineSet | None", pruner: "PrunerBundle | None", key_pruner: "PrunerBundle | None"
) -> str:
    """Line that says which frames of a clip with inter frames are pruned or masked, of those that something is for."""
    if pruner is None or pruner.frame_kind == "key":
        return "Only the key frames are pruned; the frames between them are coded as libaom codes them."
    alone = f"pruned by {key_pruner.path.name}" if key_pruner else "coded as libaom codes them"
    key = "masked" if masker else alone
    return f"Inter frames are pruned; key frames are {key}."


def tried(
    clip: "Clip", settings: EncodeConfig, masker: "PipelineSet | None", pruner: "PrunerBundle | None"
) -> "Trial | None":
    """Try masks or a pruner on a piece of a clip, and say what that gave; None where `try_out` tries nothing."""
    from integration.encoding.trial import try_out

    if not (masker or pruner):
        return None
    trial = try_out(clip, settings, masker, pruner)
    if trial:
        what = "pipeline" if masker else "pruner"
        times = f"{trial.seconds:.3g} CPU s with it, {trial.plain_seconds:.3g} without"
        where = f"on {trial.width}x{trial.height} pixels of {trial.of}: {times}"
        if masker:
            where += f"; {trial.inference_seconds:.3g} of these went into inference"
        if trial.saving > 0:
            click.echo(f"Trial {where}. It saves {trial.saving:.0f}% there.", err=True)
        else:
            advice = "--no-pipeline gives stock libaom."
            click.echo(f"Warning: this {what} will not pay here: {where}. {advice}", err=True)
    return trial


def expected_saving(report: "Report") -> str:
    """What is expected to have been saved against stock libaom, and from what; empty where nothing prunes.

    Nothing here is measured on the whole encode. CPU seconds are named only where what was measured is near to it.
    """
    if report.trial:
        share, spent = report.trial.saving / 100, report.encode_seconds + report.inference_seconds
        piece = f"{report.trial.width}x{report.trial.height} pixels of {report.trial.of}"
        word = "about" if share > 0 else "nothing: about"
        return f"{word} {spent * share / (1 - share):.2f} CPU s ({share:.0%}), estimated by coding {piece} both ways"
    if report.expected_saving is not None:
        share = report.expected_saving / 100
        spared = report.encode_seconds * share / (1 - share)
        about = f"about {spared:.2f} CPU s, " if report.expected_near else ""
        return f"{about}as expected from the pruner's card: {report.expected_at}; not measured here"
    if report.masked_frames or report.decisions:
        return "unknown: too few frames or pixels for an estimate, or not all key frames"
    return ""


def summary(report: "Report") -> str:
    """Cost and result of an encode for people, one fact a line."""
    psnr = "no error" if report.psnr_y is None else f"{report.psnr_y:.2f} dB"
    masked = f", {report.masked_frames} masked" if report.masked_frames or report.failed_masks else ""
    lines = {
        "frames": f"{report.frames}, {report.key_frames} of them key frames{masked}",
        "bytes": report.bytes,
        "PSNR-Y": psnr,
        "qindex": f"{min(q for q in report.qindex if q >= 0)} to {max(report.qindex)}",
        **(_masks(report) if masked else {}),
        "encoding": f"{report.encode_seconds:.2f} CPU s",
        "reading": f"{report.reading_seconds:.2f} CPU s",
        "wall": f"{report.total_seconds:.2f} s, {report.fps:.2f} frames a second",
    }
    if report.carried:
        lines["carried over"] = ", ".join(report.carried)
    if report.waited_seconds is not None:
        lines["waited"] = f"{report.waited_seconds:.2f} s in all, with starting up and opening models and files"
    if said := expected_saving(report):
        lines["expected saving"] = said
    for decision in sorted({count.decision for count in report.decisions}):
        own = [count for count in report.decisions if count.decision == decision]
        sizes = ", ".join(f"{count.skipped} of {count.asked} at {count.side}x{count.side}" for count in own)
        lines[f"pruner, {decision.replace('_', ' ')}"] = sizes
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _masks(report: "Report") -> dict[str, str]:
    """What masks did and cost, one fact a line."""
    return {
        "nodes masked": f"{report.masked_nodes}, {report.kept_nodes} more where nothing would have been left",
        "masks made ahead": str(report.masks_ahead),
        "frames unmasked by failure": f"{report.failed_masks} {report.unmasked_frames[:20] or ''}".rstrip(),
        "inference": f"{report.inference_seconds:.2f} CPU s",
    }
