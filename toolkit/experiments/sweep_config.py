"""Plan of a sweep: recipes x inits x seeds as a list of training runs. Imports no torch."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.model.config import ModelConfig
from toolkit.option import Options
from toolkit.training.config import INITS, RECIPES, TrainConfig

OWNED = ("run", "stage", "recipe", "init", "seed", "start", "resume", "extend", "extend_lr")
"""Options of `av1part train` that the sweep sets itself."""
BACKENDS = ("threading", "loky")
"""Backends of joblib that start the runs: threads of this process, or processes."""
_SHAPES_BACKBONE = ("backbone", "context", "spatial_attention")
_TAUGHT = ("teacher", "distil", "distil_temperature")
_NOT_FOR_STAGE1 = ("adapter", "adapter_size", "adapter_placement", "dropout", "gradual", *_TAUGHT)


@dataclass(frozen=True)
class Variant:
    """A recipe with the options in which this arm of the sweep differs from it."""

    recipe: str
    options: Options = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name that is fit for a folder, as in ulmfit or ulmfit+freeze-epochs=1."""
        parts = [self.recipe, *(f"{k.replace('_', '-')}={v}" for k, v in self.options.items())]
        return re.sub(r"[^\w.=+-]", "_", "+".join(parts))


@dataclass(frozen=True)
class SweepConfig:
    """Options of `av1part sweep`.

    Every recipe is trained with each of `inits` (its own init, where none is named) and with `seeds` seeds, counted
    from the default seed. `options` are for all runs: they overrule a recipe's own, and a variant's options overrule
    both. `stage1` is a run or checkpoint to start from; without it, a Stage 1 is trained for each seed and backbone by
    `stage1_recipe` (by default imagenet, and scratch for the small backbone). `jobs` runs go at once, started through
    `backend`; `gpus` are numbers of GPUs, given to the runs in turn. Raises ToolkitError on an unknown recipe, init or
    backend, on no recipe or seed, and on an option that the sweep sets itself.
    """

    recipes: tuple[Variant, ...] = ()
    inits: tuple[str, ...] = ()
    seeds: int = 3
    stage: str = "2"
    options: Options = field(default_factory=dict)
    stage1: Path | None = None
    stage1_recipe: str | None = None
    jobs: int = 1
    backend: str = "threading"
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        recipes = [variant.recipe for variant in self.recipes]
        for what, names, known in (
            ("recipes", recipes, list(RECIPES)),
            ("inits", self.inits, list(INITS)),
            ("backend", [self.backend], list(BACKENDS)),
        ):
            if unknown := [name for name in names if name not in known]:
                raise ToolkitError(f"{what} {', '.join(unknown)}: expected some of {', '.join(known)}.")
        if not self.recipes or self.seeds < 1:
            raise ToolkitError(f"{len(self.recipes)} recipes, {self.seeds} seeds: expected at least one of each.")
        if owned := sorted({k for o in (self.options, *(v.options for v in self.recipes)) for k in o if k in OWNED}):
            raise ToolkitError(f"The sweep itself sets {', '.join(owned)} of each run. Leave these away.")


@dataclass(frozen=True)
class Job:
    """One run: the name of its folder, its options, and the name of the Stage 1 job that it starts from, if any."""

    name: str
    options: Options
    after: str | None = None


def plan(config: SweepConfig) -> list[Job]:
    """List all runs, Stage 1 first; runs of the same seed and backbone share their Stage 1.

    Raises ToolkitError where two arms train the same, or Stage 1 is swept by a recipe that needs a trained Stage 1.
    """
    arms = [(variant, init) for variant in config.recipes for init in config.inits or (None,)]
    _check_distinct(config, arms)
    first: dict[str, Job] = {}
    runs = []
    for variant, init in arms:
        for seed in range(TrainConfig().seed, TrainConfig().seed + config.seeds):
            effective = _effective(config, variant, init)
            options = config.options | variant.options | ({} if init is None else {"init": init})
            options |= {"stage": config.stage, "recipe": variant.recipe, "seed": seed}
            after = None
            if effective["init"] == "stage1" and config.stage1 is not None:
                options["start"] = config.stage1
            elif effective["init"] == "stage1":
                job = _stage1(config, effective, seed)
                after = first.setdefault(job.name, job).name
            name = "-".join([variant.name, *([] if init is None else [f"from-{init}"]), f"seed{seed}"])
            runs.append(Job(name, options, after))
    return [*first.values(), *runs]


def _effective(config: SweepConfig, variant: Variant, init: str | None) -> Options:
    """All options of an arm's runs except stage and seed, defaults included."""
    defaults = ModelConfig().to_dict() | TrainConfig().to_dict()
    own = RECIPES[variant.recipe].options | config.options | variant.options
    return defaults | own | ({} if init is None else {"init": init})


def _check_distinct(config: SweepConfig, arms: list[tuple[Variant, str | None]]) -> None:
    seen: list[tuple[str, Options]] = []
    for variant, init in arms:
        name, effective = f"{variant.name} {init or ''}".strip(), _effective(config, variant, init)
        if config.stage == "1" and effective["init"] == "stage1":
            raise ToolkitError(f"{name} starts from a trained Stage 1; sweep Stage 1 with other recipes.")
        for other, options in seen:
            if options == effective:
                raise ToolkitError(
                    f"{other} and {name} come out the same: what tells them apart is overruled by the options for all "
                    "runs, or they are one recipe. Give an option to one recipe alone, as in ulmfit:freeze-epochs=1."
                )
        seen.append((name, effective))


def _stage1(config: SweepConfig, effective: Options, seed: int) -> Job:
    """Job of the Stage 1 whose backbone a run of these options starts from."""
    shape = {k: effective[k] for k in _SHAPES_BACKBONE}
    recipe = config.stage1_recipe or ("scratch" if shape["backbone"] == "small" else "imagenet")
    options = {k: v for k, v in config.options.items() if k not in _NOT_FOR_STAGE1}
    suffix = f"-context{shape['context']}" if shape["context"] else ""
    suffix += "-attention" if shape["spatial_attention"] else ""
    options |= {**shape, "stage": "1", "recipe": recipe, "seed": seed}
    return Job(f"stage1-{shape['backbone']}{suffix}-seed{seed}", options)
