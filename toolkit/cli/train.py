"""`av1part train`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from toolkit.errors import ToolkitError
from toolkit.model_config import BACKBONES, ModelConfig
from toolkit.partition import STAGES
from toolkit.train_config import AUGMENTATIONS, BATCH_NORMS, DEVICES, INITS, LOSSES, PRECISIONS, TrainConfig

F = TypeVar("F", bound=Callable[..., Any])
_M, _T = ModelConfig(), TrainConfig()
_MODEL_OPTIONS = ("stage", "backbone", "qindex")


def _option(name: str, kind: Any, text: str) -> Callable[[F], F]:
    default = getattr(_T, name)
    return click.option(f"--{name.replace('_', '-')}", name, type=kind, default=default, show_default=True, help=text)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", "run", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
@click.option("--stage", type=click.Choice(list(STAGES)), default=_M.stage, show_default=True)
@click.option("--backbone", type=click.Choice(list(BACKBONES)), default=_M.backbone, show_default=True)
@click.option("--qindex/--no-qindex", default=_M.qindex, show_default=True, help="Give the head the qindex.")
@_option("init", click.Choice(INITS), "Where the backbone's weights come from.")
@click.option("--from", "start", type=click.Path(path_type=Path), help="Stage-1 run or checkpoint, for --init stage1.")
@click.option("--weights", type=click.Path(path_type=Path), help="ImageNet weights file (sha256 is checked).")
@_option("epochs", int, "Epochs in all.")
@_option("freeze_epochs", int, "First epochs, in which the backbone is frozen (random init: none).")
@_option("batch_size", int, "Blocks a step, over all devices.")
@_option("lr", float, "Learning rate of the head.")
@_option("lr_backbone", float, "Learning rate of the backbone once unfrozen (random init: that of the head).")
@_option("weight_decay", float, "AdamW's weight decay.")
@_option("loss", click.Choice(LOSSES), "cb-focal: class-balanced focal loss.")
@_option("beta", float, "Of the class-balanced weights (Cui 2019).")
@_option("gamma", float, "Of the focal loss (Lin 2017).")
@_option("augment", click.Choice(AUGMENTATIONS), "Flips, or flips and transposition; labels follow the pixels.")
@_option("batch_norm", click.Choice(BATCH_NORMS), "Backbone's after unfreezing; auto: train for a random init alone.")
@_option("seed", int, "Of weights, order, augmentation, dropout and limits.")
@_option("limit_train", int, "At most so many training blocks, drawn by seed.")
@_option("limit_val", int, "At most so many validation blocks, drawn by seed.")
@_option("device", click.Choice(DEVICES), "Fabric's accelerator.")
@_option("devices", int, "How many devices (or CPU processes).")
@_option("precision", click.Choice(PRECISIONS), "Of training; evaluation is in float32.")
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch, with the run's own options.")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    data: Path,
    run: Path,
    start: Path | None,
    weights: Path | None,
    resume: bool,
    **options: Any,
) -> None:
    """Train one stage on DATA's training split and evaluate every epoch on its validation split.

    The defaults are the field's protocol for Stage 2: 30 epochs, 8 of them frozen, class-balanced focal loss.
    """
    from toolkit.blocks import BlockSet
    from toolkit.cli.progress import EpochLog
    from toolkit.run_folder import RunFolder
    from toolkit.train import train as run_training

    blocks = BlockSet.load(data)
    if resume:
        options = _options_of_run(ctx, RunFolder.open(run).read(), options)
    model = ModelConfig(bit_depth=blocks.bit_depth, **{k: options.pop(k) for k in _MODEL_OPTIONS})
    folder = RunFolder(run)
    with EpochLog(model.classes) as log:
        history = run_training(
            blocks, folder, model, TrainConfig(**options), start=start, weights=weights, resume=resume,
            on_step=log.step, on_epoch=log.epoch,
        )  # fmt: skip
    if history:  # several processes: the first one speaks
        click.echo(f"{run}: finished. Choose its best epoch with `av1part select {run}`.")


def _options_of_run(ctx: click.Context, description: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options that the run was started with; an option given now must not contradict them."""
    own = {**description["train"], **{k: description["model"][k] for k in _MODEL_OPTIONS}}
    given = {k: v for k, v in options.items() if ctx.get_parameter_source(k) == click.core.ParameterSource.COMMANDLINE}
    clash = [f"{k}: {v} now, {own[k]} then" for k, v in given.items() if own[k] != v]
    if clash:
        raise ToolkitError(f"--resume goes on with the run's own options, but {'; '.join(clash)}. Leave these away.")
    return own
