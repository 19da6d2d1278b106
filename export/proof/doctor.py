"""Obstacles between this machine's GPU and a CUDA profile: driver, library majors, both runtimes, a real run."""

import ctypes
import functools
import mmap
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from export.graph import webgpu
from export.graph.process import run_module
from export.graph.vulkan import SOFTWARE
from export.proof.doctor_probe import Probe
from toolkit.errors import ToolkitError

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
_DRIVER_FILES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))
_CUDA_SUCCESS = 0
_CUDA_NO_DEVICE = 100


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver. `installed`: whether any part of one is there; `cuda`: newest CUDA (major, minor) it serves.

    `problem`: why it cannot be used; empty where it can.
    """

    installed: bool
    cuda: tuple[int, int] = (0, 0)
    devices: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Libraries:
    """Versions of the two frameworks and majors of their libraries; 0 where unknown or none."""

    runtimes: dict[str, str]
    torch: str
    torch_cuda: int
    torch_cudnn: int
    ort_cuda: int
    ort_cudnn: int


class WebGpu(TypedDict):
    """What WebGPU runs on here: entries as of `examine`; `unusable`: it finds a GPU on which a real run fails.

    `float16`: why float16 does not run there, empty where it does; no profile takes it.
    """

    installed: bool
    version: str
    device: dict[str, str]
    error: str
    placement: NotRequired[dict[str, int]]
    float16: NotRequired[str]
    unusable: bool


class Examination(TypedDict):
    """What `examine` found; `driver` and `libraries` as of Driver and Libraries."""

    ok: bool
    gpu: bool
    problems: list[str]
    warnings: list[str]
    driver: dict[str, Any]
    libraries: dict[str, Any]
    probes: dict[str, Probe]
    webgpu: WebGpu


def examine(
    driver: Callable[[], Driver] | None = None, libraries: Callable[[], Libraries] | None = None
) -> Examination:
    """Examine the machine. `ok` is false where an NVIDIA driver, or a GPU that WebGPU finds, is there but unusable.

    Each of `problems` says what was found, what is needed and what mends it. Without a driver there are no probes of
    CUDA. `webgpu`: whether its runtime is `installed`, the `device` that it finds, and the `error` of a real run.
    """
    found, versions = (driver or find_driver)(), (libraries or find_libraries)()
    problems = [found.problem] if found.problem else []
    general = conflicts(versions)
    probes = {}
    if found.installed:
        problems += general + mismatches(found, versions)
        if not found.problem:
            probes = {"torch": _probe("torch"), "onnxruntime": _probe("onnxruntime")}
            problems += [f"{name}: {result['error']}" for name, result in probes.items() if result["error"]]
    through_webgpu = find_webgpu()
    return {
        "ok": not (found.installed and problems) and not through_webgpu["unusable"],
        "gpu": found.installed,
        "problems": problems if found.installed else [],
        "warnings": [] if found.installed else general,
        "driver": asdict(found),
        "libraries": asdict(versions),
        "probes": probes,
        "webgpu": through_webgpu,
    }


def find_webgpu() -> WebGpu:
    """Look for a device of WebGPU's, and run on it."""
    found: WebGpu = {
        "installed": webgpu.installed(),
        "version": webgpu.version(),
        "device": {},
        "error": "",
        "unusable": False,
    }
    if found["installed"]:
        found = cast(WebGpu, {**found, **_probe("webgpu")})
    found["unusable"] = bool(found["error"]) and found["device"].get("kind", SOFTWARE) != SOFTWARE
    return found


def conflicts(versions: Libraries) -> list[str]:
    """Problems of the installed runtimes, with or without a GPU."""
    if not versions.runtimes:
        return ["No ONNX Runtime is installed. Run: pip install onnxruntime-gpu"]
    if len(versions.runtimes) > 1:
        return [
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files. Run: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        ]
    return []


def mismatches(driver: Driver, versions: Libraries) -> list[str]:
    """Problems of majors that do not fit each other; unknown ones are not compared."""
    found = []
    if "onnxruntime-gpu" not in versions.runtimes or not versions.ort_cuda:
        found.append("The installed ONNX Runtime has no CUDA provider. Run: pip install onnxruntime-gpu")
    if not versions.torch_cuda:
        found.append(f"PyTorch {versions.torch} is a build without CUDA. Install one with CUDA {versions.ort_cuda}.")
    serves = driver.cuda[0]
    for name, needs in (("PyTorch", versions.torch_cuda), ("ONNX Runtime", versions.ort_cuda)):
        if 0 < serves < needs:
            found.append(
                f"{name} is built for CUDA {needs}, the driver serves up to CUDA {'.'.join(map(str, driver.cuda))}. "
                f"Update the NVIDIA driver, or install a {name} for CUDA {serves}."
            )
    pairs = (("CUDA", versions.torch_cuda, versions.ort_cuda), ("cuDNN", versions.torch_cudnn, versions.ort_cudnn))
    for what, torch_major, ort_major in pairs:
        if torch_major and ort_major and torch_major != ort_major:
            found.append(
                f"PyTorch brings {what} {torch_major}, ONNX Runtime is built for {what} {ort_major}. Install a PyTorch "
                f"for {what} {ort_major}, or the libraries beside it: pip install 'onnxruntime-gpu[cuda,cudnn]'."
            )
    return found


def find_driver() -> Driver:
    """Ask the driver itself (libcuda), which loads no CUDA toolkit."""
    traces = any(file.exists() for file in _DRIVER_FILES)
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        problem = (
            "The NVIDIA driver's kernel part is there, but libcuda.so.1 is not loadable. Install the driver whole."
        )
        return Driver(traces, problem=problem if traces else "")
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    serves = version.value // 1000, version.value % 1000 // 10
    code = cuda.cuInit(0)
    if code == _CUDA_NO_DEVICE and not traces:
        return Driver(False, serves)  # the library alone, as in a container without a GPU
    if code == _CUDA_SUCCESS:
        code = cuda.cuDeviceGetCount(ctypes.byref(count))
    if code != _CUDA_SUCCESS or not count.value:
        problem = f"The NVIDIA driver answers with CUDA error {code} and {count.value} devices. Does nvidia-smi work?"
        return Driver(True, serves, problem=problem)
    return Driver(True, serves, tuple(_name(cuda, index) for index in range(count.value)))


def _name(cuda: ctypes.CDLL, index: int) -> str:
    device, text = ctypes.c_int(), ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(text, len(text), device)
    return text.value.decode(errors="replace")


def find_libraries() -> Libraries:
    """Find the installed packages and libraries, as they report themselves."""
    try:
        import torch
    except ModuleNotFoundError:  # the installation with masks alone has none
        torch = None  # type: ignore[assignment]
    runtimes = {}
    for name in _RUNTIMES:
        try:
            runtimes[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    cudnn = (torch.backends.cudnn.version() or 0) if torch else 0  # type: ignore[no-untyped-call]
    return Libraries(
        runtimes=runtimes,
        torch=str(torch.__version__) if torch else "",
        torch_cuda=int((torch.version.cuda or "0").split(".")[0]) if torch else 0,
        torch_cudnn=cudnn // 10000 if cudnn >= 90000 else cudnn // 1000,
        ort_cuda=_linked("libcudart"),
        ort_cudnn=_wanted("nvidia-cudnn"),
    )


def _wanted(package: str) -> int:
    """Major of a library that onnxruntime-gpu's extras require; it loads cuDNN only on use, so no link tells."""
    try:
        requires = metadata.requires("onnxruntime-gpu") or []
    except metadata.PackageNotFoundError:
        return 0
    found = [re.search(r"[~=>]=\s*(\d+)", line) for line in requires if line.startswith(package)]
    return int(found[0][1]) if found and found[0] else 0


@functools.cache
def _linked(library: str) -> int:
    """Major of a library that ONNX Runtime's CUDA provider is linked to; 0 without such a provider."""
    spec = util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return 0
    provider = Path(spec.origin).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if not provider.is_file():
        return 0
    with provider.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = re.search(library.encode() + rb"\.so\.(\d+)", content)
        return int(found[1]) if found else 0


def _probe(what: str) -> Probe:
    """Run a real product on the GPU in a process of its own; `error` is empty where it is right."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "probe").write_text(what)
        try:
            answer: Probe = run_module("export.proof.doctor_probe", folder, {})
        except ToolkitError as error:
            return {"error": error.message}
    return answer


def gpu_versions() -> dict[str, str]:
    """Versions of the GPU, its driver and the CUDA libraries, for a report."""
    driver, libraries = find_driver(), find_libraries()
    return {
        "gpu": ", ".join(driver.devices),
        "driver_cuda": ".".join(map(str, driver.cuda)),
        "torch_cuda": str(libraries.torch_cuda),
        "onnxruntime_cuda": str(libraries.ort_cuda),
        "cudnn": str(libraries.ort_cudnn),
    }
