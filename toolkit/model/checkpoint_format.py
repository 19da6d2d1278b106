"""The structure of a checkpoint file, checked whole before anything is made of it; its readers then trust it."""

import math
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from toolkit.errors import ToolkitError
from toolkit.model.provenance import Provenance
from toolkit.shapes import shaped

_DEPTH = 32
_WHOLE = 1 << 63
_MEND = "Train again."


class _ClassScores(TypedDict, total=False):
    precision: float
    recall: float
    f1: float
    support: int


class _Metrics(TypedDict):
    per_class: NotRequired[dict[str, _ClassScores]]


_Constant = TypedDict("_Constant", {"class": str, "macro_f1": float, "accuracy": float}, total=False)


class _Baselines(TypedDict, total=False):
    majority: _Constant
    best_constant: _Constant


class _Calibration(TypedDict):
    bit_depth: int
    node: int


class _Parts(TypedDict):
    """What a checkpoint file has to hold; scores and baselines may be missing."""

    config: dict[Any, Any]
    model_state_dict: dict[Any, Any]
    epoch: int
    metrics: _Metrics
    baselines: _Baselines
    data_sha256: str
    encoder: dict[Any, Any]
    calibration: _Calibration
    provenance: Provenance


_CALIBRATION = ("luma", "qindex", "partition", "target", "source", "frame", "row", "column")


def check_values(values: Mapping[str, Any], what: str) -> None:
    """Raise ToolkitError unless the content of a checkpoint file has every part, each of its type.

    Records hold plain values alone: texts, whole numbers of up to 64 bit, finite floats, lists and objects. Scores may
    be NaN, and the config checks its own numbers. Weights and calibration blocks are ordinary tensors. Scores and
    baselines may be missing.
    """
    for name in ("model_state_dict", "calibration"):
        if not isinstance(values.get(name), dict):
            raise ToolkitError(f"{what}: {name} is {values.get(name)!r:.80}, expected dict. {_MEND}")
    for name in ("config", "metrics", "baselines", "encoder", "provenance"):
        _check_plain(values.get(name), f"{what}: {name}", nan=name in ("metrics", "config"))
    shaped(dict(values), _Parts, what, _MEND)
    for name in values["metrics"].keys() - {"per_class"}:
        if type(values["metrics"][name]) not in (int, float):
            found = f"{what}: metrics.{name:.80} is {values['metrics'][name]!r:.80}"
            raise ToolkitError(f"{found}, expected a number. {_MEND}")
    for name, value in values["model_state_dict"].items():
        if not isinstance(name, str):
            raise ToolkitError(f"{what}: a weight is called {name!r:.80}, expected a text. {_MEND}")
        _check_tensor(value, f"{what}: the weight {name:.80}")
    blocks = values["calibration"]
    if set(blocks) != {*_CALIBRATION, "bit_depth", "node"}:
        raise ToolkitError(f"{what}: calibration has {sorted(blocks, key=str)!r:.200}, expected blocks. {_MEND}")
    for name in _CALIBRATION:
        _check_tensor(blocks[name], f"{what}: calibration.{name}")
        if blocks[name].is_floating_point() or blocks[name].is_complex():
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
