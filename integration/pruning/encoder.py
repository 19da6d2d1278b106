"""A pruner in an encoder: opened, checked against it, and counted."""

from integration.codec.encoder import Encoder
from integration.pruning.bundle import PrunerBundle
from integration.pruning.config import check_price
from toolkit.search.table import DECISIONS, SIDES


def use_pruner(encoder: Encoder, pruner: PrunerBundle, price: float | None = None) -> None:
    """Let a pruner decide inside the encoder's search; `price` None takes the pruner's own.

    Frames of the kind that it was made for are pruned, key frames or inter frames. Raises ToolkitError where the pruner
    was made for another libaom, usage, 4-way setting or table of features, or for inter frames where there are none.
    """
    price = pruner.price if price is None else price
    check_price(price, pruner.most)
    pruner.check_encoder(encoder.config, encoder.hook())
    encoder.search_frames(pruner.frame_kind)
    encoder.set_pruner(pruner.data, price, pruner.most)


def count_decisions(encoder: Encoder) -> dict[str, dict[str, int]]:
    """Asked and skipped, since the encoder was opened, by `decision_side`; decisions never asked are left out."""
    asked, taken = encoder.decisions()
    return {
        f"{decision}_{side}": {"asked": int(asked[s, d]), "skipped": int(taken[s, d])}
        for d, decision in enumerate(DECISIONS)
        for s, side in enumerate(SIDES)
        if asked[s, d]
    }
