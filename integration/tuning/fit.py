"""A pipeline's thresholds chosen by what they cost in the encoder, not by how well the model classifies.

Recorded RD costs say it at once and without noise, for any number of policies (`policy_search`); but they know nothing
of what one decision does to the next, of the bitstream or of the rest of the encoder. So the choice is tried on clips.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from integration.bench.bd import bd_rate, time_saving
from integration.bench.session import NATIVE, PIPELINE, Arm, Session
from integration.bench.store import Measurement
from integration.bench.summary import curve
from integration.media.sources import SourceFile, identify
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.inference import infer
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import Levels
from integration.tuning.config import FitConfig
from integration.tuning.regret import Regret
from integration.tuning.search import Nodes, Point, Search
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import check_free

LEAST_LOSS = 0.02
"""Percent of BD-rate below which a loss counts as that: differences so small say nothing on other clips."""


@dataclass(frozen=True)
class Trial:
    """A policy by the recorded costs (`point`), and encoded: percent against the unmasked preset over all clips.

    `loss` is BD-rate, `saving` CPU time with inference charged, `inference_share` and `lost` (nodes at which the
    encoder's own choice was forbidden) shares.
    """

    point: Point
    loss: float
    saving: float
    inference_share: float
    lost: float


@dataclass(frozen=True)
class Fit:
    """The chosen point, all that the search looked at, and the encodes in the order in which they were made."""

    chosen: Point
    points: list[Point]
    trials: list[Trial]


def search_of(pipeline: Pipeline, data: BlockSet, config: FitConfig) -> Search:
    """A search on a split of data with RD costs; what inference costs is measured on the way.

    Raises ToolkitError where there are no costs, or the data do not suit.
    """
    for bundle in pipeline.bundles.values():
        bundle.check_data(data, any_settings=config.any_settings)
        bundle.check_held_out(data, config.split)
    in_split = np.array([s["split"] == config.split for s in data.sources], bool)
    index = np.flatnonzero(in_split[data.blocks["source"]])  # with the nodes inside larger blocks: they take time
    if not len(index):
        raise ToolkitError(f"{data.path}: the {config.split} split is empty. Choose another --split.")
    if data.costs is None:
        raise ToolkitError(f"{data.path}: holds no RD costs. Label the clips again with --with-costs.")
    probabilities, flatness, seconds = infer(pipeline.cascade, data, index)
    records = data.blocks[index]
    regret = Regret.of(records, data.costs[index], config.share)
    nodes = Nodes(probabilities, records["qindex"], flatness, regret, seconds / len(index))
    return Search(nodes, config.ranges, config.rules)


def fit_policy(
    search: Search,
    config: FitConfig,
    encode: Callable[[Point], Trial] | None = None,
    progress: Callable[[Trial], None] = lambda trial: None,
) -> Fit:
    """The policy that by recorded costs saves most for the target's loss; with `encode`, for that BD-rate on clips.

    RD cost lost is not BD-rate: after each trial the search aims as much lower or higher as the trial was off, and
    the choice is the one that saved most of those within the target. BD-rates repeat exactly, times do not: so the
    time that counts is that of the recorded costs. Raises ToolkitError where nothing within the target saves time.
    """
    aim = config.target_loss
    trials: list[Trial] = []
    for _ in range(config.checks if encode else 0):
        point = search.within(aim)
        if encode is None or point.outcome.saving <= 0 or any(point == trial.point for trial in trials):
            break
        trials.append(encode(point))
        progress(trials[-1])
        aim *= min(max(config.target_loss / max(trials[-1].loss, LEAST_LOSS), 0.25), 4)
    fitting = [t.point for t in trials if t.loss <= config.target_loss] if encode else [search.within(aim)]
    if not any(point.outcome.saving > 0 for point in fitting):
        what = "On the clips no policy that was tried" if trials else "No policy"
        raise ToolkitError(
            f"{what} saved time for a loss of at most {config.target_loss:g}%. Allow more loss"
            f"{', or more --checks' if trials else ''}, or train a better model."
        )
    chosen = max(fitting, key=lambda point: point.outcome.saving)
    return Fit(chosen, sorted(search.points, key=lambda p: p.outcome.saving), trials)


class Encodes:
    """Trials on clips, at the preset `cpu_used`; a context. What was encoded lies beside the output until all is done,
    so that a fit that was stopped goes on."""

    def __init__(
        self, pipeline: Pipeline, paths: Sequence[Path], output: Path, cpu_used: int, config: FitConfig
    ) -> None:
        self._work = output.parent / f".{output.name}.work"
        self._work.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._work / "lock")
        self.cpu_used, self._config = cpu_used, config
        self._files = identify(paths)
        self._session = Session(self._work, config, Levels((pipeline,)))
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ToolkitError(f"{self._work}: another fit is at work there. Wait, or choose another output.") from None
        try:
            self._session.check(self._files)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        if error is None:
            shutil.rmtree(self._work)

    @property
    def clips(self) -> list[dict[str, str]]:
        return [{"name": file.name, "sha256": file.sha256} for file in self._files]

    def trial(self, point: Point) -> Trial:
        """Encode all clips at all cqs under a policy, each beside its unmasked encode."""
        pairs = [self._pair(file, point) for file in self._files]
        self._count += 1
        native, masked = ([one for pair in pairs for one in pair[side]] for side in (0, 1))
        seconds = [m.seconds for m in masked]
        return Trial(
            point=point,
            loss=fmean(bd_rate(curve(pair[0]), curve(pair[1])) for pair in pairs),
            saving=time_saving([m.seconds for m in native], seconds),
            inference_share=sum(m.inference_seconds for m in masked) / sum(seconds),
            lost=sum(m.lost_nodes for m in masked) / max(sum(m.nodes for m in masked), 1),
        )

    def _pair(self, file: SourceFile, point: Point) -> tuple[list[Measurement], list[Measurement]]:
        sides: tuple[list[Measurement], list[Measurement]] = ([], [])
        arms = (Arm(NATIVE, self.cpu_used), Arm(PIPELINE, self.cpu_used, point.policy))
        for cq in self._config.cq:
            for repeat in range(self._config.repeats):
                # The unmasked side is measured anew: the machine may be in another mood than a minute ago.
                number = self._count * self._config.repeats + repeat
                for side, arm in zip(sides, arms, strict=True):
                    side.append(self._session.measure(file, cq, arm, number))
        return sides


def fit_on(
    pipeline: Pipeline,
    data: BlockSet,
    clips: Sequence[Path],
    output: Path,
    config: FitConfig,
    progress: Callable[[Trial], None],
    *,
    overwrite: bool = False,
) -> Fit:
    """`fit_policy` on a data set with RD costs and, where given, clips; writes a copy of the pipeline to `output`."""
    check_free(output, overwrite)
    search = search_of(pipeline, data, config)
    about: dict[str, Any] = {"data_sha256": data.sha256}
    if clips:
        with Encodes(pipeline, clips, output, int(data.manifest["encoder"]["cpu_used"]), config) as encodes:
            fit = fit_policy(search, config, encodes.trial, progress)
            about |= {"clips": encodes.clips, "cpu_used": encodes.cpu_used}
    else:
        fit = fit_policy(search, config)
    write_fitted(pipeline, fit, output, config, about, overwrite=overwrite)
    return fit


def write_fitted(
    pipeline: Pipeline,
    fit: Fit,
    output: Path,
    config: FitConfig,
    about: dict[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """A copy of the pipeline with the chosen policy; its manifest says how it was found, on which data and clips."""
    result: dict[str, Any] = {"recorded": fit.chosen.outcome._asdict()}
    for trial in fit.trials:
        if trial.point == fit.chosen:
            encoded = asdict(trial)
            del encoded["point"]
            result["encoded"] = encoded
    build_pipeline(
        [pipeline.path / "bundles" / stage for stage in pipeline.bundles],
        output,
        fit.chosen.policy,
        BuildConfig(pipeline.manifest["provider"], bool(pipeline.manifest["unproven"]), "fused" in pipeline.manifest),
        overwrite=overwrite,
        policy_fit={"settings": asdict(config), **about, "result": result},
    )
