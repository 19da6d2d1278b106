"""From a labelled data set to a fitted pipeline of masks, by the steps that the single commands take."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from export.bundle.bundle import Bundle
from export.bundle.write import choose_checkpoint, write_bundle
from export.proof.config import ParityConfig
from export.proof.prove import prove
from integration.codec import native
from integration.codec.config import EncoderSettings, four_way_of
from integration.codec.libaom_build import libraries
from integration.media.sources import SourceFile, identify
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.pipeline import Pipeline, check_pruner
from integration.pipeline.policy import Policy
from integration.pruning.bundle import PrunerBundle
from integration.tuning.config import STAGES, PolicyFitConfig, TryConfig
from integration.tuning.fit import FittedPolicy, PolicyTrial, fit_on
from toolkit.data.blockset import SPLITS, BlockSet
from toolkit.data.encoder_settings import is_recorded, settings_differ
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json, check_free, one_at_a_time, quoted
from toolkit.model.config import ModelConfig
from toolkit.option import Options
from toolkit.training.config import RECIPES, TrainConfig
from toolkit.training.run_folder import Epoch, RunFolder
from toolkit.training.train import train

RECIPE = "best"
_MODEL = ("backbone",)
"""Options of the recipe that describe the model; the others are those of training."""


class EpochLog(Protocol):
    """What is called of a training as it goes on."""

    def step(self, what: str, done: int, total: int) -> None:
        """Take note of the work at hand, `what`, and of how much of it is done."""

    def epoch(self, entry: Epoch) -> None:
        """Take note of a finished epoch."""


class Steps:
    """What is told of a fit as it goes on; by itself nothing."""

    def command(self, *words: object) -> None:
        """Tell the words of the single command that is worked off next."""

    def line(self, text: str) -> None:
        """Tell what came of a step."""

    def work(self) -> AbstractContextManager[None]:
        """Context of work that reports its progress (`toolkit.progress`)."""
        return nullcontext()

    def epochs(self, classes: Sequence[str]) -> AbstractContextManager[EpochLog | None]:
        """Context of the training of a model of these classes."""
        return nullcontext()


@dataclass(frozen=True)
class MaskFit:
    """What is made of `data`, where, and how: `sources` try the policy, a `pruner` goes into the pipeline."""

    data: BlockSet
    sources: Sequence[Path]
    output: Path
    config: PolicyFitConfig
    pruner: PrunerBundle | None = None
    steps: Steps = field(default_factory=Steps)

    @property
    def work(self) -> Path:
        """Folder beside the output that keeps what is done; its name stands for the data and the recipe."""
        parts = [self.data.sha256, RECIPES[RECIPE].options, STAGES]
        return self.output.with_name(
            f".{self.output.name}.fit-{hashlib.sha256(canonical_json(parts)).hexdigest()[:12]}"
        )

    def run(self, progress: Callable[[PolicyTrial], None], *, overwrite: bool = False) -> FittedPolicy:
        """Train, export and prove every stage, build the pipeline, fit its policy by encodes, write it to the output.

        `progress` is called with every policy that was tried. What an earlier call has finished is not done again.
        Raises ToolkitError on data or sources that do not suit, before anything is learnt; where a stage does not beat
        a constant, or is not proven; and where no policy saves time within the target.
        """
        check_free(self.output, overwrite)
        files = identify(self.sources)
        check_data(self.data)
        check_sources(self.data, files, self.config)
        if self.pruner:
            check_pruner(self.pruner, self.data.manifest["encoder"])
        busy = f"{self.output}: another run is fitting to it. Wait for it, or choose another name."
        with one_at_a_time(self.work.with_name(f"{self.work.name}.lock"), busy):
            bundles = [self._stage(stage) for stage in STAGES]
            pipe = self._pipeline(bundles)
            clips = [word for file in files for word in ("--clips", file.path)]
            self.steps.command(
                "policy fit", pipe, "--data", self.data.path, *clips, *self._encodes(), "-o", self.output
            )
            with self.steps.work():
                paths = [file.path for file in files]
                found = fit_on(
                    Pipeline.load(pipe, threads=1), self.data, paths, self.output, self.config, progress,
                    overwrite=overwrite,
                )  # fmt: skip
            shutil.rmtree(self.work)
        return found

    def _encodes(self) -> list[str]:
        """Options of `policy fit` that stand for the config."""
        words = ["--target-loss", f"{self.config.target_loss:g}", "--usage", self.config.usage]
        words += ["--size", self.config.size_text] if self.config.size_text else []
        return words + (["--frames", str(self.config.frames)] if self.config.frames else [])

    def _stage(self, stage: str) -> Path:
        """Folder of a stage's proven bundle."""
        run, bundle = self.work / f"s{stage}", self.work / f"s{stage}.bundle"
        if not bundle.exists():
            self._train(stage, run)
            self.steps.command("export", run, "-o", bundle)
            with self.steps.work():
                write_bundle(choose_checkpoint(run), bundle)
        opened = Bundle.load(bundle)
        about = opened.manifest["provenance"]
        best = about["baselines"]["best_constant"]
        self.steps.line(
            f"Stage {stage}: epoch {about['epoch']}, macro-F1 {about['metrics']['macro_f1']:.4f} on validation; always "
            f"{best['class']}: {best['macro_f1']:.4f}."
        )
        if not opened.proven("cpu"):
            self.steps.command("parity", bundle, self.data.path)
            with self.steps.work():
                result = prove(bundle, self.data.path, ParityConfig(providers=("cpu",)))
            if not result["passed"]:
                raise ToolkitError(
                    f"{bundle}: not proven on cpu. `av1part parity {quoted(bundle)} {quoted(self.data.path)}` says why."
                )
        self.steps.line(f"Stage {stage}: proven on cpu.")
        return bundle

    def _train(self, stage: str, run: Path) -> None:
        options: Options = RECIPES[RECIPE].options | STAGES[stage]
        resume = (run / "run.json").is_file()
        words = [word for name, value in STAGES[stage].items() for word in (f"--{name}", value)]
        words += ["--resume"] if resume else []
        self.steps.command("train", self.data.path, "-o", run, "--stage", stage, "--recipe", RECIPE, *words)
        model = ModelConfig(
            stage, bit_depth=self.data.bit_depth, node=self.data.node, **{k: options.pop(k) for k in _MODEL}
        )
        config = TrainConfig(**options, recipe=RECIPE)
        with self.steps.epochs(model.classes) as log:
            told: dict[str, Any] = {"on_step": log.step, "on_epoch": log.epoch} if log else {}
            train(self.data, RunFolder(run), model, config, resume=resume, **told)

    def _pipeline(self, bundles: Sequence[Path]) -> Path:
        """Folder of the pipeline, not fitted yet; built anew, since the pruner may be another than the last time."""
        pipe, inside = self.work / "pipe", self.pruner
        self.steps.command("pipeline build", *bundles, *(["--pruner", inside.path] if inside else []), "-o", pipe)
        build_pipeline(bundles, pipe, Policy(), BuildConfig(), overwrite=True, pruner=inside)
        return pipe


def check_data(data: BlockSet) -> None:
    """Raise ToolkitError unless masks can be learnt from the data, proven, and fitted by costs."""
    if not is_recorded(data.manifest["encoder"]):
        raise ToolkitError(
            f"{data.path}: imported labels, and which encoder chose them is not recorded, so no encode can try the "
            "masks. `av1part train`, `export`, `parity` and `pipeline build` go on from here one by one."
        )
    found = data.manifest["encoder"]
    here = native.libaom_version(native.load(libraries().hook))
    four_way = four_way_of(None, found)
    own = EncoderSettings(int(found.get("cpu_used", 0)), str(found.get("usage")), four_way=four_way)
    wanted = own.recorded(here)
    if differ := settings_differ(wanted, found):
        raise ToolkitError(f"{data.path}: labelled by another encoder than the one here ({differ}). Label again.")
    if data.costs is None:
        raise ToolkitError(f"{data.path}: holds no RD costs, by which thresholds are chosen. Label without --no-costs.")
    for split in SPLITS:
        for stage in STAGES:
            data.split_index(split, stage)


def check_sources(data: BlockSet, files: Sequence[SourceFile], config: PolicyFitConfig) -> None:
    """Raise ToolkitError where a source is one that the models learn from, or cannot be coded as the data were."""
    trained = {source["sha256"] for source in data.sources if source["split"] == "train"}
    for file in files:
        if file.sha256 in trained:
            raise ToolkitError(
                f"{file.path}: in DATA's training split, so that the models are trained on it. Try masks on sources of "
                "its other splits, or new ones."
            )
        clip = config.open(file.path)
        if clip.bit_depth != data.bit_depth:
            raise ToolkitError(f"{file.path}: {clip.bit_depth} bit, DATA {data.bit_depth}. Take sources of its depth.")
        if min(clip.width, clip.height) < data.node:
            side = f"{data.node}x{data.node}"
            raise ToolkitError(f"{file.path}: {clip.width}x{clip.height} has no whole {side} node to mask.")


def fit_config(data: BlockSet, tries: TryConfig) -> PolicyFitConfig:
    """How the policy is fitted: by encodes with the settings of the data's encoder."""
    encoder = data.manifest["encoder"]
    return PolicyFitConfig(
        target_loss=tries.target_loss,
        size=tries.size,
        frames=tries.frames or 2,
        usage=str(encoder.get("usage", PolicyFitConfig.usage)),
        four_way=four_way_of(None, encoder),
    )
