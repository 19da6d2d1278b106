"""What a sweep trains. Light: imports no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.model_config import ModelConfig
from toolkit.recipes import RECIPES
from toolkit.train_config import INITS, TrainConfig

OWNED = ("run", "stage", "recipe", "init", "seed", "start", "resume", "extend", "extend_lr")
"""Options of `train` that the sweep sets itself."""
_SHAPES_BACKBONE = ("backbone", "context")
_NOT_FOR_STAGE1 = ("adapter", "adapter_size", "adapter_placement", "dropout", "gradual")


@dataclass(frozen=True)
class SweepConfig:
    """Options of `av1part sweep`.

    Every recipe is trained with every init (its own where none is named) and so many seeds, counted from the
    default seed. `options`: more options of `train`, by parameter name, for all runs. `stage1`: a run or checkpoint
    to start from; otherwise one Stage 1 is trained for each seed and backbone, by `stage1_recipe` (imagenet, or
    scratch for the small backbone, if not given). `jobs` run at once through joblib's `backend`; `gpus` are handed
    out in turn.
    """

    recipes: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    seeds: int = 3
    stage: str = "2"
    options: dict[str, Any] = field(default_factory=dict)
    stage1: Path | None = None
    stage1_recipe: str | None = None
    jobs: int = 1
    backend: str = "threading"
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, names, known in (("recipes", self.recipes, list(RECIPES)), ("inits", self.inits, list(INITS))):
            if (unknown := [n for n in names if n not in known]) or len(set(names)) < len(names):
                raise ToolkitError(
                    f"{what} {', '.join(unknown or names)}: expected different ones of {', '.join(known)}."
                )
        if not self.recipes or self.seeds < 1:
            raise ToolkitError(f"{len(self.recipes)} recipes, {self.seeds} seeds: expected at least one of each.")
        if owned := [k for k in self.options if k in OWNED]:
            raise ToolkitError(f"The sweep itself sets {', '.join(owned)} of each run. Leave these away after --.")


@dataclass(frozen=True)
class Job:
    """One run: the folder's name, its `train` options, and the name of the Stage-1 job that it waits for."""

    name: str
    options: dict[str, Any]
    after: str | None = None


def plan(config: SweepConfig) -> list[Job]:
    """All runs, Stage-1 ones first; runs of one seed and backbone share their Stage 1.

    Raises ToolkitError where Stage 1 is swept by a recipe that needs a trained Stage 1.
    """
    first: dict[str, Job] = {}
    runs = []
    for recipe in config.recipes:
        for init in config.inits or (None,):
            for seed in range(TrainConfig().seed, TrainConfig().seed + config.seeds):
                own = {"stage": config.stage, "recipe": recipe, "seed": seed}
                options = config.options | own | ({} if init is None else {"init": init})
                name = "-".join([recipe, *([] if init is None else [f"from-{init}"]), f"seed{seed}"])
                after = None
                if {**RECIPES[recipe].options, **options}.get("init", TrainConfig().init) == "stage1":
                    if config.stage == "1":
                        raise ToolkitError(f"{recipe} starts from a trained Stage 1; sweep Stage 1 with other recipes.")
                    if config.stage1 is not None:
                        options["start"] = config.stage1
                    else:
                        job = _stage1(config, recipe, seed)
                        first[job.name] = job
                        after = job.name
                runs.append(Job(name, options, after))
    return [*first.values(), *runs]


def _stage1(config: SweepConfig, recipe: str, seed: int) -> Job:
    """The Stage 1 whose backbone a run of this recipe takes over."""
    chosen = RECIPES[recipe].options | config.options
    shape = {k: chosen[k] for k in _SHAPES_BACKBONE if k in chosen}
    backbone = str(shape.get("backbone", ModelConfig().backbone))
    own = {"stage": "1", "recipe": config.stage1_recipe or ("scratch" if backbone == "small" else "imagenet")}
    options = {k: v for k, v in config.options.items() if k not in _NOT_FOR_STAGE1} | shape | own | {"seed": seed}
    suffix = f"-context{shape['context']}" if shape.get("context") else ""
    return Job(f"stage1-{backbone}{suffix}-seed{seed}", options)
