"""From a record of the search to a pruner at the price that encodes show to be the best."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from integration.media.sources import SourceFile, identify
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import FitConfig
from integration.pruning.fit import fit_pruner, seal_at
from integration.tuning.config import TryConfig
from integration.tuning.price import PriceTrial, Progress, choose_price, try_prices
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.pruners.record import SearchSet


@dataclass(frozen=True)
class PricedFit:
    """A pruner, sealed at the price of the trial that was `chosen`, and the files that the prices were tried on."""

    pruner: PrunerBundle
    trials: list[PriceTrial]
    chosen: PriceTrial
    files: list[SourceFile]


def fit_priced(
    data: SearchSet,
    sources: Sequence[Path],
    output: Path,
    config: FitConfig,
    tries: TryConfig,
    *,
    overwrite: bool = False,
    learning: Callable[[], None] = lambda: None,
    progress: Progress = lambda done, total, what: None,
) -> PricedFit:
    """Learn a pruner from the record, try prices by encodes of the sources, and seal it at the one that saves most.

    `learning` is called before anything is learnt. What an earlier call has finished is not done again. Raises
    ToolkitError on a source that the pruner learns from, and as `fit_pruner`, `try_prices` and `choose_price` do.
    """
    files = identify(sources)
    trained = {source["sha256"] for source in data.manifest["sources"] if source["split"] == "train"}
    if seen := [file.path for file in files if file.sha256 in trained]:
        raise ToolkitError(
            f"{seen[0]}: in RECORD's training split, so that the pruner is trained on it. Try prices on sources of its "
            "other splits, or new ones."
        )
    key = hashlib.sha256(canonical_json([data.sha256, asdict(config)])).hexdigest()
    work = output.with_name(f".{output.name}.fit-{key[:12]}")
    first = work / "pruner"
    if not first.exists():
        learning()
        fit_pruner(data, first, config)
    made = PrunerBundle.load(first)
    frames = tries.frames_of(made.frame_kind)
    trials = try_prices(made, [file.path for file in files], work / "bench", tries.size, frames, progress=progress)
    chosen = choose_price(trials, tries.target_loss)
    seal_at(chosen.price, made, data, output, overwrite=overwrite)
    shutil.rmtree(work)
    return PricedFit(PrunerBundle.load(output), trials, chosen, files)
