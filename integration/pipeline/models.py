"""A bundle as the model of a stage: C runs its graph, Python only where it has to."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from export.bundle.bundle import Bundle
from export.graph.runtime import RuntimeModel
from integration.codec.masker import Network, onnx_runtime
from integration.pipeline.stages import StageModel
from toolkit.data.blockset import Luma
from toolkit.windows import Window


@dataclass(frozen=True)
class BundleModel:
    """A bundle on one execution provider. Its session in Python is opened when it is first asked."""

    bundle: Bundle
    provider: str = "cpu"
    threads: int | None = None

    @property
    def window(self) -> Window:
        return self.bundle.contract.window

    @cached_property
    def session(self) -> RuntimeModel:
        """The session in Python; errors as of `Bundle.session`."""
        return self.bundle.session(self.provider, self.threads)

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.session.logits(luma, qindex)


def network_of(model: StageModel) -> Network:
    """The network of a stage's model for C, which runs graphs on the CPU where ONNX Runtime's C library is there."""
    context = model.window.context
    if isinstance(model, BundleModel) and model.provider == "cpu" and onnx_runtime():
        model.bundle.check_cpu("cpu")
        return Network(context, model.bundle.model_bytes())
    return Network(context, model.logits)
