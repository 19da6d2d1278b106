"""Options of `av1part pruner fit`, with their defaults; no heavy imports."""

from dataclasses import dataclass

from toolkit.errors import ToolkitError
from toolkit.pruners.features import DECISIONS

SIDES = (8, 16, 32)
"""Node sizes that get decisions by default: one wrong decision at 64x64 can cost more than all others save."""


@dataclass(frozen=True)
class FitConfig:
    """How a pruner is learnt and proven.

    `price`: the loss, in average pixels of the picture, that one average pixel of CPU time may cost; `most`: what one
    decision may lose at most, in the same unit. `proof_rows`: held-out rows compared for each node size and decision.
    Raises ToolkitError on values that make no pruner.
    """

    price: float = 0.05
    most: float = 64.0
    trees: int = 60
    leaves: int = 16
    sides: tuple[int, ...] = SIDES
    decisions: tuple[str, ...] = DECISIONS
    proof_rows: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_price(self.price, self.most)
        if unknown := set(self.decisions) - set(DECISIONS):
            raise ToolkitError(f"--decisions {','.join(sorted(unknown))}: expected any of {', '.join(DECISIONS)}.")
        if unknown_sides := set(self.sides) - {8, 16, 32, 64, 128}:
            given = ",".join(map(str, sorted(unknown_sides)))
            raise ToolkitError(f"--sides {given}: expected any of 8, 16, 32, 64, 128.")
        if not self.decisions or not self.sides or self.trees < 1 or not 2 <= self.leaves <= 256:
            raise ToolkitError("A pruner needs a node size, a decision, a tree, and 2 to 256 leaves a tree.")


def check_price(price: float, most: float) -> None:
    """Raise ToolkitError unless both are above 0 and finite."""
    if not 0 < price < float("inf") or not 0 < most < float("inf"):
        raise ToolkitError(f"Price {price}, most {most}: expected numbers above 0, as in 0.05 and 64.")
