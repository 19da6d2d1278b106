"""The budget of a reduced precision: the error that PyTorch itself makes at it, on a real GPU. Nothing is simulated."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from export.compare.budget import Budget, budget_of, reference_logits
from export.graph.runtime import ProviderUnavailable
from toolkit.data.blockset import Blocks
from toolkit.model.network import Classifier, predict


def calibrate_on_gpu(model: Classifier, calibration: Blocks, precision: str) -> Budget:
    """Measure PyTorch at `precision` (tf32 or float16) on the GPU against float64 on the calibration blocks.

    Raises ProviderUnavailable where PyTorch has no GPU that computes in it.
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
        found = predict(there, calibration.luma, calibration.qindex, 256).float().numpy()
    return budget_of(found, reference_logits(model, calibration))


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """TF32 in matrix products and convolutions, or neither; put back afterwards."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
