"""Options of `av1part quantize` and their defaults. Light: imports neither torch nor onnxruntime."""

from dataclasses import dataclass

from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class QuantizeConfig:
    """`limit`: number of training blocks that set the int8 ranges, drawn by `seed`, even over class and qindex."""

    limit: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ToolkitError(f"Limit {self.limit}: expected at least one block.")
