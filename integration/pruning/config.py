"""Options of `av1part pruner fit`, with their defaults; no heavy imports."""

from dataclasses import dataclass

from integration.pruning.hook_file import decimal
from toolkit.errors import ToolkitError
from toolkit.option import option
from toolkit.pruners.learn import LEARNING, MODELS, LearnConfig
from toolkit.search.table import DECISIONS, SIDES


@dataclass(frozen=True)
class FitConfig(LearnConfig):
    """How a pruner is learnt, proven and used.

    `price`: the loss, in average pixels of the picture, that one average pixel of CPU time may cost. `most`: the
    expected loss of one decision at which it never skips, in the same unit. `proof_rows`: held-out rows compared for
    each node size and decision. Raises ToolkitError on values that make no pruner.
    """

    price: float = option(0.05, "Loss that a pixel of time may cost.", LEARNING)
    most: float = option(64.0, "Expected loss that is never risked.", LEARNING)
    proof_rows: int = 2000

    def __post_init__(self) -> None:
        check_price(self.price, self.most)
        for value in (self.price, self.most):
            decimal(value)
        if unknown := set(self.decisions) - set(DECISIONS):
            raise ToolkitError(f"--decisions {','.join(sorted(unknown))}: expected any of {', '.join(DECISIONS)}.")
        if unknown_sides := set(self.sides) - set(SIDES):
            given = ",".join(map(str, sorted(unknown_sides)))
            raise ToolkitError(f"--sides {given}: expected any of {', '.join(map(str, SIDES))}.")
        if self.model not in MODELS or self.epochs < 1:
            raise ToolkitError(f"--model {self.model}: expected {' or '.join(MODELS)}, and at least one epoch.")
        if not self.decisions or not self.sides or self.trees < 1 or not 2 <= self.leaves <= 256:
            raise ToolkitError("A pruner needs a node size, a decision, a tree, and 2 to 256 leaves a tree.")


def check_price(price: float, most: float) -> None:
    """Raise ToolkitError unless both are above 0 and finite."""
    if not 0 < price < float("inf") or not 0 < most < float("inf"):
        raise ToolkitError(f"Price {price}, most {most}: expected numbers above 0, as in 0.05 and 64.")
