"""Figures of every epoch for a tracker, through Lightning Fabric's loggers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.training.run_folder import Epoch

Log = Callable[[Epoch], None]


def epoch_logger(kind: str, run: Path) -> Log:
    """Function that logs one epoch's numbers into `run`/logs, each start of a run in a folder of its own there.

    `kind`: csv, or tensorboard, whose package is not installed with this one: ToolkitError where it is missing.
    """
    from lightning_fabric.loggers.csv_logs import CSVLogger
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    try:
        logger: CSVLogger | TensorBoardLogger = (
            CSVLogger(run / "logs", name=kind) if kind == "csv" else TensorBoardLogger(run / "logs", name=kind)
        )
    except ModuleNotFoundError:
        raise ToolkitError(f"--logger {kind}: not installed. Install it with `pip install {kind}`.") from None

    def log(epoch: Epoch) -> None:
        numbers: dict[str, Any] = {k: float(v) for k, v in epoch.items() if isinstance(v, int | float)}
        logger.log_metrics(numbers, step=epoch["epoch"])
        logger.save()

    return log
