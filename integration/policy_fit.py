"""Thresholds chosen by what they cost in the encoder, not by how well the model classifies.

A threshold is tried at shares of the nodes that it may touch, not at fixed probabilities: a model trained with a
class-balanced focal loss is far from calibrated, and its probabilities mean other things than another model's. So
there is no temperature to be fitted either: scaling would move the probabilities and the thresholds together.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from integration.bd import bd_rate, time_saving
from integration.bench_config import FitConfig
from integration.bench_run import NATIVE, PIPELINE, Arm, Measurement, Session
from integration.bench_summary import curve
from integration.pipeline import Pipeline, cut_nodes
from integration.pipeline_build import build_pipeline
from integration.pipeline_config import BuildConfig
from integration.policy import Policy
from integration.sources import SourceFile, identify
from toolkit.errors import ToolkitError

OFF = Policy(
    none_only_above=1, drop_none_below=0, split_only_above=1, drop_split_below=0, drop_rect_below=0, drop_ab_below=0,
    drop_direction_below=0, drop_ab_kind_below=0,
)  # fmt: skip
LEAST_LOSS = 0.02
"""Percent of BD-rate below which a loss counts as that: differences so small say nothing on other clips."""
_BELOW = {  # what a threshold cuts off from below: the stage, and the class (None: every one but the surest)
    "drop_ab_below": ("2", 2),
    "drop_rect_below": ("2", 1),
    "drop_split_below": ("2", 0),
    "drop_none_below": ("1", 0),
    "drop_direction_below": ("3-rect", None),
    "drop_ab_kind_below": ("3-ab", None),
}
_ABOVE = {"split_only_above": ("2", 0), "none_only_above": ("1", 0)}
Probabilities = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Trial:
    """A policy and what it cost on all clips against the unmasked preset: BD-rate and time saving in percent.

    `lost` is the share of the nodes at which it forbids what the encoder would have chosen.
    """

    policy: Policy
    loss: float
    saving: float
    inference_share: float
    lost: float


class Effect(NamedTuple):
    """What a threshold at a value does by itself, in percent; value None leaves it off."""

    loss: float
    saving: float
    value: float | None


@dataclass(frozen=True)
class Fit:
    """The chosen policy's trial and all trials in the order in which they were made."""

    chosen: Trial
    trials: list[Trial]


def fit_policy(
    pipeline: Pipeline,
    paths: Sequence[Path],
    work: Path,
    config: FitConfig,
    progress: Callable[[Trial], None] = lambda trial: None,
) -> Fit:
    """Search the thresholds of `pipeline` on validation clips by encoding with them.

    Every threshold is tried by itself at each share, until it goes beyond the target. Then combinations are tried,
    each the one that by the sum of these effects should save most within the target. The choice is the trial within
    the target that saved most. Encodes are kept in `work` until the search is done, so that one that was stopped goes
    on. Raises ToolkitError where no threshold within the target saves any time.
    """
    files = identify(paths)
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            session = Session(work, config, pipeline)
            session.check(files)
            search = _Search(session, files, config, progress)
            fit = search.run(candidates(_probabilities(session, pipeline, files, config), config.shares))
    except Timeout:
        raise ToolkitError(f"{work}: another fit is at work there. Wait for it, or choose another output.") from None
    shutil.rmtree(work)
    return fit


def write_fitted(
    pipeline: Pipeline, fit: Fit, paths: Sequence[Path], output: Path, config: FitConfig, *, overwrite: bool = False
) -> None:
    """A copy of the pipeline with the chosen policy; its manifest says on which clips, and at what cost."""
    chosen = asdict(fit.chosen)
    del chosen["policy"]
    found = {"clips": [{"name": f.name, "sha256": f.sha256} for f in identify(paths)], "result": chosen}
    build_pipeline(
        [pipeline.path / "bundles" / stage for stage in pipeline.bundles],
        output,
        fit.chosen.policy,
        BuildConfig(pipeline.manifest["provider"], bool(pipeline.manifest["unproven"]), "fused" in pipeline.manifest),
        overwrite=overwrite,
        policy_fit={"settings": asdict(config), "trials": len(fit.trials), **found},
    )


def candidates(probabilities: Probabilities, shares: Sequence[float]) -> dict[str, list[float]]:
    """Values of each threshold whose stage is there, milder ones first: those that touch these shares of the nodes."""
    result = {}
    for name, (stage, k) in _BELOW.items():
        if stage in probabilities and (values := _others(probabilities[stage], k)).size:
            result[name] = [float(v) for v in np.quantile(values, shares)]
    for name, (stage, k) in _ABOVE.items():
        if stage in probabilities:
            p = probabilities[stage]
            values = p[p.argmax(axis=1) == k, k]
            if values.size:
                result[name] = [float(v) for v in np.quantile(values, 1 - np.asarray(shares))]
    return result


def _others(p: NDArray[np.float64], k: int | None) -> NDArray[np.float64]:
    """Probabilities of class k (None: of every class) where another is surer."""
    surest = np.arange(p.shape[1]) == p.argmax(axis=1, keepdims=True)
    result: NDArray[np.float64] = p[~surest] if k is None else p[~surest[:, k], k]
    return result


def _probabilities(
    session: Session, pipeline: Pipeline, files: Sequence[SourceFile], config: FitConfig
) -> Probabilities:
    """Each stage's probabilities of every whole node of the clips, at the qindex of every cq."""
    found: dict[str, list[NDArray[np.float64]]] = {stage: [] for stage in pipeline.cascade.stages}
    for file in files:
        for cq in config.cq:
            qindexes = session.reference(file, cq, config.cpu_used).qindex
            for planes, qindex in zip(session.open(file).frames(), qindexes, strict=True):
                blocks = cut_nodes(planes[0])
                for stage, p in pipeline.probabilities(blocks, np.full(len(blocks), qindex, np.uint8)).items():
                    found[stage].append(p)
    return {stage: np.concatenate(parts) for stage, parts in found.items()}


class _Search:
    def __init__(
        self, session: Session, files: Sequence[SourceFile], config: FitConfig, progress: Callable[[Trial], None]
    ) -> None:
        self.session, self.files, self.config, self.progress = session, files, config, progress
        self.trials: list[Trial] = []

    def run(self, values: dict[str, list[float]]) -> Fit:
        """Each threshold by itself first, then the most promising combinations."""
        idle = self.trial(OFF)
        effects: dict[str, list[Effect]] = {}
        for name, steps in values.items():
            effects[name] = [Effect(0, 0, None)]
            for value in steps:
                trial = self.trial(replace(OFF, **{name: value}))
                if trial.loss > self.config.target_loss:
                    break  # further on it can only cost more
                effects[name].append(Effect(trial.loss - idle.loss, trial.saving - idle.saving, value))
        budget = self.config.target_loss
        for _ in range(self.config.checks):
            combination = self._promising(effects, budget)
            if combination is None:
                break
            loss = self.trial(combination).loss
            # Effects hardly ever add up: what the sum was wrong by corrects the next choice.
            budget *= min(max(self.config.target_loss / max(loss, LEAST_LOSS), 0.5), 1)
        return Fit(self._best(), self.trials)

    def _promising(self, effects: dict[str, list[Effect]], budget: float) -> Policy | None:
        """Of the combinations not tried yet the one that should save most within the budget, by the sum of effects."""
        tried = [trial.policy for trial in self.trials]
        best: tuple[float, Policy] | None = None
        for parts in product(*effects.values()):
            if sum(part.loss for part in parts) > budget:
                continue
            values = {n: p.value for n, p in zip(effects, parts, strict=True) if p.value is not None}
            policy, saving = replace(OFF, **values), sum(part.saving for part in parts)
            if (best is None or saving > best[0]) and policy not in tried:
                best = saving, policy
        return best and best[1]

    def _best(self) -> Trial:
        fitting = [t for t in self.trials if t.loss <= self.config.target_loss and t.policy != OFF and t.saving > 0]
        if not fitting:
            raise ToolkitError(
                f"No threshold saved time at a BD-rate of at most {self.config.target_loss:g}%. "
                "Allow more loss, or train a better or a smaller model."
            )
        return max(fitting, key=lambda t: t.saving)

    def trial(self, policy: Policy) -> Trial:
        """Encode all clips at all cqs under a policy, each beside its unmasked encode."""
        losses = []
        masked: list[Measurement] = []
        native: list[Measurement] = []
        for file in self.files:
            sides: tuple[list[Measurement], list[Measurement]] = ([], [])
            for cq in self.config.cq:
                for repeat in range(self.config.repeats):
                    # The unmasked side is measured anew: the machine may be in another mood than a minute ago.
                    number = len(self.trials) * self.config.repeats + repeat
                    for side, arm in zip(sides, self._arms(policy), strict=True):
                        side.append(self.session.measure(file, cq, arm, number))
            losses.append(bd_rate(curve(sides[0]), curve(sides[1])))
            native += sides[0]
            masked += sides[1]
        seconds = [m.seconds for m in masked]
        trial = Trial(
            policy=policy,
            loss=fmean(losses),
            saving=time_saving([m.seconds for m in native], seconds),
            inference_share=sum(m.inference_seconds for m in masked) / sum(seconds),
            lost=sum(m.lost_nodes for m in masked) / sum(m.nodes for m in masked),
        )
        self.trials.append(trial)
        self.progress(trial)
        return trial

    def _arms(self, policy: Policy) -> tuple[Arm, Arm]:
        return Arm(NATIVE, self.config.cpu_used), Arm(PIPELINE, self.config.cpu_used, policy)
