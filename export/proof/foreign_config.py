"""What `av1part parity MODEL.onnx --against` has to be told of a graph that we did not write. Light: no onnxruntime."""

from dataclasses import dataclass

from toolkit.errors import ToolkitError

LAYOUTS = ("nchw", "nhwc", "nhw", "flat")


@dataclass(frozen=True)
class AgainstConfig:
    """Names of the graph's inputs and output, None to find them by shape; `layout` of the luma input, None likewise.

    `input_scale` and `qindex_scale`: factors on raw code values and on the qindex before the graph sees them.
    Raises ToolkitError on an unknown layout or a factor that is not above 0.
    """

    luma: str | None = None
    qindex: str | None = None
    output: str | None = None
    layout: str | None = None
    input_scale: float = 1.0
    qindex_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout not in LAYOUTS:
            raise ToolkitError(f"Layout {self.layout!r}: expected one of {', '.join(LAYOUTS)}.")
        if not self.input_scale > 0 or not self.qindex_scale > 0:
            raise ToolkitError(f"Scales {self.input_scale}, {self.qindex_scale}: expected factors above 0.")
