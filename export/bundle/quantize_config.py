"""Options of `av1part quantize` and their defaults. Light: imports neither torch nor onnxruntime."""

from dataclasses import dataclass

from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class QuantizeConfig:
    """`limit`: training blocks that set the ranges, drawn by `seed` evenly over class and qindex."""

    limit: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ToolkitError(f"Limit {self.limit}: expected at least one block.")
