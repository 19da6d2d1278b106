"""Budget of a reduced precision: PyTorch's own error at that precision, measured on a real GPU, never simulated."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from export.compare.budget import budget_of, reference_logits
from export.compare.verdict import Budget
from export.graph.runtime import ProviderUnavailable
from toolkit.data.blockset import Blocks
from toolkit.model.network import Classifier, predict


def set_budget_on_gpu(model: Classifier, budget_blocks: Blocks, precision: str) -> Budget:
    """Measure PyTorch at `precision` (tf32 or float16) on the GPU against float64 on the budget blocks.

    Raises ProviderUnavailable where PyTorch finds no GPU with that precision.
    """
    if not torch.cuda.is_available():
        raise ProviderUnavailable(
            f"The budget of {precision} is PyTorch's own error at it, and PyTorch {torch.__version__} finds no GPU. "
            "`av1part doctor` says why."
        )
    if precision == "tf32" and torch.cuda.get_device_capability() < (8, 0):
        raise ProviderUnavailable(f"{torch.cuda.get_device_name()} has no TF32; expected compute capability 8.0.")
    there = copy.deepcopy(model).cuda()
    if precision == "float16":
        there = there.half()
    with _tf32(precision == "tf32"):
        found = predict(there, *budget_blocks.inputs, batch=256).float().numpy()
    return budget_of(found, reference_logits(model, budget_blocks))


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in matrix products and convolutions, and restore both settings afterwards."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
