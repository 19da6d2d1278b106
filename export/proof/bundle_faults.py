"""Faults that a changed graph cannot show: in a whole bundle, in the model before export, and in a profile."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F

from export.bundle.bundle import MANIFEST
from export.bundle.report import REPORT_FILES, ProfileResult
from export.bundle.report_write import write_report
from export.graph.contract import Contract
from export.graph.profiles import PROFILES, Profile
from export.proof.graph_faults import NotApplicable
from toolkit.data.blockset import Blocks
from toolkit.files import atomic_write_json, seal
from toolkit.model.network import Classifier, to_input
from toolkit.partition import STAGES
from toolkit.windows import Window

_BATCH = 64


def other_epsilon(model: Classifier, budget_blocks: Blocks) -> None:
    """Swap batch-norm's epsilon for the other common one: 1e-3 for 1e-5, or 1e-5 for 1e-3."""
    layers = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    if not layers:
        raise NotApplicable("the model has no batch-norm")
    for layer in layers:
        layer.eps = 1e-3 if layer.eps < 1e-4 else 1e-5


def another_epoch(model: Classifier, budget_blocks: Blocks) -> None:
    """Train the weights for one more pass of AdamW, over the budget blocks."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for start in range(0, len(budget_blocks), _BATCH):
            part = budget_blocks[start : start + _BATCH]
            if len(part) < 2:  # batch-norm has no statistics of one
                continue
            optimiser.zero_grad()
            inputs = to_input(*part.inputs, config=model.config)
            loss = F.cross_entropy(model(*inputs), torch.from_numpy(part.target))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    model.eval()


MODEL_FAULTS: dict[str, Callable[[Classifier, Blocks], None]] = {
    "another batch-norm epsilon": other_epsilon,
    "weights of another epoch": another_epoch,
}
"""Faults planted in a copy of the PyTorch model, which is then exported unchanged."""


def planted(model: Classifier, budget_blocks: Blocks, fault: Callable[[Classifier, Blocks], None]) -> Classifier:
    """Plant the fault in a copy of the model; raises NotApplicable where the model has no place for it."""
    result = copy.deepcopy(model)
    fault(result, budget_blocks)
    return result


def changed_byte(bundle: Path) -> None:
    """Flip one bit in the middle of the graph's file."""
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(content)


def other_stage(bundle: Path) -> None:
    """Give the manifest the contract of another stage, and seal it again."""
    _swap_contract(bundle, lambda own: replace(own, stage=next(s for s in STAGES if s != own.stage)))


def other_depth(bundle: Path) -> None:
    """Give the manifest the contract of the other bit depth, and seal it again."""
    _swap_contract(bundle, lambda own: replace(own, bit_depth=10 if own.bit_depth == 8 else 8))


def other_window(bundle: Path) -> None:
    """Give the manifest the contract of another window, and seal it again.

    A 16x16 node with 8 pixels around it and a 32x32 node alone have windows of one size, so each becomes the other;
    likewise where another node has a window of the same size.
    """
    pairs = [(Window(16, 8), Window(32, 0)), (Window(32, 16), Window(64, 0)), (Window(8, 4), Window(16, 0))]
    alike = dict(pairs) | {b: a for a, b in pairs[:2]}
    _swap_contract(bundle, lambda own: replace(own, window=alike.get(own.window, Window(16, 8))))


def foreign_report(bundle: Path) -> None:
    """Put the parity report of another bundle into this one."""
    result = cast(ProfileResult, {"status": "not-run", "reason": "planted", "comparisons": 1})
    write_report(bundle, "0" * 64, {"name": "another", "stage": "2", "backbone": "small"}, {"cpu-fp32": result})


BUNDLE_FAULTS: dict[str, Callable[[Path], None]] = {
    "one bit of the graph changed": changed_byte,
    "manifest of another stage's bundle, sealed again": other_stage,
    "manifest of another bit depth's bundle, sealed again": other_depth,
    "manifest of another window's bundle, sealed again": other_window,
    "parity report of another bundle": foreign_report,
}
"""Faults planted in a copy of the bundle's folder."""

STRICT_FAULTS: dict[str, Profile] = {
    "TF32 where strict was asked: the session's option": replace(
        PROFILES["cuda-strict"], options=PROFILES["cuda-tf32"].options
    ),
    "TF32 where strict was asked: the process's switch": replace(
        PROFILES["cuda-strict"], environment=PROFILES["cuda-tf32"].environment
    ),
}
"""Strict profiles that would compute in TF32. They are refused before a run, so no GPU is needed."""


def _swap_contract(bundle: Path, change: Callable[[Contract], Contract]) -> None:
    for name in REPORT_FILES:  # the report names the manifest; something else must notice the change too
        (bundle / name).unlink(missing_ok=True)
    file = bundle / MANIFEST
    manifest = json.loads(file.read_text())
    manifest["contract"] = change(Contract.from_dict(manifest["contract"], str(file))).to_dict()
    atomic_write_json(file, seal(manifest))
