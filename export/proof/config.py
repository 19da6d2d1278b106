"""Options of `av1part parity` and `parity-foreign`. Light: imports neither torch nor onnxruntime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from export.compare.config import FRAME, LIMIT
from export.graph.profiles import OTHERS, PROFILES, PROVIDERS, Profile, of_other
from toolkit.data.splits import HELD_OUT
from toolkit.errors import ToolkitError
from toolkit.option import option

LAYOUTS = ("nchw", "nhwc", "nhw", "flat")


@dataclass(frozen=True)
class ParityConfig:
    """Blocks and profiles of a proof.

    `limit`: number of blocks, drawn by `seed`, even over class and qindex; None: LIMIT, or fewer for a large model.
    `batches`: batch sizes of the runs; a large model skips sizes that one call cannot afford. `providers`, `profiles`:
    must pass; without any the CPU must, and CUDA is tried. A provider beside PROVIDERS is asked for by ONNX Runtime's
    own name; `library` brings it, and `provider_options` are for it. Raises ToolkitError on a split that is not held
    out, an unknown profile, a library without such a provider, or no block or batch size.
    """

    split: str = option("test", "Held-out split: val or test.")
    limit: int | None = option(None, f"Blocks, even over class and qindex.  [default: {LIMIT}, fewer of a large model]")
    seed: int = option(0, "Seed that draws the blocks.")
    any_settings: bool = option(False, "Take data made with other encoder settings.", flags="--any-settings")
    batches: tuple[int, ...] = (1, 2, 3, 7, 64, 1000, FRAME)
    providers: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    library: Path | None = None
    provider_options: Mapping[str, str] = field(default_factory=dict)

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
                if value not in known and not (name == "Provider" and OTHERS.fullmatch(value)):
                    raise ToolkitError(f"{name} {value!r}: expected one of {', '.join(known)}.")
        if len(self.others) != 1 and (self.library or self.provider_options or self.others):
            raise ToolkitError(
                f"Providers {', '.join(self.providers) or 'none'}: expected exactly one of ONNX Runtime's own names, "
                "such as OpenVINOExecutionProvider, where a library or options of a provider are given."
            )
        if self.library and not self.library.is_file():
            raise ToolkitError(f"{self.library}: no such file. Expected the library of {self.others[0]}.")

    @property
    def others(self) -> tuple[str, ...]:
        """Providers that are asked for by ONNX Runtime's own names."""
        return tuple(name for name in self.providers if name not in PROVIDERS)

    def profile(self, name: str) -> Profile:
        """The profile of that name; of another provider with its library and options."""
        if name in PROFILES:
            return PROFILES[name]
        return of_other(name, str(self.library.resolve()) if self.library else "", self.provider_options)


@dataclass(frozen=True)
class ForeignConfig:
    """How to feed a graph of other making. A name or `layout` of None is found by shape.

    `luma`, `qindex`, `output`: names of the inputs and of the output; `layout`: of the luma input. `input_scale` and
    `qindex_scale`: factors on raw code values and on the qindex. Raises ToolkitError on an unknown layout or a factor
    that is not above 0.
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
