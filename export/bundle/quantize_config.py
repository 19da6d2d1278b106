"""Options of `av1part quantize` and their defaults. Light: imports neither torch nor onnxruntime."""

from dataclasses import dataclass

from toolkit.errors import ToolkitError
from toolkit.option import option


@dataclass(frozen=True)
class QuantizeConfig:
    """`limit`: number of training blocks that set the int8 ranges, drawn by `seed`, even over class and qindex."""

    limit: int = option(512, "Training blocks that calibrate it.")
    seed: int = option(0, "Seed that draws the blocks.")

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ToolkitError(f"Limit {self.limit}: expected at least one block.")
