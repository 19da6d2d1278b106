"""`av1part train`: train one stage of the cascade."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.grouped import grouped_option
from toolkit.cli.long_command import LongCommand, from_file, keeping, settle
from toolkit.cli.options import config_options
from toolkit.errors import ToolkitError
from toolkit.files import quoted
from toolkit.folders import RUN, check_folder, check_model
from toolkit.model.config import ModelConfig
from toolkit.option import Options
from toolkit.partition import INSIDE_LARGER, NAMES, STAGES
from toolkit.training.config import AUTO, INITS, RECIPES, TEACHER, Extension, TrainConfig

if TYPE_CHECKING:
    from toolkit.data.blockset import BlockSet

RESUMING = "Going on"
_ADAPTER = ("adapter", "adapter_size", "adapter_placement")
_IS_FIRST = "LOCAL_RANK" not in os.environ
"""Whether this process is the one that was called. Lightning Fabric sets the variable for the others it starts."""
_MODEL_OPTIONS = ("stage", "backbone", "qindex", "context", "spatial_attention", *_ADAPTER, "dropout")


@click.command(cls=LongCommand)
@click.argument("data", type=click.Path(path_type=Path))
@grouped_option("-o", "--output", "run", type=click.Path(path_type=Path), required=True, help="Run folder to write.")
@grouped_option(
    "--recipe", type=click.Choice(list(RECIPES)), metavar="NAME", help="Named set of defaults; see `av1part recipes`."
)
@grouped_option(
    "--init",
    type=click.Choice(INITS),
    help="Source of the backbone's first weights.  [default: stage1 with --from, else imagenet where the weights are "
    "on this machine, else random]",
)
@grouped_option(
    "--from", "start", type=click.Path(path_type=Path), help="Stage 1 run or checkpoint, for --init stage1."
)
@grouped_option("--weights", type=click.Path(path_type=Path), help="File of ImageNet weights; its sha256 is checked.")
@config_options(ModelConfig)
@config_options(TrainConfig)
@grouped_option("--teacher", type=click.Path(path_type=Path), group=TEACHER, help="Run or checkpoint to learn from.")
@grouped_option(
    "--resume", is_flag=True, group=RESUMING, help="Go on after the last finished epoch, with the run's options."
)
@grouped_option("--extend", type=int, group=RESUMING, help="Epochs to add to a finished run.")
@grouped_option("--extend-lr", type=float, group=RESUMING, help="The head's rate there; the backbone's in proportion.")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    data: Path,
    run: Path,
    start: Path | None,
    weights: Path | None,
    teacher: Path | None,
    resume: bool,
    extend: int | None,
    extend_lr: float | None,
    **options: Any,
) -> None:
    """Train one stage on the training split of DATA and evaluate every epoch on its validation split.
    The model decides about nodes of DATA's size, 8x8 to 128x128. The defaults are the field's protocol for Stage 2: 30
    epochs, 8 of them frozen, class-balanced focal loss.
    """
    from toolkit.data.blockset import BlockSet

    if resume:
        check_folder(run, RUN)
    for model_file in filter(None, () if resume else (start, teacher)):  # a resumed run compares them with its own
        check_model(model_file)
    blocks = BlockSet.load(data)  # checked whole before torch is imported, which takes seconds
    from toolkit.cli.progress import EpochLog, next_step
    from toolkit.training.run_folder import RunFolder
    from toolkit.training.train import train as run_training

    given = _given(ctx, options)
    extension = _extension(resume, extend, extend_lr)
    if resume:
        options = _options_of_run(RunFolder.open(run).read(), given)
    else:
        options = _new_options(ctx, options, start, weights, teacher)
    model, config = _configs(blocks, options)
    _tell_doubts(blocks, model, config, given if teacher else None)
    keep = keeping(ctx, run / "run.json") if _IS_FIRST else lambda: None
    with EpochLog(model.classes) as log:

        def on_step(what: str, done: int, total: int) -> None:
            keep()
            log.step(what, done, total)

        history = run_training(
            blocks, RunFolder(run), model, config, start=start, weights=weights, teacher=teacher, resume=resume,
            extension=extension, on_step=on_step, on_epoch=log.epoch,
        )  # fmt: skip
    if history:  # of several processes, the first one speaks
        click.echo(f"{run}: finished.")
        next_step(f"select {quoted(run)}")


@train.planned
def _plan(
    data: Path,
    run: Path,
    start: Path | None,
    weights: Path | None,
    teacher: Path | None,
    resume: bool,
    extend: int | None,
    **options: Any,
) -> Iterator[str]:
    """Lines on the nodes that a run would learn from, and its steps."""
    from toolkit.data.blockset import BlockSet
    from toolkit.training.run_folder import RunFolder

    blocks, ctx = BlockSet.load(data), click.get_current_context()
    del options["extend_lr"]
    if resume:
        options = _options_of_run(RunFolder.open(run).read(), _given(ctx, options))
    else:
        options = _new_options(ctx, options, start, weights, teacher)
    limits = {"train": options["limit_train"], "val": options["limit_val"]}
    index = {split: blocks.split_index(split, options["stage"])[:most] for split, most in limits.items()}
    steps = -(-len(index["train"]) // options["batch_size"])
    yield f"Stage {options['stage']}: {len(index['train']):,} nodes to learn from, {len(index['val']):,} to judge by."
    yield f"{options['epochs'] + (extend or 0)} epochs of {steps:,} steps of {options['batch_size']} nodes."


def _new_options(
    ctx: click.Context, options: Options, start: Path | None, weights: Path | None, teacher: Path | None
) -> Options:
    """Options of a new run, with those of its recipe where none was given, and an init where there is none."""
    given = _given(ctx, options)
    if options["recipe"] is not None:
        kept = {} if "recipe" in given else {name: options[name] for name in options if from_file(ctx, name)}
        options = options | RECIPES[options["recipe"]].options | kept | given
    if options["init"] is None:
        options["init"] = _init_at_hand(options["backbone"], start, weights)
    if teacher is None and (idle := sorted({"distil", "distil_temperature"} & set(given))):
        raise ToolkitError(f"{' and '.join(idle)} given without --teacher RUN_OR_CKPT. Name it, or leave them away.")
    settle(ctx, **options)
    return options


def _configs(blocks: "BlockSet", options: Options) -> tuple[ModelConfig, TrainConfig]:
    """Configs of the model and of its training on these data."""
    own = {name: options.pop(name) for name in _MODEL_OPTIONS}
    model = ModelConfig(bit_depth=blocks.bit_depth, node=blocks.node, **own)
    return model, _settled(model, options)


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


def _tell_doubts(blocks: "BlockSet", model: ModelConfig, config: TrainConfig, taught: Options | None) -> None:
    """Warn of options that are probably not meant, and say what is left out; `taught`: options given to a student."""
    for doubt in [*config.doubts(), *([] if taught is None else _idle(config, taught)), *_slower(model, config)]:
        click.echo(f"Warning: {doubt}", err=True)
    if _IS_FIRST:
        unseen = _left_out(blocks, model.stage)
        click.echo(unseen, nl=bool(unseen), err=True)


def _left_out(blocks: "BlockSet", stage: str) -> str:
    """Sentence on the training split's decided nodes that are in no class of the stage; empty where there is none."""
    import numpy as np

    in_train = np.array([source["split"] == "train" for source in blocks.sources])[blocks.blocks["source"]]
    counts = STAGES[stage].left_out(blocks.blocks["partition"][in_train])
    counts.pop(INSIDE_LARGER, None)
    listed = ", ".join(f"{count:,} {NAMES[k]}" for k, count in counts.items())
    return f"In no class of Stage {stage}, and left out of the training split: {listed}." if listed else ""


def _settled(model: ModelConfig, options: Options) -> TrainConfig:
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


def _given(ctx: click.Context, options: Options) -> Options:
    """Options given on the command line. They overrule a recipe, and must not contradict a resumed run."""
    return {k: v for k, v in options.items() if ctx.get_parameter_source(k) == click.core.ParameterSource.COMMANDLINE}


def _idle(config: TrainConfig, given: Options) -> list[str]:
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


def _options_of_run(description: Mapping[str, Any], given: Options) -> Options:
    """Options that the run was started with. Raises ToolkitError where a given option contradicts them."""
    model = ModelConfig.from_dict(description["model"]).to_dict()
    own = {**TrainConfig.from_dict(description["train"]).to_dict(), **{k: model[k] for k in _MODEL_OPTIONS}}
    clash = [f"{k}: {v} now, {own[k]} then" for k, v in given.items() if own[k] != v and (k, v) != ("precision", AUTO)]
    if clash:
        raise ToolkitError(f"--resume goes on with the run's own options, but {'; '.join(clash)}. Leave these away.")
    return own
