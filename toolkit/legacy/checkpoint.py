"""Converting older checkpoints of the field's networks into ours, without changing what they compute."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.metrics import baselines
from toolkit.model.checkpoint import Checkpoint, environment, load_torch, load_weights, save_checkpoint
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.model.provenance import Provenance
from toolkit.training.data import calibration_blocks, validation_blocks
from toolkit.training.selection import evaluate


def import_checkpoint(source: Path, output: Path, data: BlockSet, stage: str, input_scale: float) -> Checkpoint:
    """Write an older checkpoint (a dict with `model_state_dict`, of the field's ResNet-18) as one of ours.

    `input_scale`: the factor on the raw luma code values before the network saw them: 1/1023 for 10 bit, 1/1023**2
    where a script scaled twice. The old file does not name it, and a wrong one gives a model that works and is wrong.
    `data` gives the validation blocks on which the model is scored, calibrated and later proven. The sources that it
    was trained on are recorded as unknown. Raises ToolkitError on a file that is not such a checkpoint, holds code, or
    has missing or unexpected weights.
    """
    if not 0 < input_scale <= 1:
        raise ToolkitError(f"--input-scale {input_scale}: expected a factor above 0 and at most 1, as in 1/1023.")
    _check_scale(input_scale, data.bit_depth)
    values = _load(source)
    if not isinstance(values, dict) or not isinstance(values.get("model_state_dict"), dict):
        found = sorted(values)[:8] if isinstance(values, dict) else type(values).__name__
        raise ToolkitError(f"{source}: no dict with model_state_dict (found {found}), so not an older checkpoint.")
    config = ModelConfig(stage, "resnet18-se", qindex=False, bit_depth=data.bit_depth, input_scale=input_scale)
    model = PartitionNet(config)
    load_weights(model, _renamed(values["model_state_dict"], model), str(source))
    model.eval()
    val = validation_blocks(data, config, None)
    epoch = values.get("epoch", 0)
    provenance: Provenance = {
        "run": source.name,
        "imported": {"sha256": sha256_file(source), "best_macro_f1_then": _number(values.get("best_macro_f1"))},
        "train_sources": [],
        "train_sources_known": False,
        "init": {"kind": "imported"},
        "environment": environment(),
    }
    checkpoint = Checkpoint(
        model=model,
        epoch=int(epoch) if isinstance(epoch, int | np.integer) else 0,
        metrics=evaluate(model, val)[1],
        baselines=baselines(val.target, val.target, config.classes),
        data_sha256=data.sha256,
        encoder=data.manifest["encoder"],
        calibration=calibration_blocks(val),
        provenance=provenance,
    )
    save_checkpoint(output, checkpoint)
    return checkpoint


def _check_scale(scale: float, bit_depth: int) -> None:
    """Raise ToolkitError where the scale belongs to another bit depth, so that luma would be too dark or too bright."""
    peaks = {bits: (1 << bits) - 1 for bits in range(8, 17)}
    fits = [bits for bits, peak in peaks.items() if any(np.isclose(scale, peak**-n, rtol=1e-6) for n in (1, 2))]
    if fits and bit_depth not in fits:
        raise ToolkitError(
            f"--input-scale {scale:.6g} is that of {fits[0]} bit (1/{peaks[fits[0]]}, once or twice), the data have "
            f"{bit_depth}. Give data of the depth that the checkpoint was trained on."
        )


def _load(source: Path) -> Any:
    """Load tensors, plain values and NumPy arrays (which the older files hold in val_metrics), and nothing else."""
    with torch.serialization.safe_globals([*_numpy_reconstruction()]):
        return load_torch(source)


def _numpy_reconstruction() -> Iterator[Any]:
    """The functions and types that rebuild a NumPy array or scalar from its bytes, as NumPy 1 and 2 name them."""
    from numpy._core import multiarray

    for function in (multiarray._reconstruct, multiarray.scalar):
        yield (function, f"numpy.core.multiarray.{function.__name__}")
        yield (function, f"numpy._core.multiarray.{function.__name__}")
    yield np.ndarray
    yield np.dtype
    kinds = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", "U", "S")  # never "O": any object
    yield from {type(np.dtype(kind)) for kind in kinds}


def _renamed(state: dict[str, Any], model: PartitionNet) -> dict[str, Tensor]:
    """Weights under our names. Biases that the old layers did not have are zero, which computes the same."""
    strange = [k for k, v in state.items() if not isinstance(v, Tensor)]
    if strange:
        raise ToolkitError(f"The older checkpoint's weights {strange[:5]} are no tensors.")
    renamed = {k.replace("head.temperature", "temperature"): v.float() for k, v in state.items()}
    own = model.state_dict()
    for name, value in own.items():
        optional = name.endswith(".bias") and ("excitation" in name or "spatial_attn" in name)
        if name not in renamed and (optional or name.endswith("num_batches_tracked")):
            renamed[name] = torch.zeros_like(value)
    return {k: v.to(own[k].dtype).reshape(own[k].shape) if _same_size(v, own.get(k)) else v for k, v in renamed.items()}


def _same_size(value: Tensor, own: Tensor | None) -> bool:
    # Only a scalar may be stored as () or (1,). Any other difference of shape is a mistake, and is reported.
    return own is not None and (value.shape == own.shape or value.numel() == own.numel() == 1)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float | np.floating) else None
