"""Vulkan devices of this machine, and a software one where there is no hardware. Linux only; imports nothing heavy."""

import ctypes
import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

CHOICES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
"""Environment variables, the newer one first, in which a user or `choose_software` names the drivers to load."""
SOFTWARE = "software"
"""Kind of a device whose work the CPU does."""
SWIFTSHADER = (
    Path("/usr/lib/chromium/libvk_swiftshader.so"),
    Path("/usr/lib/chromium-browser/libvk_swiftshader.so"),
    Path("/opt/google/chrome/libvk_swiftshader.so"),
)
"""SwiftShader, a Vulkan device in software, where browsers install it."""
_KINDS = {1: "integrated GPU", 2: "discrete GPU", 3: "virtual GPU", 4: SOFTWARE}
_PREFERRED = ("discrete GPU", "integrated GPU", "virtual GPU", "other", SOFTWARE)
"""Order in which the WebGPU provider takes devices: it asks for high performance."""
_INSTANCE_INFO, _APPLICATION_INFO, _PROPERTIES_2, _DRIVER_PROPERTIES = 1, 0, 1000059001, 1000196000
_VERSION_1_2 = (1 << 22) | (2 << 12)
_PROPERTIES_BYTES = 824


@dataclass(frozen=True)
class Device:
    """A Vulkan device. `kind`: integrated, discrete or virtual GPU, software or other; `driver`: name and version."""

    name: str
    kind: str
    driver: str

    @property
    def software(self) -> bool:
        """Whether the CPU does the work: then it is no GPU, whatever provider runs on it."""
        return self.kind == SOFTWARE


class _Application(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p), ("name", ctypes.c_char_p), ("version", ctypes.c_uint32),
        ("engine", ctypes.c_char_p), ("engine_version", ctypes.c_uint32), ("api", ctypes.c_uint32),
    )  # fmt: skip


class _Instance(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p), ("flags", ctypes.c_uint32), ("application", ctypes.c_void_p),
        ("layers", ctypes.c_uint32), ("layer_names", ctypes.c_void_p),
        ("extensions", ctypes.c_uint32), ("extension_names", ctypes.c_void_p),
    )  # fmt: skip


class _Driver(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p), ("id", ctypes.c_int),
        ("name", ctypes.c_char * 256), ("info", ctypes.c_char * 256), ("conformance", ctypes.c_uint8 * 4),
    )  # fmt: skip


class _Properties(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p),
        ("api", ctypes.c_uint32), ("driver_version", ctypes.c_uint32), ("vendor", ctypes.c_uint32),
        ("device", ctypes.c_uint32), ("kind", ctypes.c_uint32), ("name", ctypes.c_char * 256),
        ("rest", ctypes.c_uint8 * (_PROPERTIES_BYTES - 276)),
    )  # fmt: skip


def devices() -> list[Device]:
    """Devices that the drivers of this process's environment bring, the one that WebGPU takes first.

    Empty without a Vulkan loader or driver, and outside Linux, where WebGPU does not use Vulkan. Loads the drivers into
    this process.
    """
    if sys.platform != "linux":
        return []
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return []
    application = _Application(_APPLICATION_INFO, None, b"av1part", 0, b"av1part", 0, _VERSION_1_2)
    info = _Instance(_INSTANCE_INFO, None, 0, ctypes.addressof(application), 0, None, 0, None)
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) != 0:
        return []
    try:
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
        handles = (ctypes.c_void_p * count.value)()
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        found = [_device(vulkan, handle) for handle in handles[: count.value]]
    finally:
        vulkan.vkDestroyInstance(instance, None)
    return sorted(found, key=lambda device: _PREFERRED.index(device.kind))


def _device(vulkan: ctypes.CDLL, handle: int | None) -> Device:
    driver = _Driver(_DRIVER_PROPERTIES)
    properties = _Properties(_PROPERTIES_2, ctypes.addressof(driver))
    vulkan.vkGetPhysicalDeviceProperties2(ctypes.c_void_p(handle), ctypes.byref(properties))
    number = properties.driver_version
    plain = f"{number >> 22}.{number >> 12 & 0x3FF}.{number & 0xFFF}"
    version = f"{driver.name.decode(errors='replace')} {driver.info.decode(errors='replace') or plain}"
    return Device(properties.name.decode(errors="replace"), _KINDS.get(properties.kind, "other"), version.strip())


def identified(found: Mapping[str, str]) -> bool:
    """Whether a result's `gpu` is one device of WebGPU or a plug-in, which `describe` takes, and no CUDA system."""
    return "kind" in found or "onnxruntime_webgpu" in found


def describe(device: Mapping[str, str]) -> str:
    """What a report says of the device that a run on WebGPU or a plug-in had: a software one is never called a GPU.

    `device`: the entries of a `Device`, without them where it is not known.
    """
    if "kind" not in device:
        return "on a device that was not identified: only Vulkan's are"
    text = f"{device['name']}, {device['kind']}, {device['driver']}"
    return f"GPU provider on a software device: {text}" if device["kind"] == SOFTWARE else f"on {text}"


def choose_software(folder: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Name SwiftShader in the environment where no driver brings a GPU, and neither variable is set by the user.

    Writes the loader's description of it into `folder`, which must outlive the devices.
    """
    if any(name in environment for name in CHOICES) or any(not device.software for device in devices()):
        return
    library = next((file for file in SWIFTSHADER if file.is_file()), None)
    if library is None:
        return
    description: Mapping[str, object] = {
        "file_format_version": "1.0.0",
        "ICD": {"library_path": str(library), "api_version": "1.0.5"},
    }
    file = folder / "swiftshader.json"
    file.write_text(json.dumps(description))
    environment.update(dict.fromkeys(CHOICES, str(file)))
