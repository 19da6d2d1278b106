"""Reduction of a failure to a part of the graph, as small as can be, that still fails. Needs no PyTorch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.utils import Extractor

from export.graph.deployment import Deployment
from export.graph.runtime import open_deployed, open_session, running
from toolkit.errors import ToolkitError

Values = dict[str, NDArray[Any]]
Run = Callable[[bytes, Values], NDArray[Any]]
"""Opens a graph with one output in the way that fails, and runs it once."""


@dataclass(frozen=True)
class Way:
    """One way to run a graph: provider, its options and the library that brings it, or a deployment on the CPU."""

    provider: str = "cpu"
    options: Mapping[str, str] = field(default_factory=dict)
    deployed: Deployment | None = None
    library: str = ""

    def run(self, model: bytes, feed: Values) -> NDArray[Any]:
        """The graph's first output; ToolkitError where it cannot be opened or run in this way."""
        if self.deployed:
            session = open_deployed(model, self.deployed)
        else:
            session, _ = open_session(model, self.provider, None, self.options)
        with running():
            found: NDArray[Any] = session.run(None, feed)[0]
        return found


@dataclass(frozen=True)
class Part:
    """A part of a graph that fails: one output, whose largest `error` from `expected` (float64) is over `allowed`.

    `inputs`: what it was given, by name; `nodes`: their number; `error` is NaN where the output is not finite or has
    another shape.
    """

    model: bytes
    inputs: Values
    output: str
    expected: NDArray[np.float64]
    error: float
    allowed: float
    nodes: int


@dataclass(frozen=True)
class Search:
    """Parts of `proto` on the inputs `feed`, each judged by its output: `exact` values in float64, `allowed` errors.

    A value that `exact` does not have is neither an end of a part nor a place to cut. `run`: as of `Run`.
    """

    proto: ModelProto
    feed: Values
    exact: Mapping[str, NDArray[Any]]
    allowed: Mapping[str, float]
    run: Run

    @cached_property
    def _extractor(self) -> Extractor:
        return Extractor(onnx.shape_inference.infer_shapes(self.proto))

    def smallest(self) -> Part | None:
        """The smallest failing part that halving finds; None where the whole graph does not fail.

        First the end moves forward, then the start, then every value in between is tried as an input. A part counts
        only where it was seen to fail.
        """
        whole = self.fails(str(self.proto.graph.output[0].name))
        if whole is None:
            return None
        order = [name for node in self.proto.graph.node for name in node.output if name in self.exact]
        ends = [name for name in order if name in self.allowed][: order.index(whole.output) + 1]
        passes, fails = -1, ends.index(whole.output)
        found = whole
        while fails - passes > 1:
            middle = (passes + fails) // 2
            part = self.fails(ends[middle])
            passes, fails, found = (middle, fails, found) if part is None else (passes, middle, part)
        return self._later_start(found, order[: order.index(found.output)])

    def _later_start(self, found: Part, before: list[str]) -> Part:
        """The part with more of the values `before` its output as inputs, as many as can be."""
        end, most, too_many = found.output, 0, len(before) + 1
        middle = len(before)  # all of them: a single node
        while too_many - most > 1:
            part = self.fails(end, before[:middle])
            most, too_many, found = (most, middle, found) if part is None else (middle, too_many, part)
            middle = (most + too_many) // 2
        cuts = set(before[:most])
        for name in before[most:]:
            part = self.fails(end, {*cuts, name})
            if part is not None and part.nodes < found.nodes:
                found = part
                cuts.add(name)
        return found

    def fails(self, output: str, cuts: Iterable[str] = ()) -> Part | None:
        """The part from the values `cuts` and the graph's inputs to `output` where it fails; None where it does not."""
        inputs = self._inputs(output, set(cuts))
        try:
            proto = self._extractor.extract_model(list(inputs), [output])
        except Exception:  # onnx raises what it likes on a value whose type it cannot infer
            return None
        model: bytes = proto.SerializeToString()
        try:
            result = self.run(model, inputs)
        except ToolkitError:
            return None
        exact, allowed = np.asarray(self.exact[output], np.float64), self.allowed[output]
        error = float(np.abs(result - exact).max()) if result.shape == exact.shape else np.nan
        if error <= allowed:
            return None
        return Part(model, inputs, output, exact, error, allowed, len(proto.graph.node))

    def _inputs(self, output: str, cuts: set[str]) -> Values:
        """What the part takes, by name, floats as float32."""
        makers = {name: node for node in self.proto.graph.node for name in node.output}
        found: Values = {}
        seen, ahead = {output}, list(makers[output].input)
        while ahead:
            name = ahead.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.feed:
                found[name] = self.feed[name]
            elif name in cuts:
                value = np.asarray(self.exact[name])
                found[name] = value.astype(np.float32) if value.dtype == np.float64 else value
            elif name in makers:
                ahead += makers[name].input
        return found


def search(model: bytes, feed: Values, exact: Values, allowed: Mapping[str, float], way: Way) -> Part | None:
    """Result of `Search.smallest` of a graph that is run this way."""
    return Search(onnx.load_model_from_string(model), feed, exact, allowed, way.run).smallest()


def write_part(folder: Path, part: Part) -> None:
    """Write model.onnx, and case.npz with the inputs by name and what is `expected`, into the folder."""
    (folder / "model.onnx").write_bytes(part.model)
    arrays: dict[str, Any] = {**part.inputs, "expected": part.expected}
    np.savez_compressed(folder / "case.npz", **arrays)
