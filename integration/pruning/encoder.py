"""A pruner in an encoder: opened, checked against it, and counted."""

from collections.abc import Iterable
from dataclasses import dataclass

from integration.codec.encoder import Encoder
from integration.codec.overrides import Overrides
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import check_price
from toolkit.search.table import DECISIONS, SIDES


def use_pruner(
    encoder: Encoder, pruner: PrunerBundle, price: float | None = None, overrides: Overrides | None = None
) -> None:
    """Let a pruner decide inside the encoder's search; `price` and `overrides` None take the pruner's own.

    Frames of the kind that it was made for are pruned, key frames or inter frames. Raises ToolkitError where the pruner
    was made for another libaom, usage, 4-way setting or table of features, or for inter frames where there are none.
    """
    price = pruner.price if price is None else price
    check_price(price, pruner.most)
    pruner.check_encoder(encoder.config, encoder.hook())
    encoder.search_frames(pruner.frame_kind)
    encoder.set_pruner(pruner.data, price, pruner.most)
    own = pruner.overrides(encoder.config.cpu_used) if overrides is None else overrides
    for name, value in own.items():
        encoder.override_feature(name, value)


@dataclass(frozen=True)
class DecisionCount:
    """How often a pruner was asked about a decision at squares of one side, and how often it skipped."""

    decision: str
    side: int
    asked: int
    skipped: int


def count_decisions(encoder: Encoder) -> tuple[DecisionCount, ...]:
    """Counts since the encoder was opened; decisions never asked are left out."""
    asked, taken = encoder.decisions()
    return tuple(
        DecisionCount(decision, side, int(asked[s, d]), int(taken[s, d]))
        for d, decision in enumerate(DECISIONS)
        for s, side in enumerate(SIDES)
        if asked[s, d]
    )


def named_counts(counts: Iterable[DecisionCount]) -> dict[str, dict[str, int]]:
    """Counts as JSON has them, by `decision_side`."""
    return {f"{c.decision}_{c.side}": {"asked": c.asked, "skipped": c.skipped} for c in counts}
