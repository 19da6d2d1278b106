"""ONNX Runtime sessions, proven to run on the provider that was asked for and never silently on another."""

import contextlib
import io
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.graph import plug_ins, webgpu
from export.graph.contract import Contract
from export.graph.deployment import Deployment
from export.graph.profiles import OTHERS
from toolkit.data.blockset import Luma, check_input
from toolkit.errors import ToolkitError, first_line
from toolkit.windows import Window

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
OPTIONS: dict[str, dict[str, str]] = {
    "cpu": {},
    "cuda": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
    "tensorrt": {},
    "webgpu": {},
}
"""Options of each provider, unless a profile has its own. cuDNN's EXHAUSTIVE search is not repeatable."""
MAX_BATCH = 1000
"""Most blocks in one call of a session; more are run in pieces."""
_VERBOSE, _FATAL_ONLY = 0, 4
_PLACED = re.compile(r"odes?(?:\(s\))? placed on \[(\w+)\]\. Number of nodes: (\d+)")
"""ONNX Runtime's line on the nodes of one provider, once a graph has its last form."""
_CHANGED = re.compile(r"GraphTransformer (\w+) modified: 1 ")
LEVELS = {"disabled": "DISABLE_ALL", "basic": "ENABLE_BASIC", "extended": "ENABLE_EXTENDED", "all": "ENABLE_ALL"}
_NAMES = {"cuda": "CUDA", "tensorrt": "TensorRT", "webgpu": "WebGPU"}
_DOCTOR = "`av1part doctor` says what is there; or use --provider cpu."
_NEEDS = {
    "cuda": "Expected an NVIDIA driver and the CUDA and cuDNN libraries of this build: "
    f"pip install 'onnxruntime-gpu[cuda,cudnn]'. {_DOCTOR}",
    "tensorrt": f"Expected an NVIDIA driver and the libraries of TensorRT, which onnxruntime-gpu lacks. {_DOCTOR}",
    "webgpu": "Expected a GPU with a driver for Vulkan, Direct3D 12 or Metal, on Linux with libvulkan1 (in software, "
    f"Debian's chromium brings a device), and a kernel there for every node. {_DOCTOR}",
}
Shapes = dict[str, list[int | str]]
"""Name and shape of each input or output; a string stands for any size."""


class ProviderUnavailable(ToolkitError):
    """Raised where the requested execution provider cannot run on this machine; the message names what is missing."""


class RuntimeModel:
    """An exported graph in an ONNX Runtime session on exactly one execution provider.

    `placement`: number of graph nodes by the provider that runs them, as ONNX Runtime itself reports it. `device`: what
    a session on WebGPU or a plug-in runs on, as of `webgpu.Session`; empty elsewhere.
    """

    def __init__(
        self,
        model: bytes,
        contract: Contract,
        provider: str = "cpu",
        threads: int | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open the graph. `threads`: within one operator; None takes ONNX Runtime's default, one per core.

        `options`: of the provider. Raises ProviderUnavailable where the provider is missing or would not run every
        node; ToolkitError for a file that ONNX Runtime cannot load, or whose inputs, outputs or metadata are not the
        contract's.
        """
        self.contract = contract
        self.provider = provider
        self._session, self.placement = open_session(model, provider, threads, options)
        other = {} if provider in PROVIDERS else plug_ins.describe(provider)
        self.device: dict[str, str] = getattr(self._session, "device", other)
        name = PROVIDERS.get(provider, provider)
        self.provider_options: dict[str, str] = self._session.get_provider_options().get(name, {})
        check_signature(self._session, contract.inputs(), contract.outputs(), contract.metadata())

    @property
    def window(self) -> Window:
        """Pixels that the graph takes for each node."""
        return self.contract.window

    def logits(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, classes) of raw luma code values (N, 1, S, S), uint8 or uint16, at qindex (N,) uint8.

        Raises ToolkitError on floats (scaled data), a wrong shape, and values outside the bit depth.
        """
        self._check(luma, qindex)
        result = np.empty((len(luma), len(self.contract.classes)), np.float32)
        for start in range(0, len(luma), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            result[part] = self._run(luma[part], qindex[part])
        return result

    def one_call(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits as of `logits`, in a single call of the session of any number of blocks."""
        self._check(luma, qindex)
        return self._run(luma, qindex)

    def _check(self, luma: Luma, qindex: NDArray[np.uint8]) -> None:
        check_input(luma, qindex, self.contract.bit_depth, self.contract.window)

    def _run(self, luma: Luma, qindex: NDArray[np.uint8]) -> NDArray[np.float32]:
        return run_session(self._session, ["logits"], luma, qindex)[0]


Feed = dict[str, NDArray[np.float32]]
"""Inputs of a graph by name."""


def feed(luma: Luma, qindex: NDArray[np.uint8]) -> Feed:
    """Inputs of a graph of ours by name, raw values as float32: luma (N, 1, S, S) and qindex (N, 1)."""
    return {"luma": luma.astype(np.float32), "qindex": qindex[:, None].astype(np.float32)}


def run_session(
    session: Any, names: list[str] | None, luma: Luma, qindex: NDArray[np.uint8]
) -> list[NDArray[np.float32]]:
    """Run a graph of ours in one call; returns the outputs of these names, all of them for None.

    Raises ToolkitError where ONNX Runtime cannot run it.
    """
    with running():
        outputs: list[NDArray[np.float32]] = session.run(names, feed(luma, qindex))
    return outputs


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Turn any error of ONNX Runtime while a graph runs into a ToolkitError."""
    try:
        yield
    except Exception as error:  # its errors have no base of their own
        raise ToolkitError(
            f"ONNX Runtime cannot run the model: {reason_of(error)}. Run fewer blocks at once, or export it again."
        ) from None


def open_session(
    model: bytes, provider: str, threads: int | None, options: Mapping[str, str] = MappingProxyType({})
) -> tuple[Any, dict[str, int]]:
    """Open a session on exactly this provider; returns it and its node placement. Errors as of RuntimeModel."""
    if provider not in PROVIDERS and not OTHERS.fullmatch(provider):
        raise ToolkitError(
            f"Provider {provider!r}: expected one of {', '.join(PROVIDERS)}, or a name of ONNX Runtime's."
        )
    if threads is not None and threads < 1:
        raise ToolkitError(f"{threads} threads: expected at least 1.")
    if provider == "webgpu":
        return _open_apart(model, threads, options)
    return open_here(model, provider, threads, options)


def open_here(
    model: bytes, provider: str, threads: int | None, options: Mapping[str, str]
) -> tuple[Any, dict[str, int]]:
    """Open a session as of `open_session` in this process, whose ONNX Runtime must have the provider."""
    own = {**OPTIONS.get(provider, {}), **options}
    session, _ = _open(model, provider, threads, own)
    if provider == "webgpu":
        # Its graph is laid out anew after it was assigned, and the session lists only nodes that this added.
        placement = {
            name: int(count) for name, count in _PLACED.findall(_open(model, provider, threads, own, _VERBOSE)[1])
        }
    else:
        placement = _placement(session)
    name = PROVIDERS.get(provider, provider)
    if set(placement) != {name}:
        raise ProviderUnavailable(f"Asked for {name} alone, but ONNX Runtime placed nodes as {placement}.")
    return session, placement


def _open_apart(model: bytes, threads: int | None, options: Mapping[str, str]) -> tuple[Any, dict[str, int]]:
    """Open a session on WebGPU in a process of its own, with the ONNX Runtime of `av1part doctor --install-webgpu`."""
    if not webgpu.installed() and PROVIDERS["webgpu"] not in ort.get_available_providers():
        raise ProviderUnavailable(
            "WebGPU was asked for and onnxruntime-webgpu is not installed. Expected the folder "
            f"{webgpu.runtime_folder()}, which `{webgpu.INSTALL}` makes; onnxruntime-gpu stays as it is."
        )
    try:
        session = webgpu.Session(model, threads, options)
    except webgpu.ProcessEnded as error:
        raise ProviderUnavailable(str(error)) from None
    return session, session.placement


def _open(
    model: bytes, provider: str, threads: int | None, provider_options: dict[str, str], severity: int = _FATAL_ONLY
) -> tuple[Any, str]:
    """A session, and what ONNX Runtime logged while it was opened on another provider than the CPU."""
    options = ort.SessionOptions()
    options.log_severity_level = severity  # errors are raised as well
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # Threads that spin while they wait burn the cores that the encoder runs on (docs/benchmarks-speed.md).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    if provider == "cpu":
        try:
            return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]), ""
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise ToolkitError(f"ONNX Runtime cannot load the model: {reason_of(error)}. Export it again.") from None
    # Without this entry a missing GPU means a run on the CPU and a line on stderr.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session, reason = None, ""
    with _captured_output() as log:
        try:
            if provider != "webgpu" and hasattr(ort, "preload_dlls"):
                ort.preload_dlls()
            if provider in PROVIDERS:
                session = ort.InferenceSession(model, options, providers=[(PROVIDERS[provider], provider_options)])
            else:
                session = plug_ins.open_on(model, options, provider, provider_options)
        except Exception as error:
            # Where a provider fails, ONNX Runtime's Python tries the CPU and raises what stands in that one's way.
            reason = reason_of(error.__cause__ or error)
    if session is not None:
        return session, "\n".join(log)
    raise ProviderUnavailable(
        f"{_NAMES.get(provider, provider)} was asked for and ONNX Runtime {ort.__version__} cannot run the model on "
        f"it: {_missing(log) or reason}. {_NEEDS.get(provider, plug_ins.NEEDS)}"
    )


def open_deployed(model: bytes, deployed: Deployment, without: str = "", severity: int = _FATAL_ONLY) -> Any:
    """A session on the CPU as it is deployed. `without`: name of an optimisation that is left out, if any."""
    options = ort.SessionOptions()
    options.log_severity_level = severity
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{LEVELS[deployed.level]}")
    options.intra_op_num_threads = deployed.threads
    options.enable_mem_pattern = deployed.memory_pattern
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(deployed.spinning)))
    left_out = [without] if without else None
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"], disabled_optimizers=left_out)
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ToolkitError(f"ONNX Runtime cannot load the model: {reason_of(error)}. Export it again.") from None


def optimisations(model: bytes, deployed: Deployment) -> list[str]:
    """Names of the optimisations that change the graph where it is deployed so, in their order."""
    with _captured_output() as log:
        open_deployed(model, deployed, severity=_VERBOSE)
    return list(dict.fromkeys(_CHANGED.findall("\n".join(log))))


def _placement(session: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for subgraph in session.get_provider_graph_assignment_info():
        counts[subgraph.ep_name] += len(subgraph.get_nodes())
    return dict(counts)


def check_signature(session: Any, inputs: Shapes, outputs: Shapes, metadata: dict[str, str]) -> None:
    """Raise ToolkitError unless the session's graph has these inputs and outputs, all float32, and this metadata."""
    for what, values, expected in (
        ("inputs", session.get_inputs(), inputs),
        ("outputs", session.get_outputs(), outputs),
    ):
        found = {v.name: (v.type, list(v.shape)) for v in values}
        wanted = {name: ("tensor(float)", shape) for name, shape in expected.items()}
        if found != wanted:
            raise ToolkitError(f"ONNX model: {what} are {found}, expected {wanted}. It is not this bundle's model.")
    written = session.get_modelmeta().custom_metadata_map
    if written != metadata:
        raise ToolkitError(f"ONNX model: metadata is {written}, expected {metadata}. It is another model.")


@contextlib.contextmanager
def _captured_output() -> Iterator[list[str]]:
    """Lines that C++ code writes to stderr and preload_dlls prints to stdout: the only place that names the cause."""
    lines: list[str] = []
    printed = io.StringIO()
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                with contextlib.redirect_stdout(printed):
                    yield lines
            finally:
                os.dup2(saved, 2)
                file.seek(0)
                text = file.read().decode(errors="replace")
                lines += [*printed.getvalue().splitlines(), *text.splitlines()]
    finally:
        os.close(saved)


def _missing(log: list[str]) -> str:
    """First line of ONNX Runtime's log that names something missing, without colours and source locations."""
    for word in ("cannot open shared object", "CUDA failure", "CUDA error", "Require cuDNN"):
        for line in log:
            if word in line:
                return line.replace("\x1b[m", "").rsplit("FAIL : ", 1)[-1].strip().rstrip(".")[:400]
    return ""


def reason_of(error: BaseException) -> str:
    """What ONNX Runtime found, without the code and the place in its own source that come first."""
    return first_line(error, 10_000).rsplit(" : ", 1)[-1].rsplit(" was false. ", 1)[-1].rstrip(".")[:300]
