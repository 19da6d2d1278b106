"""Options of `av1part parity` and their defaults. Light: imports neither torch nor onnxruntime."""

from dataclasses import dataclass

from export.compare.config import FRAME
from export.graph.profiles import PROFILES, PROVIDERS
from toolkit.data.format import HELD_OUT
from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class ParityConfig:
    """`limit`: blocks compared, drawn by `seed` evenly over class and qindex; None: LIMIT, or as many fewer as a large
    model affords. `batches`: sizes in which they run, but for those that such a model does not afford in one call.

    `providers` and `profiles`: those that must pass; without any the CPU must, and CUDA is tried. Raises ToolkitError
    on a split that is not held out, an unknown profile, or no block or batch size.
    """

    split: str = "test"
    limit: int | None = None
    seed: int = 0
    batches: tuple[int, ...] = (1, 2, 3, 7, 64, 1000, FRAME)
    providers: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    any_settings: bool = False

    def __post_init__(self) -> None:
        if self.split not in HELD_OUT:
            raise ToolkitError(
                f"Split {self.split!r} proves nothing: the model was trained on it. Expected {' or '.join(HELD_OUT)}."
            )
        if (self.limit is not None and self.limit < 1) or not self.batches or min(self.batches) < 1:
            raise ToolkitError(f"Limit {self.limit}, batches {self.batches}: expected at least one block and one size.")
        for name, values, known in (
            ("Provider", self.providers, PROVIDERS),
            ("Profile", self.profiles, PROFILES),
        ):
            for value in values:
                if value not in known:
                    raise ToolkitError(f"{name} {value!r}: expected one of {', '.join(known)}.")
