"""ONNX Runtime's WebGPU provider: where it is installed, and its sessions, each in a process of its own.

Its package, onnxruntime-webgpu, holds a module of the same name as onnxruntime-gpu. So it lies in a folder of its own,
which only these processes see, and neither can break the other.
"""

import json
import math
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.graph.process import TIMEOUT, environment
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, cache_folder, one_at_a_time
from toolkit.processes import charge_apart

LOCK = files("export") / "graph" / "webgpu.lock"
"""Requirements file of the one version that is installed, with the hashes of its files."""
INSTALL = "av1part doctor --install-webgpu"
"""Command that installs it."""

Message = tuple[dict[str, Any], list[NDArray[Any]]]
"""A line of JSON, and the arrays that came with it."""


class ProcessEnded(Exception):
    """Raised where a session's process ended or answered nothing sensible; the message says how."""


class Value(NamedTuple):
    """An input or output of a graph, as ONNX Runtime describes it."""

    name: str
    type: str
    shape: list[int | str]


class Meta(NamedTuple):
    """A graph's own metadata."""

    custom_metadata_map: dict[str, str]


def version() -> str:
    """Version that the lock file names."""
    return LOCK.read_text().split("==")[1].split()[0]


def runtime_folder() -> Path:
    """Folder of this version for this Python, there or not."""
    return cache_folder() / f"onnxruntime-webgpu-{version()}-{sys.implementation.cache_tag}"


def installed() -> bool:
    """Whether the folder is there; it is put in place whole."""
    return runtime_folder().is_dir()


def install() -> Path:
    """Install the locked version into its folder, which is returned; ToolkitError where pip cannot."""
    target = runtime_folder()
    with one_at_a_time(target.with_name(f"{target.name}.lock"), None):
        if not installed():
            _install_into(target)
    return target


def _install_into(target: Path) -> None:
    with atomic_folder(target) as folder, tempfile.TemporaryDirectory() as beside:
        lock = Path(beside) / "webgpu.lock"
        lock.write_text(LOCK.read_text())
        words = [*("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")]
        words += ["--disable-pip-version-check", "--target", str(folder), "--requirement", str(lock)]
        run = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            found = next((line for line in run.stderr.splitlines() if "ERROR" in line), run.stderr.strip()[-300:])
            raise ToolkitError(
                f"pip cannot install onnxruntime-webgpu {version()} for this Python and system: {found[:300]}. It has "
                "wheels for Linux on x86-64, Windows and macOS; a pip and a connection to your registry are needed."
            )


class Session:
    """A session on the WebGPU provider alone, in a process of its own; answers as ONNX Runtime's own session does.

    `placement`: number of nodes by provider; `device`: what it runs on, `name`, `kind` and `driver` of a Vulkan device,
    empty where it is not known. The CPU time of its runs is charged to this process (`spent_apart`).
    """

    def __init__(self, model: bytes, threads: int | None, options: Mapping[str, str]) -> None:
        """Start the process and open the graph; ProcessEnded with ONNX Runtime's reason where it cannot."""
        self._lock = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "export.graph.webgpu_worker"],
            env=environment({}, runtime_folder() if installed() else None),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self.close = weakref.finalize(self, _end, self._process, self._errors)
        opened, _ = self._ask({"threads": threads, "options": dict(options)}, [np.frombuffer(model, np.uint8)])
        self.placement: dict[str, int] = opened["placement"]
        self.device: dict[str, str] = opened["device"]
        self._opened = opened

    def run(self, names: list[str] | None, feed: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Outputs of these names, all of them for None; ProcessEnded with a reason where there are none."""
        answer, outputs = self._ask({"names": names, "feed": list(feed)}, list(feed.values()))
        charge_apart(float(answer["cpu_seconds"]))
        return outputs

    def get_inputs(self) -> list[Value]:
        return [Value(*value) for value in self._opened["inputs"]]

    def get_outputs(self) -> list[Value]:
        return [Value(*value) for value in self._opened["outputs"]]

    def get_modelmeta(self) -> Meta:
        return Meta(self._opened["metadata"])

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        options: dict[str, dict[str, str]] = self._opened["provider_options"]
        return options

    def _ask(self, request: Mapping[str, Any], arrays: list[NDArray[Any]]) -> Message:
        """One request and its answer. A process that is silent for too long is ended."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(TIMEOUT, process.kill)
        watch.daemon = True
        with self._lock:
            watch.start()
            try:
                send(process.stdin, request, arrays)
                answer, found = receive(process.stdout)
            except (OSError, ValueError, EOFError):
                raise ProcessEnded(self._last_words()) from None
            finally:
                watch.cancel()
        if "error" in answer:
            raise ProcessEnded(answer["error"])
        return answer, found

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
        return f"the process with the WebGPU device ended with {code} ({lines[-1][:300]})"


def _end(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    """End a session's process, which ends by itself where nobody is left to ask it."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # what could not be sent to a process that ended
                continue
    process.kill()
    process.wait()
    errors.close()


def send(stream: IO[bytes], message: Mapping[str, Any], arrays: list[NDArray[Any]]) -> None:
    """Write a message, a line of JSON with the arrays' types and shapes, and after it the arrays' bytes."""
    kinds = [(array.dtype.str, array.shape) for array in arrays]
    stream.write(json.dumps({**message, "arrays": kinds}).encode() + b"\n")
    for array in arrays:
        stream.write(array.tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> Message:
    """Read what `send` wrote; EOFError where the other side has ended."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message = json.loads(line)
    arrays = []
    for kind, shape in message["arrays"]:
        size = np.dtype(kind).itemsize * math.prod(shape)
        data = stream.read(size)
        if len(data) != size:
            raise EOFError
        arrays.append(np.frombuffer(data, kind).reshape(shape))
    return message, arrays
