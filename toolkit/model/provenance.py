"""What a model's weights have seen, from the record that travels with them. Light: imports no torch."""

from typing import Any

BEFORE = ("init", "taught_by")
"""Entries that record another model, from which this one has learnt: the Stage 1 it started from, its teacher."""


def record_of(provenance: dict[str, Any]) -> dict[str, Any]:
    """What the entry of a model that another one learns from says of what it has seen."""
    return {"trained_on": sorted(trained_on(provenance)), "train_sources_known": is_known(provenance)}


def trained_on(provenance: dict[str, Any]) -> set[str]:
    """The sha256 of every source that the weights have seen: in their own training, or a model they learnt from."""
    before = (provenance.get(entry, {}).get("trained_on", ()) for entry in BEFORE)
    return {*provenance.get("train_sources", ())}.union(*before)


def is_known(provenance: dict[str, Any]) -> bool:
    """Whether that set is complete; of an imported checkpoint it is not, nor of what learnt from one."""
    records = provenance, *(provenance.get(entry, {}) for entry in BEFORE)
    return all(record.get("train_sources_known", True) for record in records)
