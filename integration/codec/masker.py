"""Masks of frames, made in C by networks and a policy: the engine that decides for every encode."""

import ctypes
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from integration.codec import native
from integration.codec.config import FrameFormat
from integration.codec.libaom_build import libraries
from integration.codec.masks import Mask
from toolkit.data.blockset import Luma, check_luma, luma_dtype
from toolkit.errors import ToolkitError
from toolkit.partition import STAGES, stage_of

Answer = Callable[[Luma, NDArray[np.uint8]], NDArray[np.float32]]
"""Function from raw luma code values (N, 1, S, S) and qindex (N,) to logits (N, classes)."""


class Network(NamedTuple):
    """A stage's network, which sees `context` pixels around a node: an ONNX graph that C runs, or a function."""

    context: int
    runs: bytes | Answer


class Masker:
    """Pipelines by node size, asked about a frame together; several threads may ask at once, without Python's lock.

    C cuts the windows, runs the networks on the CPU, or asks the functions that stand for them, and applies the
    policies. Raises ToolkitError where libaom with the hook is not built.
    """

    def __init__(self, bit_depth: int) -> None:
        self.bit_depth = bit_depth
        self._library = native.load(libraries().hook)
        self._handle = ctypes.c_void_p()
        self._nodes: list[int] = []
        self._kept: list[Any] = []  # what C calls has to live as long as it
        self._thread = threading.local()
        status = self._library.av1part_masker_open(ctypes.byref(self._handle))
        if status:
            raise ToolkitError(f"Masks: {native.explain(self._library, status, None)}.")
        weakref.finalize(self, self._library.av1part_masker_close, self._handle)

    def add(
        self,
        node: int,
        ranges: Sequence[tuple[int, Sequence[float]]],
        networks: Mapping[str, Network],
        threads: int | None = None,
    ) -> None:
        """Add a pipeline for nodes of that size, before any thread asks.

        `ranges`: last qindex of each range, rising to 255, with a policy's thresholds in their order. `networks`: by
        stage. `threads`: of ONNX Runtime in one network, None for one a core. Raises ToolkitError on networks that
        cannot be opened, and on anything else that C refuses.
        """
        runtime = onnx_runtime()
        answers = {s: network for s, network in networks.items() if not isinstance(network.runs, bytes)}
        config = native.PipelineConfig(
            struct_size=ctypes.sizeof(native.PipelineConfig),
            node_size=node,
            bit_depth=self.bit_depth,
            threads=threads or 0,
            ranges=len(ranges),
            to_qindex=(ctypes.c_int32 * len(ranges))(*(last for last, _ in ranges)),
            thresholds=_doubles([value for _, thresholds in ranges for value in thresholds]),
            networks=(native.Network * len(STAGES))(*(_native(networks.get(stage)) for stage in STAGES)),
            runtime=str(runtime).encode() if runtime else None,
            ask=native.AskCallback(self._asker(node, answers) if answers else 0),
        )
        detail = ctypes.create_string_buffer(256)
        status = self._library.av1part_masker_add(self._handle, ctypes.byref(config), detail, len(detail))
        self._check(status, detail)
        self._kept.append(config)
        self._nodes = sorted({*self._nodes, node}, reverse=True)

    def masks(self, luma: Luma, qindex: int) -> dict[int, Mask]:
        """Masks of a frame by node size, the largest first; luma (H, W) holds raw code values.

        Nodes cut by the frame's edge are 0, which means unrestricted, and so are nodes inside a larger one that may not
        be split: no network is asked about them. Raises ToolkitError on luma of another dtype or bit depth, on a qindex
        out of 0 to 255, and where a network fails; what a function raises that stands for one, as it is.
        """
        check_luma(luma, self.bit_depth, "Frame")
        if luma.ndim != 2:
            raise ToolkitError(f"Frame: luma has shape {luma.shape}, expected (height, width).")
        if not 0 <= qindex <= 255:
            raise ToolkitError(f"Frame: qindex {qindex}, expected 0 to 255.")
        height, width = luma.shape
        pixels = np.ascontiguousarray(luma)
        found = {node: np.zeros(grid, np.uint16) for node, grid in FrameFormat(width, height).grids.items()}
        source = native.Source(pixels.ctypes.data, width, width, height, self.bit_depth, qindex, 1, 0)
        entries = native.masks_of(found)
        detail = ctypes.create_string_buffer(256)
        self._thread.error = None
        status = self._library.av1part_masker_masks(self._handle, ctypes.byref(source), entries, detail, len(detail))
        if self._thread.error is not None:
            raise self._thread.error
        self._check(status, detail)
        return {node: found[node] for node in self._nodes}

    def _check(self, status: int, detail: Any) -> None:
        if status:
            raise ToolkitError(f"Masks: {native.explain(self._library, status, detail.value)}.")

    def _asker(self, node: int, networks: Mapping[str, Network]) -> Callable[..., int]:
        """Callback for C that asks these functions; no exception may leave it."""

        def ask(user: Any, stage: int, luma: Any, qindex: Any, count: int, logits: Any) -> int:
            try:
                name = list(STAGES)[stage]
                network, side = networks[name], node + 2 * networks[name].context
                windows = np.ctypeslib.as_array(luma, (count, 1, side, side)).astype(luma_dtype(self.bit_depth))
                at = np.ctypeslib.as_array(qindex, (count,)).astype(np.uint8)
                assert not isinstance(network.runs, bytes)
                target = np.ctypeslib.as_array(logits, (count, len(stage_of(name, node).classes)))
                target[:] = network.runs(windows, at)
            except BaseException as error:  # raised again where the masks were asked for
                self._thread.error = error
                return 1
            return 0

        return ask


def onnx_runtime() -> Path | None:
    """ONNX Runtime's C library of the Python package that is installed, None where there is none."""
    package = find_spec("onnxruntime")
    if package is None or package.origin is None:
        return None
    return next(iter(sorted((Path(package.origin).parent / "capi").glob("libonnxruntime.so*"))), None)


def _native(network: Network | None) -> native.Network:
    if network is None:
        return native.Network()
    graph = network.runs if isinstance(network.runs, bytes) else None
    return native.Network(1, network.context, graph, len(graph or b""))


def _doubles(values: Sequence[float]) -> Any:
    return (ctypes.c_double * len(values))(*values)
