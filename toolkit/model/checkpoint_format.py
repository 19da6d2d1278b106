"""The structure of a checkpoint file, checked whole before anything is made of it; its readers then trust it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.errors import ToolkitError
from toolkit.sealed import Entries, check_entries

_DEPTH = 32
_WHOLE = 1 << 63
_MEND = "Train again."
_NUMBER = (int, float)
_PARTS: Entries = {
    "config": dict,
    "model_state_dict": dict,
    "epoch": int,
    "metrics": dict,
    "baselines": dict,
    "data_sha256": str,
    "encoder": dict,
    "calibration": dict,
    "provenance": dict,
}
_CALIBRATION = ("luma", "qindex", "partition", "target", "source", "frame", "row", "column")
_PROVENANCE: Entries = {
    "run": str,
    "train": dict,
    "init": dict,
    "taught_by": dict,
    "train_sources": list,
    "trained_on": list,
    "train_sources_known": bool,
    "environment": dict,
    "views": str,
    "members": list,
    "imported": dict,
}
_MEMBER: Entries = {
    "name": str, "sha256": str, "backbone": str, "epoch": int, "macro_f1": _NUMBER, "data_sha256": str,
    "provenance": dict,
}  # fmt: skip


def check_values(values: Mapping[str, Any], what: str) -> None:
    """Raise ToolkitError unless the content of a checkpoint file has every part, each of its type.

    Records hold plain values alone: texts, whole numbers of up to 64 bit, finite floats, lists and objects. Scores may
    be NaN, and the config checks its own numbers. Weights and calibration blocks are ordinary tensors. Scores and
    baselines may be missing.
    """
    check_entries(dict(values), _PARTS, what, _MEND)
    for name in ("config", "metrics", "baselines", "encoder", "provenance"):
        _check_plain(values[name], f"{what}: {name}", nan=name in ("metrics", "config"))
    _check_metrics(values["metrics"], what)
    best = values["baselines"]
    for name in ("majority", "best_constant"):
        _check_present(best, {name: dict}, f"{what}: baselines")
        _check_present(
            best.get(name, {}), {"class": str, "macro_f1": _NUMBER, "accuracy": _NUMBER}, f"{what}: baselines.{name}"
        )
    _check_provenance(values["provenance"], f"{what}: provenance")
    for name, value in values["model_state_dict"].items():
        if not isinstance(name, str):
            raise ToolkitError(f"{what}: a weight is called {name!r:.80}, expected a text. {_MEND}")
        _check_tensor(value, f"{what}: the weight {name:.80}")
    blocks = values["calibration"]
    check_entries(blocks, {"bit_depth": int, "node": int}, f"{what}: calibration", _MEND)
    if set(blocks) - {"search"} != {*_CALIBRATION, "bit_depth", "node"}:
        raise ToolkitError(f"{what}: calibration has {sorted(blocks, key=str)!r:.200}, expected blocks. {_MEND}")
    for name in (*_CALIBRATION, *({"search"} & set(blocks))):
        _check_tensor(blocks[name], f"{what}: calibration.{name}")
        if name != "search" and (blocks[name].is_floating_point() or blocks[name].is_complex()):
            raise ToolkitError(f"{what}: calibration.{name} is {blocks[name].dtype}, expected whole numbers. {_MEND}")
        if not blocks[name].is_contiguous():  # one stored number could claim to be a billion blocks
            raise ToolkitError(f"{what}: calibration.{name} is larger than what is stored of it. {_MEND}")


def _check_tensor(value: Any, what: str) -> None:
    """Raise ToolkitError unless the value is a tensor of which every element lies in memory, as it is."""
    if type(value) not in (Tensor, nn.Parameter):
        raise ToolkitError(f"{what} is {type(value).__name__}, expected a tensor. {_MEND}")
    nested = value.is_nested or value.layout is not torch.strided
    strange = nested or value.is_quantized or value.device.type != "cpu" or value.is_conj() or value.is_neg()
    if strange:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        raise ToolkitError(
            f"{what} is {kind}, {value.dtype}, on device {value.device}; expected an ordinary tensor with its values, "
            f"neither quantised nor conjugate nor negated. {_MEND}"
        )


def _check_plain(value: Any, what: str, *, nan: bool, depth: int = 0) -> None:
    """Raise ToolkitError unless JSON can hold the value; `nan`: except for a NaN, which is let pass."""
    if type(value) is dict and depth < _DEPTH:
        for key, entry in value.items():
            if type(key) is not str:
                raise ToolkitError(f"{what} has the key {key!r:.80}, expected a text. {_MEND}")
            _check_plain(key, what, nan=nan, depth=_DEPTH)
            _check_plain(entry, f"{what}.{key:.80}", nan=nan, depth=depth + 1)
        return
    if type(value) in (list, tuple) and depth < _DEPTH:
        for entry in value:
            _check_plain(entry, what, nan=nan, depth=depth + 1)
        return
    plain = value is None or type(value) is bool
    plain |= type(value) is int and abs(value) < _WHOLE
    plain |= type(value) is float and (math.isfinite(value) or (nan and math.isnan(value)))
    plain |= type(value) is str and not any(0xD800 <= ord(c) < 0xE000 for c in value)
    if not plain:
        found = type(value).__name__ if isinstance(value, Tensor | dict | list | tuple) else f"{value!a:.80}"
        raise ToolkitError(f"{what} is {found}, expected plain values as JSON holds them. {_MEND}")


def _check_present(values: Mapping[str, Any], entries: Entries, what: str) -> None:
    """As `check_entries`, of those entries that are there."""
    check_entries(dict(values), {name: kind for name, kind in entries.items() if name in values}, what, _MEND)


def _check_metrics(metrics: Mapping[str, Any], what: str) -> None:
    for name in metrics.keys() - {"per_class"}:
        if type(metrics[name]) not in _NUMBER:
            raise ToolkitError(f"{what}: metrics.{name:.80} is {metrics[name]!r:.80}, expected a number. {_MEND}")
    _check_present(metrics, {"per_class": dict}, f"{what}: metrics")
    for name, scores in metrics.get("per_class", {}).items():
        place = f"{what}: metrics.per_class.{name:.80}"
        check_entries(scores, {}, place, _MEND)
        _check_present(scores, {"precision": _NUMBER, "recall": _NUMBER, "f1": _NUMBER, "support": int}, place)


def _check_provenance(record: Mapping[str, Any], what: str) -> None:
    """Raise ToolkitError unless each known entry has its type, in the records of other models too."""
    _check_present(record, _PROVENANCE, what)
    for name in ("train_sources", "trained_on"):
        if not all(isinstance(source, str) for source in record.get(name, ())):
            raise ToolkitError(f"{what}.{name} are not hashes. {_MEND}")
    for name in ("init", "taught_by"):
        if name in record:
            _check_provenance(record[name], f"{what}.{name}")
    for member in record.get("members", ()):
        check_entries(member, _MEMBER, f"{what}.members", _MEND)
        _check_provenance(member["provenance"], f"{what}.members")
