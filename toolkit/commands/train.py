"""`av1part train`: train one stage of the cascade."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.data.inside import INSIDE
from toolkit.errors import ToolkitError
from toolkit.files import quoted
from toolkit.folders import RUN, check_folder, check_model
from toolkit.model.config import ADAPTERS, BACKBONES, PLACEMENTS, ModelConfig
from toolkit.partition import AUGMENTATIONS, INSIDE_LARGER, NAMES, STAGES
from toolkit.training.config import (
    AUTO,
    BATCH_NORMS,
    COMPILE,
    DEVICES,
    INITS,
    LOGGERS,
    LOSSES,
    PRECISIONS,
    RECIPES,
    SAMPLERS,
    Extension,
    TrainConfig,
)
from toolkit.windows import CONTEXTS

if TYPE_CHECKING:
    from toolkit.data.blockset import BlockSet
    from toolkit.training.run_folder import Epoch

F = TypeVar("F", bound=Callable[..., Any])
_M, _T = ModelConfig(), TrainConfig()
_ADAPTER = ("adapter", "adapter_size", "adapter_placement")
_IS_FIRST = "LOCAL_RANK" not in os.environ
"""Whether this process is the one that was called. Lightning Fabric sets the variable for the others it starts."""
_MODEL_OPTIONS = ("stage", "backbone", "qindex", "context", "spatial_attention", *_ADAPTER, "dropout", "inside")


def _option(name: str, kind: Any, text: str) -> Callable[[F], F]:
    default = getattr(_T, name)
    return click.option(f"--{name.replace('_', '-')}", name, type=kind, default=default, show_default=True, help=text)


def _flag(name: str, text: str) -> Callable[[F], F]:
    words = name.replace("_", "-")
    return click.option(f"--{words}/--no-{words}", name, default=getattr(_T, name), show_default=True, help=text)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", "run", type=click.Path(path_type=Path), required=True, help="Run folder to write.")
@click.option(
    "--stage", type=click.Choice(list(STAGES)), default=_M.stage, show_default=True, help="Stage of the cascade."
)
@click.option(
    "--backbone",
    type=click.Choice(list(BACKBONES)),
    default=_M.backbone,
    show_default=True,
    help="Network below the head.",
)
@click.option("--qindex/--no-qindex", default=_M.qindex, show_default=True, help="Feed the qindex to the head.")
@click.option(
    "--context", type=click.Choice([str(c) for c in CONTEXTS]), default=str(_M.context), show_default=True,
    callback=lambda ctx, param, value: int(value), help="Source pixels around the node, on each side.",
)  # fmt: skip
@click.option(
    "--spatial-attention/--no-spatial-attention",
    default=_M.spatial_attention, show_default=True, help="Weight positions by a learnt gate (small network).",
)  # fmt: skip
@click.option(
    "--adapter", type=click.Choice(ADAPTERS), default=_M.adapter, show_default=True, help="Residual adapters."
)
@click.option(
    "--adapter-size", type=int, default=_M.adapter_size, show_default=True, help="Channels of an adapter's bottleneck."
)
@click.option(
    "--adapter-placement",
    type=click.Choice(PLACEMENTS),
    default=_M.adapter_placement,
    show_default=True,
    help="Blocks of the backbone that get an adapter.",
)
@click.option(
    "--inside",
    type=click.Choice(list(INSIDE)),
    help="Ask Stage 2 inside the search, after NONE or after SPLIT, with the features that are known there; DATA has "
    "to be of `label --search`.  [default: before the search, by pixels]",
)
@click.option("--dropout", type=float, default=_M.dropout, help="Dropout of the head.  [default: by stage]")
@click.option("--recipe", type=click.Choice(list(RECIPES)), help="Named set of defaults; see `av1part recipes`.")
@click.option(
    "--init",
    type=click.Choice(INITS),
    help="Source of the backbone's first weights.  [default: stage1 with --from, else imagenet where the backbone's "
    "weights are on this machine, else random]",
)
@click.option("--from", "start", type=click.Path(path_type=Path), help="Stage 1 run or checkpoint, for --init stage1.")
@click.option("--weights", type=click.Path(path_type=Path), help="File of ImageNet weights; its sha256 is checked.")
@_option("epochs", int, "Number of epochs, frozen ones included.")
@_option("freeze_epochs", int, "Number of first epochs with the backbone frozen (random init: none).")
@_option("batch_size", int, "Blocks in a step, over all devices.")
@_option("lr", float, "Learning rate of the head.")
@_option("lr_backbone", float, "Learning rate of the backbone after unfreezing (random init: the head's).")
@_option("weight_decay", float, "Weight decay of AdamW.")
@_option(
    "loss",
    click.Choice(LOSSES),
    "Loss function. cb-focal: class-balanced focal loss; regret and cost-... need RD costs in DATA.",
)
@_option("regret_cap", float, "Share of RD cost above which a wrong choice counts no more (cost-ce, cost-focal).")
@_option("beta", float, "Beta of the class-balanced weights (Cui 2019).")
@_option("gamma", float, "Gamma of the focal loss (Lin 2017).")
@_option(
    "auxiliary", float, "Weight of a second task, in training alone: name the AV1 partition of each node; 0: none."
)
@click.option(
    "--teacher", type=click.Path(path_type=Path), help="Run or checkpoint, such as an ensemble, to learn from."
)
@_option("distil", float, "Share of the teacher in the stage's loss, 0 to 1; the labels have the rest.")
@_option("distil_temperature", float, "Temperature of the teacher's and the student's softmax (Hinton 2015).")
@_option(
    "augment",
    click.Choice(AUGMENTATIONS),
    "Random flips, or flips and transposition; labels are turned with the pixels.",
)
@_option(
    "batch_norm",
    click.Choice(BATCH_NORMS),
    "Mode of the backbone's batch-norm after unfreezing; auto: train mode for a random init alone.",
)
@_option("gradual", int, "Epochs from the unfreezing of one layer group to the next; 0: all at once.")
@_option("sampler", click.Choice(SAMPLERS), "Order of the blocks. balanced: draw every class equally often.")
@_option("seed", int, "Seed of weights, order, augmentation, dropout and limits.")
@_option("limit_train", int, "Maximum number of training blocks, drawn by seed.")
@_option("limit_val", int, "Maximum number of validation blocks, the same for every seed.")
@_option("device", click.Choice(DEVICES), "Accelerator of Lightning Fabric.")
@_option("devices", int, "Number of devices (or CPU processes).")
@_option(
    "precision",
    click.Choice([*PRECISIONS, AUTO]),
    "Precision of training; evaluation is in float32. auto: what this machine is fast in.",
)
@_flag("channels_last", "Store the channels of a pixel side by side in memory.")
@_option("compile", click.Choice(COMPILE), "Mode of torch.compile; reduce-overhead: CUDA graphs.")
@_flag("fused", "Do the step of AdamW in one kernel.")
@_option(
    "cache_gib",
    float,
    "Memory for features of a frozen backbone, in GiB; features that do not fit are computed at each use.",
)
@click.option(
    "--logger", type=click.Choice(LOGGERS), help="Write every epoch's figures for a tracker into RUN/logs as well."
)
@click.option("--resume", is_flag=True, help="Continue after the last finished epoch, with the run's own options.")
@click.option("--extend", type=int, help="With --resume: number of epochs to add to a finished run.")
@click.option(
    "--extend-lr",
    type=float,
    help="Learning rate of the head at the start of the added epochs; the backbone's in proportion.",
)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    data: Path,
    run: Path,
    start: Path | None,
    weights: Path | None,
    teacher: Path | None,
    logger: str | None,
    resume: bool,
    extend: int | None,
    extend_lr: float | None,
    **options: Any,
) -> None:
    """Train one stage on the training split of DATA and evaluate every epoch on its validation split.

    The model decides about nodes of the size that DATA has, 8x8 to 128x128.

    The defaults are the field's protocol for Stage 2: 30 epochs, 8 of them frozen, class-balanced focal loss.
    """
    from toolkit.data.blockset import BlockSet

    if resume:
        check_folder(run, RUN)
    for model_file in filter(None, () if resume else (start, teacher)):  # a resumed run compares them with its own
        check_model(model_file)
    blocks = BlockSet.load(data)  # checked whole before torch is imported, which takes seconds
    from toolkit.cli.progress import EpochLog, next_step
    from toolkit.training.data import never_asked
    from toolkit.training.report import epoch_logger
    from toolkit.training.run_folder import RunFolder
    from toolkit.training.train import train as run_training

    given = _given(ctx, options)
    extension = _extension(resume, extend, extend_lr)
    if resume:
        options = _options_of_run(RunFolder.open(run).read(), given)
    elif options["recipe"] is not None:
        options |= RECIPES[options["recipe"]].options | given
    if options["init"] is None:
        options["init"] = _init_at_hand(options["backbone"], start, weights)
    if teacher is None and not resume and (idle := sorted({"distil", "distil_temperature"} & set(given))):
        raise ToolkitError(f"{' and '.join(idle)} given without --teacher RUN_OR_CKPT. Name it, or leave them away.")
    point = options["inside"]
    options["inside"] = blocks.inside(point, options["stage"]) if point else None
    model = ModelConfig(bit_depth=blocks.bit_depth, node=blocks.node, **{k: options.pop(k) for k in _MODEL_OPTIONS})
    folder, config = RunFolder(run), _settled(model, options)
    for doubt in [*config.doubts(), *(_idle(config, given) if teacher is not None else []), *_slower(model, config)]:
        click.echo(f"Warning: {doubt}", err=True)
    if _IS_FIRST and (said := _left_out(blocks, model.stage)):
        click.echo(said, err=True)
    for split in ("train", "val"):
        if _IS_FIRST and (said := never_asked(blocks, split, model)):
            click.echo(said, err=True)
    track = epoch_logger(logger, run) if logger and _IS_FIRST else None
    with EpochLog(model.classes) as log:

        def on_epoch(epoch: "Epoch") -> None:
            log.epoch(epoch)
            if track:
                track(epoch)

        history = run_training(
            blocks, folder, model, config, start=start, weights=weights, teacher=teacher, resume=resume,
            extension=extension, on_step=log.step, on_epoch=on_epoch,
        )  # fmt: skip
    if history:  # of several processes, the first one speaks
        click.echo(f"{run}: finished.")
        next_step(f"select {quoted(run)}")


def _init_at_hand(backbone: str, start: Path | None, weights: Path | None) -> str:
    """Init that needs nothing more than what was given and what is on this machine; says which and why."""
    from toolkit.model.pretrained import has_imagenet, imagenet_at_hand

    if start is not None:
        return "stage1"
    found = "imagenet" if weights is not None or imagenet_at_hand(backbone) else "random"
    if _IS_FIRST:
        none = f"no ImageNet weights of {backbone} are on this machine (--init imagenet fetches them)"
        none = none if has_imagenet(backbone) else f"there are no ImageNet weights of {backbone}"
        why = "" if found == "imagenet" else f", as {none}"
        click.echo(f"Init: {found}{why}; --init stage1 --from RUN takes the backbone of a Stage-1 run.", err=True)
    return found


def _left_out(blocks: "BlockSet", stage: str) -> str:
    """Sentence on the training split's decided nodes that are in no class of the stage; empty where there is none."""
    import numpy as np

    in_train = np.array([source["split"] == "train" for source in blocks.sources])[blocks.blocks["source"]]
    counts = STAGES[stage].left_out(blocks.blocks["partition"][in_train])
    counts.pop(INSIDE_LARGER, None)
    listed = ", ".join(f"{count:,} {NAMES[k]}" for k, count in counts.items())
    return f"In no class of Stage {stage}, and left out of the training split: {listed}." if listed else ""


def _settled(model: ModelConfig, options: dict[str, Any]) -> TrainConfig:
    """Config of the options, with precision auto replaced by one that this machine is fast in."""
    if options["precision"] != AUTO:
        return TrainConfig(**options)
    from toolkit.training.speed import choose_precision

    config = TrainConfig(**options | {"precision": "32-true"})
    config = replace(config, precision=choose_precision(model, config))
    if _IS_FIRST:
        click.echo(f"Precision auto: {config.precision} here.", err=True)
    return config


def _slower(model: ModelConfig, config: TrainConfig) -> list[str]:
    """Warnings about options that make training slower on this machine; of several processes, the first one tries."""
    if not _IS_FIRST:
        return []
    from toolkit.training.speed import slower_options

    return slower_options(model, config)


def _given(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Options given on the command line. They overrule a recipe, and must not contradict a resumed run."""
    return {k: v for k, v in options.items() if ctx.get_parameter_source(k) == click.core.ParameterSource.COMMANDLINE}


def _idle(config: TrainConfig, given: dict[str, Any]) -> list[str]:
    """Warnings about given options that have no effect beside a teacher."""
    labels = sorted({"loss", "beta", "gamma", "regret_cap"} & set(given))
    if config.distil == 1 and labels:
        return [f"{', '.join(labels)} of the labels have no effect: distil 1 leaves the whole loss to the teacher."]
    return ["distil 0 leaves the teacher no part in the loss."] if config.distil == 0 else []


def _extension(resume: bool, epochs: int | None, lr: float | None) -> Extension | None:
    if epochs is None and lr is None:
        return None
    if not (resume and epochs and lr and epochs > 0 and lr > 0):
        raise ToolkitError("--extend EPOCHS and --extend-lr VALUE (both above 0) go together, and with --resume.")
    return Extension(epochs, lr)


def _options_of_run(description: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Options that the run was started with. Raises ToolkitError where a given option contradicts them."""
    model = ModelConfig.from_dict(description["model"]).to_dict()
    own = {**TrainConfig.from_dict(description["train"]).to_dict(), **{k: model[k] for k in _MODEL_OPTIONS}}
    own["inside"] = model["inside"] and model["inside"]["point"]
    clash = [f"{k}: {v} now, {own[k]} then" for k, v in given.items() if own[k] != v and (k, v) != ("precision", AUTO)]
    if clash:
        raise ToolkitError(f"--resume goes on with the run's own options, but {'; '.join(clash)}. Leave these away.")
    return own
