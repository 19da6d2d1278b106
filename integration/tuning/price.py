"""The price of a pruner, chosen by encodes: what the prices lose and save on sources that it has not learnt from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.bench.config import BenchConfig
from integration.bench.run import run_bench
from integration.media.config import Size
from integration.pruning.bundle import PrunerBundle
from toolkit.errors import ToolkitError

PRICES = (0.01, 0.02, 0.03, 0.05, 0.08)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class PriceTrial:
    """What one price gave against the same speed without a pruner, in percent: BD-rate `loss`, `saving` of CPU time."""

    price: float
    loss: float
    saving: float

    def __str__(self) -> str:
        return f"price {self.price:g}: {self.saving:.1f}% of the CPU time saved for {self.loss:+.2f}% bytes"


def try_prices(
    pruner: PrunerBundle,
    sources: Sequence[Path],
    work: Path,
    size: Size | None,
    frames: int,
    prices: tuple[float, ...] = PRICES,
    progress: Progress = lambda done, total, what: None,
) -> list[PriceTrial]:
    """Encode the sources without the pruner and at every price, as they were coded for its record; deciding is charged.

    `size` shrinks them to fit, `frames` limits their number. `work` keeps finished encodes, so that a run that
    was stopped goes on. Raises ToolkitError where a source was trained on, and as `run_bench` does.
    """
    speed = int(pruner.encoder["cpu_used"])
    config = BenchConfig(
        repeats=1,
        usage=str(pruner.encoder["usage"]),
        size=size,
        frames=frames,
        four_way=bool(pruner.encoder["enable_1to4_partitions"]),
        keyint=int(pruner.encoder.get("kf_max_dist", 0)) or 1,
        lag=int(pruner.encoder.get("lag_in_frames", 0)),
        presets=(speed,),
        masked=(speed,),
        prices=prices,
    )
    report = run_bench(sources, work, config, progress=progress, pruner=pruner)
    return [
        PriceTrial(arm["price"], arm["own_preset"]["loss"], arm["own_preset"]["saving"])
        for arm in report["arms"]
        if arm["price"] is not None
    ]


def choose_price(trials: Sequence[PriceTrial], target_loss: float) -> PriceTrial:
    """The trial that saves most among those that lose at most `target_loss` percent.

    Raises ToolkitError with all trials where none saves time within the target.
    """
    within = [trial for trial in trials if trial.loss <= target_loss and trial.saving > 0]
    if not within:
        table = "; ".join(map(str, trials))
        mend = "Raise --target-loss, or record" if any(trial.saving > 0 for trial in trials) else "Record"
        raise ToolkitError(
            f"No price saves time for at most {target_loss:g}% bytes. {table}. {mend} more and other sources: a pruner "
            "that has seen little loses more."
        )
    return max(within, key=lambda trial: trial.saving)
