"""What a model's weights have seen, from the record that travels with them. Light: imports no torch."""

from typing import Any


def trained_on(provenance: dict[str, Any]) -> set[str]:
    """The sha256 of every source that the weights have seen: the model's own training, and that of its Stage 1."""
    return {*provenance.get("train_sources", ()), *provenance.get("init", {}).get("trained_on", ())}


def is_known(provenance: dict[str, Any]) -> bool:
    """Whether that set is complete; of an imported checkpoint it is not."""
    return bool(provenance.get("train_sources_known", True))
