"""What runs: libaom with the hook, labelling, the stage-008 pipeline, pruners and real encodes.

The names in `__all__` are the public ones (docs/reference/api.md); each is imported at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import toolkit  # noqa: F401  # before anything imports ONNX Runtime: it switches its telemetry off

if TYPE_CHECKING:
    from integration.codec.config import EncoderConfig
    from integration.codec.encoder import Encoder
    from integration.encoding.config import EncodeConfig
    from integration.encoding.encode import encode_file
    from integration.media.video import open_clip
    from integration.pipeline.build import build_pipeline
    from integration.pipeline.config import BuildConfig
    from integration.pipeline.pipeline import Pipeline
    from integration.pipeline.policy import Policy, Thresholds
    from integration.pruning.bundle import PrunerBundle
    from integration.pruning.config import FitConfig
    from integration.pruning.fit import fit_pruner
    from integration.recording.config import LabelConfig, RecordConfig
    from integration.recording.label import label
    from integration.recording.record import record
    from integration.zoo.card import cards, choose
else:
    _HOME = {
        "BuildConfig": "integration.pipeline.config",
        "EncodeConfig": "integration.encoding.config",
        "Encoder": "integration.codec.encoder",
        "EncoderConfig": "integration.codec.config",
        "FitConfig": "integration.pruning.config",
        "LabelConfig": "integration.recording.config",
        "Pipeline": "integration.pipeline.pipeline",
        "Policy": "integration.pipeline.policy",
        "PrunerBundle": "integration.pruning.bundle",
        "RecordConfig": "integration.recording.config",
        "Thresholds": "integration.pipeline.policy",
        "build_pipeline": "integration.pipeline.build",
        "cards": "integration.zoo.card",
        "choose": "integration.zoo.card",
        "encode_file": "integration.encoding.encode",
        "fit_pruner": "integration.pruning.fit",
        "label": "integration.recording.label",
        "open_clip": "integration.media.video",
        "record": "integration.recording.record",
    }

    def __getattr__(name: str) -> object:
        """Import a public name from the module that defines it; AttributeError where the name is not public."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


__all__ = [
    "BuildConfig",
    "EncodeConfig",
    "Encoder",
    "EncoderConfig",
    "FitConfig",
    "LabelConfig",
    "Pipeline",
    "Policy",
    "PrunerBundle",
    "RecordConfig",
    "Thresholds",
    "build_pipeline",
    "cards",
    "choose",
    "encode_file",
    "fit_pruner",
    "label",
    "open_clip",
    "record",
]
