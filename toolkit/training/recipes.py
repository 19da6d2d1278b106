"""Named recipes: the field's ways of training Stage 2, and ours. Each is a set of options that a user may override."""

from dataclasses import dataclass, field
from typing import Any

from toolkit.data.inside import INSIDE


@dataclass(frozen=True)
class Recipe:
    """A recipe: its description, its source, and the options that differ from the defaults."""

    text: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)


_ALWAYS = 1_000_000  # more epochs than any run has: never unfrozen
_FIELD: dict[str, Any] = {"qindex": False}  # the field gave its networks no qindex
RECIPES = {
    "stage1-frozen": Recipe(
        "Stage-1 backbone, never unfrozen; only the head learns.",
        "the field's short-term choice",
        _FIELD | {"init": "stage1", "freeze_epochs": _ALWAYS},
    ),
    "ulmfit": Recipe(
        "Stage-1 backbone, 8 frozen epochs, then discriminative rates and a cosine (--gradual N: group by group).",
        "Howard & Ruder 2018, as the field ran it",
        _FIELD | {"init": "stage1"},
    ),
    "imagenet": Recipe(
        "The same from ImageNet weights, without Stage 1.", "the field's init B", _FIELD | {"init": "imagenet"}
    ),
    "imagenet-100": Recipe(
        "The same for 100 epochs, its cosine over all of them.",
        "the field's long run",
        _FIELD | {"init": "imagenet", "epochs": 100},
    ),
    "adapters": Recipe(
        "Stage-1 backbone frozen throughout, 1x1 residual adapters and the head learn.",
        "Rebuffi et al. 2017 (series), 2018 (parallel); Houlsby et al. 2019 (bottleneck)",
        _FIELD | {"init": "stage1", "freeze_epochs": _ALWAYS, "adapter": "series"},
    ),
    "scratch": Recipe("Random weights, nothing frozen.", "the control", {"init": "random"}),
    "best": Recipe(
        "Our small network from random weights, qindex in, all eight flips and transpositions; it learns the AV1 "
        "partition of every decided node besides.",
        "docs/experiments.md; the second task: Caruana 1997",
        {
            "init": "random",
            "backbone": "small",
            "augment": "dihedral",
            "auxiliary": 1.0,
            "epochs": 24,
            "lr": 2e-3,
        },
    ),
    **{
        f"inside-{point}": Recipe(
            f"Our small network from random weights, asked inside the search after {point.upper()}, with the features "
            "that libaom knows there (DATA of `label --search`).",
            "docs/experiments.md",
            {"init": "random", "backbone": "small", "augment": "dihedral", "epochs": 24, "lr": 2e-3, "inside": point},
        )
        for point in INSIDE
    },
}
