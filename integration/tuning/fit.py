"""Choosing a pipeline's thresholds by their cost in the encoder, not by how well the model classifies.

Recorded RD costs judge any number of policies at once and without noise (`integration.tuning.search`). But they ignore
how one decision affects the next, the bitstream, and the rest of the encoder. So the choice is tried on clips.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, NamedTuple, NotRequired, Self, TypedDict

import numpy as np

from integration.bench.bd import bd_rate, saved_time, time_saving
from integration.bench.session import NATIVE, PIPELINE, PRUNER, Arm, Session
from integration.bench.store import Measurement
from integration.bench.summary import curve
from integration.media.sources import SourceFile, identify
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.inference import infer
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
from integration.tuning.config import PolicyFitConfig
from integration.tuning.regret import Regret
from integration.tuning.search import Nodes, Point, Search, candidates
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import check_free, one_at_a_time
from toolkit.progress import track

LEAST_LOSS = 0.02
"""Smallest loss, in percent of BD-rate, by which the aim is corrected: smaller ones say nothing about other clips."""


@dataclass(frozen=True)
class PolicyTrial:
    """A policy judged by recorded costs (`point`) and by encoding all clips.

    `loss` (BD-rate) and `saving` (CPU time, inference included) are percent against the unmasked preset; where the
    pipeline holds a pruner, both are of masks and pruner together.
    `inference_share` is inference's share of the CPU time, `lost` the share of nodes at which the mask forbade the
    encoder's own choice.
    """

    point: Point
    loss: float
    saving: float
    inference_share: float
    lost: float


class Alone(NamedTuple):
    """A pruner without masks against the bare preset: `loss` (BD-rate) and `saving` (CPU time) in percent."""

    loss: float
    saving: float


@dataclass(frozen=True)
class FittedPolicy:
    """The chosen point, all points that the search looked at, and the trials in the order in which they were made."""

    chosen: Point
    points: list[Point]
    trials: list[PolicyTrial]
    pruner_alone: Alone | None = None
    """What the pipeline's pruner gave on the clips without masks; None where it has none, or no clips were coded."""


class Origin(TypedDict):
    """Data, and clips and preset of the trials, by which a policy was found; for the pipeline's manifest."""

    data_sha256: str
    clips: NotRequired[list[dict[str, str]]]
    cpu_used: NotRequired[int]
    pruner_alone: NotRequired[dict[str, float]]


def search_of(pipeline: Pipeline, data: BlockSet, config: PolicyFitConfig) -> Search:
    """Prepare a search on a split of data with RD costs; the cost of inference is measured on the way.

    Raises ToolkitError where the data hold no costs or do not suit the pipeline, and where the split is empty.
    """
    for bundle in pipeline.bundles.values():
        bundle.check_data(data, any_settings=config.any_settings)
        bundle.check_held_out(data, config.split)
    in_split = np.array([s["split"] == config.split for s in data.sources], bool)
    # Nodes inside larger blocks are among them, because their search takes time too.
    index = np.flatnonzero(in_split[data.blocks["source"]])
    if not len(index):
        raise ToolkitError(f"{data.path}: the {config.split} split is empty. Choose another --split.")
    if data.costs is None:
        raise ToolkitError(f"{data.path}: holds no RD costs. Label the clips again with --with-costs.")
    probabilities, flatness, seconds = infer(pipeline.cascade, data, index)
    records = data.blocks[index]
    regret = Regret.of(records, data.costs[index], config.share)
    nodes = Nodes(probabilities, records["qindex"], flatness, regret, seconds / len(index), data.node)
    acting = sorted(candidates(nodes).keys() - {"flat_below"})
    if not set(acting) & set(config.rules):
        raise ToolkitError(
            f"--rules {','.join(config.rules)}: none of them can remove anything at {data.node}x{data.node} nodes by "
            f"the stages of {pipeline.path}; expected one or more of {', '.join(acting)}."
        )
    return Search(nodes, config.ranges, config.rules)


def fit_policy(
    search: Search,
    config: PolicyFitConfig,
    encode: Callable[[Point], PolicyTrial] | None = None,
    progress: Callable[[PolicyTrial], None] = lambda trial: None,
    alone: Alone | None = None,
) -> FittedPolicy:
    """Choose the policy that saves most, by recorded costs, for at most the target's loss.

    The loss is of RD cost or, with `encode`, of BD-rate on clips. The two differ: after each trial the search aims
    lower or higher by the factor that the trial was off, and of the trials within the target the one that saves most
    is chosen. BD-rates repeat exactly and measured times do not, so policies are ranked by the saving of recorded
    costs. But one that saved no time in its encodes (where the pipeline has a pruner: no more than the pruner `alone`)
    is a loss, and taken with `config.allow_loss` only.

    Raises ToolkitError where no policy is left.
    """
    aim = config.target_loss
    trials: list[PolicyTrial] = []
    for _ in range(config.checks if encode else 0):
        point = search.within(aim)
        if encode is None or point.outcome.saving <= 0 or any(point == trial.point for trial in trials):
            break
        trials.append(encode(point))
        progress(trials[-1])
        aim *= min(max(config.target_loss / max(trials[-1].loss, LEAST_LOSS), 0.25), 4)
    least = -math.inf if config.allow_loss else alone.saving if alone else 0
    within = [t.point for t in trials if t.loss <= config.target_loss and t.saving > least]
    fitting = [point for point in (within if encode else [search.within(aim)]) if point.outcome.saving > 0]
    if not fitting:
        what = "On the clips no policy that was tried" if trials else "No policy"
        why = _best_trial(trials) if trials else _price_of_asking(search, config.target_loss)
        more = f" more than the pruner alone ({alone.saving:.1f}%)" if alone and trials else ""
        raise ToolkitError(
            f"{what} saved time{more} for a loss of at most {config.target_loss:g}%. {why} Allow more loss"
            f"{', or more --checks' if trials else ''}, or train a better model."
            f"{' --allow-loss takes a policy that saves no time.' if trials else ''}"
        )
    chosen = max(fitting, key=lambda point: point.outcome.saving)
    return FittedPolicy(chosen, sorted(search.points, key=lambda p: p.outcome.saving), trials)


def check_room(alone: Alone | None, target_loss: float) -> None:
    """Raise ToolkitError where a pruner without any mask loses the whole of `target_loss` percent already."""
    if alone and alone.loss >= target_loss:
        raise ToolkitError(
            f"The pipeline's pruner alone costs {alone.loss:.2f}% of BD-rate; it {saved_time(alone.saving)}. There is "
            f"no room for masks within --target-loss {target_loss:g}. Allow more loss, or build the pipeline with a "
            "pruner of a lower price."
        )


def _best_trial(trials: Sequence[PolicyTrial]) -> str:
    """Sentence about the trial that lost least."""
    best = min(trials, key=lambda trial: trial.loss)
    return (
        f"The one that lost least cost {best.loss:.2f}% of BD-rate and {saved_time(best.saving)}; "
        f"inference took {best.inference_share:.1%} of it."
    )


def _price_of_asking(search: Search, target: float) -> str:
    """Sentences that say what inference costs, and how fast a backbone has to be to save anything."""
    cost = f"Asking the model about every node takes {search.asking:.1f}% of the encode's CPU time."
    free = search.at_no_charge().within(target).outcome
    if free.saving <= 0 or free.loss > target:
        return f"{cost} Even if it took none, no policy would save time, so a faster backbone would not help."
    best = f"{cost} If it took none, the best policy would save {free.saving:.1f}% for a loss of {free.loss:.2f}%."
    if free.saving >= search.asking:
        return best
    return f"{best} Choose a --backbone that takes less than {free.saving / search.asking:.0%} of this one's time."


class Encodes:
    """Trials on clips at the preset `cpu_used`; a context manager.

    Encodes are kept beside the output until the fit is done, so that one that was stopped goes on where it was.
    """

    def __init__(
        self, pipeline: Pipeline, paths: Sequence[Path], output: Path, cpu_used: int, config: PolicyFitConfig
    ) -> None:
        self._work = output.parent / f".{output.name}.work"
        self._work.mkdir(parents=True, exist_ok=True)
        self.cpu_used, self._config = cpu_used, config
        self._files = identify(paths)
        self._pruner = pipeline.pruner
        self._session = Session(self._work, config, PipelineSet((pipeline,)), pipeline.pruner)
        self._count = 0

    def __enter__(self) -> Self:
        busy = f"{self._work}: another fit is at work there. Wait, or choose another output."
        with ExitStack() as stack:
            stack.enter_context(one_at_a_time(self._work / "lock", busy))
            self._session.check(self._files)
            self._lock = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            shutil.rmtree(self._work)
        self._lock.close()

    @property
    def clips(self) -> list[dict[str, str]]:
        return [{"name": file.name, "sha256": file.sha256} for file in self._files]

    def trial(self, point: Point) -> PolicyTrial:
        """Encode all clips at all cqs under a policy, each encode beside an unmasked one."""
        pairs = [self._pair(file, Arm(PIPELINE, self.cpu_used, point.policy)) for file in self._files]
        self._count += 1
        native, masked = ([one for pair in pairs for one in pair[side]] for side in (0, 1))
        seconds = [m.seconds for m in masked]
        return PolicyTrial(
            point=point,
            loss=fmean(bd_rate(curve(pair[0]), curve(pair[1])) for pair in pairs),
            saving=time_saving([m.seconds for m in native], seconds),
            inference_share=sum(m.inference_seconds for m in masked) / sum(seconds),
            lost=sum(m.lost_nodes for m in masked) / max(sum(m.nodes for m in masked), 1),
        )

    def pruner_alone(self) -> Alone | None:
        """Encode all clips with the pipeline's pruner and no masks, beside bare encodes; None where it has none."""
        if self._pruner is None:
            return None
        arm = Arm(PRUNER, self.cpu_used, price=self._pruner.price)
        pairs = [self._pair(file, arm) for file in self._files]
        self._count += 1
        native, pruned = ([one.seconds for pair in pairs for one in pair[side]] for side in (0, 1))
        loss = fmean(bd_rate(curve(pair[0]), curve(pair[1])) for pair in pairs)
        return Alone(loss, time_saving(native, pruned))

    def _pair(self, file: SourceFile, arm: Arm) -> tuple[list[Measurement], list[Measurement]]:
        sides: tuple[list[Measurement], list[Measurement]] = ([], [])
        arms = (Arm(NATIVE, self.cpu_used), arm)
        runs = [(cq, repeat) for cq in self._config.cq for repeat in range(self._config.repeats)]
        for cq, repeat in track(runs, f"encoding {file.name}"):
            # The unmasked side is measured again each time, because the machine's speed changes within minutes.
            number = self._count * self._config.repeats + repeat
            for side, arm in zip(sides, arms, strict=True):
                side.append(self._session.measure(file, cq, arm, number))
        return sides


def fit_on(
    pipeline: Pipeline,
    data: BlockSet,
    clips: Sequence[Path],
    output: Path,
    config: PolicyFitConfig,
    progress: Callable[[PolicyTrial], None],
    *,
    overwrite: bool = False,
) -> FittedPolicy:
    """Fit a policy on a data set with RD costs and, where given, clips; write the pipeline with it to `output`."""
    check_free(output, overwrite)
    search = search_of(pipeline, data, config)
    origin: Origin = {"data_sha256": data.sha256}
    if clips:
        with Encodes(pipeline, clips, output, int(data.manifest["encoder"]["cpu_used"]), config) as encodes:
            alone = encodes.pruner_alone()
            check_room(alone, config.target_loss)
            fit = replace(fit_policy(search, config, encodes.trial, progress, alone), pruner_alone=alone)
            origin |= {"clips": encodes.clips, "cpu_used": encodes.cpu_used}
            if alone:
                origin["pruner_alone"] = alone._asdict()
    else:
        fit = fit_policy(search, config)
    write_fitted(pipeline, fit, output, config, origin, overwrite=overwrite)
    return fit


def write_fitted(
    pipeline: Pipeline,
    fit: FittedPolicy,
    output: Path,
    config: PolicyFitConfig,
    origin: Origin,
    *,
    overwrite: bool = False,
) -> None:
    """Write a copy of the pipeline with the chosen policy; its manifest says how and on which data that was found."""
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
        BuildConfig(pipeline.manifest["provider"], bool(pipeline.manifest["unproven"])),
        overwrite=overwrite,
        policy_fit={"settings": config.settings, **origin, "result": result},
        pruner=pipeline.pruner,
    )
