"""Options of the pipeline commands and their defaults, without heavy imports."""

from dataclasses import dataclass

from toolkit.data.splits import HELD_OUT
from toolkit.errors import ToolkitError
from toolkit.option import option


@dataclass(frozen=True)
class BuildConfig:
    """How a pipeline is built. `provider`: every bundle has to be proven on it, unless `allow_unproven`."""

    provider: str = "cpu"
    allow_unproven: bool = False


@dataclass(frozen=True)
class EvalConfig:
    """Blocks to score on: those of a held-out split, or `limit` of them at most, drawn by `seed`.

    Raises ToolkitError on a split that is not held out.
    """

    split: str = option("test", "Held-out split.", choices=HELD_OUT)
    limit: int | None = option(None, "Score only this many blocks, drawn by --seed.", least=1)
    seed: int = option(0, "Seed of the draw.")

    def __post_init__(self) -> None:
        if self.split not in HELD_OUT:
            raise ToolkitError(f"Split {self.split!r}: expected a held-out one, {' or '.join(HELD_OUT)}.")
