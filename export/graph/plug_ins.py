"""Execution providers that a library brings to ONNX Runtime, or that its build has beside ours, by their own names."""

from collections.abc import Mapping
from typing import Any

import onnxruntime as ort

from toolkit.errors import ToolkitError, first_line

NEEDS = "Expected a kernel of this provider for every node, on a device that it finds."
_FIRST = ("GPU", "NPU", "CPU")
"""Kinds of devices in the order in which one is taken."""


def register(provider: str, library: str) -> None:
    """Load the library of a provider into this process; none where `library` is empty. ToolkitError where it cannot."""
    if not library:
        return
    try:
        ort.register_execution_provider_library(provider, library)
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ToolkitError(
            f"{library}: ONNX Runtime {ort.__version__} cannot load it as the library of {provider} "
            f"({first_line(error, 300)}). Expected a plug-in execution provider library, and all that it needs."
        ) from None


def open_on(model: bytes, options: Any, provider: str, provider_options: Mapping[str, str]) -> Any:
    """A session on the provider alone, whose library is registered or which this ONNX Runtime has.

    Raises ToolkitError where neither is so; the message lists the providers that are there.
    """
    found = _devices(provider)
    if found:
        options.add_provider_for_devices(found[:1], dict(provider_options))
        return ort.InferenceSession(model, options)
    if provider in ort.get_available_providers():
        return ort.InferenceSession(model, options, providers=[(provider, dict(provider_options))])
    names = sorted({*ort.get_available_providers(), *(device.ep_name for device in ort.get_ep_devices())})
    raise ToolkitError(f"there is no {provider} with a device here, only {', '.join(names)}")


def describe(provider: str) -> dict[str, str]:
    """Name, kind and driver of the device of a plug-in that a session takes; empty where none is known."""
    device = next(iter(_devices(provider)), None)
    if device is None:
        return {}
    about: dict[str, str] = device.ep_metadata
    kind = device.device.type.name
    name = about.get("FULL_DEVICE_NAME") or f"{device.device.vendor} {kind}".strip()
    return {"name": name, "kind": kind, "driver": f"{provider} {about.get('version', 'of no version')}"}


def _devices(provider: str) -> list[Any]:
    """Devices that the library of a provider found, the one that is taken first."""
    own = [device for device in ort.get_ep_devices() if device.ep_name == provider]
    return sorted(own, key=lambda device: _FIRST.index(device.device.type.name))
