"""What `policy fit` prints."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from toolkit.cli.tables import text_table

if TYPE_CHECKING:
    from integration.bench_config import FitConfig
    from integration.policy_fit import Fit, Trial


@contextmanager
def trial_log() -> "Iterator[Callable[[Trial], None]]":
    """One line on stderr for each policy as soon as it has been tried."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

    def line(trial: "Trial") -> None:
        console.print(f"BD-rate {trial.loss:+.2f}%  saves {trial.saving:+.1f}%  {changed(trial)}")

    yield line


def changed(trial: "Trial") -> str:
    """A policy's thresholds that remove anything."""
    found = trial.policy.to_dict().items()
    active = [f"{name} {value:.3g}" for name, value in found if value != (1 if name.endswith("above") else 0)]
    return ", ".join(active) or "nothing removed"


def print_fit(fit: "Fit", config: "FitConfig", output: Path) -> None:
    """Print the curve that was tried, by time saving, and the choice."""
    console = Console(width=max(Console().width, 160), highlight=False, markup=False)
    title = f"Against cpu-used {config.cpu_used} without masks; target: at most {config.target_loss:g}%"
    table = text_table(title, "policy", "BD-rate", "time saving", "inference", "wrongly removed")
    for trial in sorted(fit.trials, key=lambda t: t.saving):
        mark = " <- chosen" if trial is fit.chosen else ""
        shares = f"{trial.inference_share:.1%}", f"{trial.lost:.2%}"
        table.add_row(changed(trial) + mark, f"{trial.loss:+.2f}%", f"{trial.saving:+.1f}%", *shares)
    console.print(table)
    console.print(f"{output}: {changed(fit.chosen)}")
