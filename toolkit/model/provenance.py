"""Provenance of a model's weights: a record, stored with them, of their origin and the sources they have seen.

Light: imports no torch.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

from toolkit.option import Options

BEFORE = ("init", "taught_by")
"""Entries that record another model that this one learnt from: the Stage 1 it started from, its teacher."""


class Seen(TypedDict, total=False):
    """What another model had seen: the sha256 of its sources, and whether that list is complete."""

    trained_on: list[str]
    train_sources_known: bool


class InitRecord(Seen, total=False):
    """Where the first weights came from. `kind`: an init of the config, `ensemble` or `imported`.

    `unchanged`: kind of the init from which Stage 1 had this very backbone; not there where Stage 1 changed it.
    """

    kind: str
    unchanged: str
    backbone_sha256: str
    weights: str
    sha256: str
    epoch: int
    data_sha256: str
    macro_f1: float


class TeacherRecord(Seen):
    """Which model a student learnt from."""

    name: str
    backbone: str
    sha256: str


class MemberRecord(TypedDict):
    """One member of an ensemble: its file, its own provenance, and its macro-F1 on the ensemble's data."""

    name: str
    sha256: str
    backbone: str
    epoch: int
    macro_f1: float
    data_sha256: str
    provenance: "Provenance"


class Provenance(TypedDict, total=False):
    """Provenance of a checkpoint. `train_sources`: sha256 of the sources that the run itself trained on.

    `train`: the options of the run. `views` and `members`: of an ensemble. `imported`: the file of an older format.
    """

    run: str
    train: Options
    init: InitRecord
    taught_by: TeacherRecord
    train_sources: list[str]
    train_sources_known: bool
    environment: dict[str, str]
    views: str
    members: list[MemberRecord]
    imported: dict[str, object]


def record_of(provenance: Mapping[str, Any]) -> Seen:
    """Provenance record, stored in a new model, of the model that it learnt from."""
    return {"trained_on": sorted(trained_on(provenance)), "train_sources_known": is_known(provenance)}


def trained_on(provenance: Mapping[str, Any]) -> set[str]:
    """Sha256 of every source that the weights have seen: in their own training, or through a model they learnt from."""
    before = (provenance.get(entry, {}).get("trained_on", ()) for entry in BEFORE)
    return {*provenance.get("train_sources", ())}.union(*before)


def is_known(provenance: Mapping[str, Any]) -> bool:
    """Whether `trained_on` is complete. It is not for an imported checkpoint, nor for a model that learnt from one."""
    records = provenance, *(provenance.get(entry, {}) for entry in BEFORE)
    return all(record.get("train_sources_known", True) for record in records)
