"""The contract of an exported graph: its inputs, its output, and the AV1 partition ids behind each logit."""

from dataclasses import dataclass
from typing import Any

from toolkit.data.blockset import luma_dtype
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.config import ModelConfig
from toolkit.partition import STAGES, stage_of
from toolkit.windows import ALONE, Window

METADATA_KEY = "av1part"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Contract:
    """Inputs `luma` float32 (N, 1, S, S) of raw code values 0 .. 2**bit_depth - 1 and `qindex` float32 (N, 1) of
    0 .. 255; output `logits` float32 (N, classes) in the order of the stage's classes.

    `qindex`: whether the network uses the qindex; the input exists in any case. `window`: the node to decide about and
    the source pixels around it; S is the window's size. Raises ToolkitError on a stage or bit depth that does not
    exist.
    """

    stage: str
    bit_depth: int
    qindex: bool
    window: Window = ALONE

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ToolkitError(f"Stage {self.stage!r:.80}: expected one of {', '.join(STAGES)}.")
        stage_of(self.stage, self.window.node)  # raises where such nodes have no such stage
        luma_dtype(self.bit_depth)
        if not isinstance(self.qindex, bool):
            raise ToolkitError(f"qindex_used {self.qindex!r:.80}: expected true or false.")

    @classmethod
    def of(cls, config: ModelConfig) -> "Contract":
        return cls(config.stage, config.bit_depth, config.qindex, config.window)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return stage_of(self.stage, self.window.node).classes

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """AV1 partition ids of each class."""
        return stage_of(self.stage, self.window.node).groups

    def inputs(self) -> dict[str, list[int | str]]:
        """Name and shape of each input; "batch" stands for any size."""
        return {"luma": ["batch", *self.window.shape], "qindex": ["batch", 1]}

    def outputs(self) -> dict[str, list[int | str]]:
        """Name and shape of each output."""
        return {"logits": ["batch", len(self.classes)]}

    def to_dict(self) -> dict[str, object]:
        """The contract in JSON types, as it stands in the graph's metadata and in a bundle's manifest."""
        size, context = self.window.size, self.window.context
        return {
            "format_version": FORMAT_VERSION,
            "stage": self.stage,
            "classes": [{"name": n, "av1_ids": list(g)} for n, g in zip(self.classes, self.groups, strict=True)],
            "bit_depth": self.bit_depth,
            "input_range": [0, (1 << self.bit_depth) - 1],
            "qindex_range": [0, 255],
            "qindex_used": self.qindex,
            "window": {"height": size, "width": size, "row": context, "column": context},
            "inputs": self.inputs(),
            "outputs": self.outputs(),
        }

    @classmethod
    def from_dict(cls, values: Any, what: str) -> "Contract":
        """Read back `to_dict`; ToolkitError names the first entry that is missing or has another type or value."""
        try:
            size, context = values["window"]["height"], values["window"]["row"]  # the node's place in the window
            window = Window(size - 2 * context, context)
            contract = cls(values["stage"], values["bit_depth"], values["qindex_used"], window)
            expected = contract.to_dict()
        except (KeyError, TypeError, IndexError):
            raise ToolkitError(
                f"{what}: no contract with stage, bit_depth, qindex_used and window. Export it again."
            ) from None
        for key in sorted({*expected, *values}):
            # As JSON, where true, 1 and 1.0 differ.
            found, wanted = canonical_json(values.get(key)), canonical_json(expected.get(key))
            if found != wanted:
                raise ToolkitError(
                    f"{what}: {key} is {found.decode(errors='replace')[:200]}, expected {wanted.decode()[:200]} for "
                    f"stage {contract.stage}. It was edited, or made by another av1part; export it again."
                )
        return contract

    def metadata(self) -> dict[str, str]:
        """metadata_props of the ONNX file: the contract as JSON, and the onnx.ai keys for image inputs."""
        bits = 8 if self.bit_depth == 8 else 16
        return {
            METADATA_KEY: canonical_json(self.to_dict()).decode(),
            "Image.BitmapPixelFormat": f"Gray{bits}",
            "Image.ColorSpaceGamma": "SRGB",
            "Image.NominalPixelRange": f"NominalRange_0_{(1 << self.bit_depth) - 1}",
        }
