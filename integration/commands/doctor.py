"""`av1part doctor`."""

import json
from typing import TYPE_CHECKING

import click

from export.graph.vulkan import SOFTWARE, describe
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from export.proof.doctor import Examination, WebGpu


@click.command()
@click.option(
    "--install-webgpu", is_flag=True,
    help="First install ONNX Runtime's WebGPU provider, into a folder of its own beside the ONNX Runtime in use.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, install_webgpu: bool, as_json: bool) -> None:
    """Say which encoder is used, and what stands between this machine's GPU and a CUDA or WebGPU profile.

    Exits with 1 where a GPU is there but unusable.
    The WebGPU provider serves GPUs of any maker. Without a GPU it runs on a software device, which is named as such.
    """
    if install_webgpu:
        from export.graph.webgpu import install

        install()
    from export.proof.doctor import examine

    found, encoder = examine(), _encoder()
    click.echo(json.dumps({"encoder": encoder, **found}) if as_json else f"Encoder: {encoder}\n{_lines(found)}")
    if not found["ok"]:
        ctx.exit(1)


def _encoder() -> str:
    """Version of libaom in use and where it comes from, or what is missing."""
    from integration.codec.libaom_build import libraries

    try:
        found = libraries()
    except ToolkitError as error:
        return error.message
    return f"libaom {found.version}, {found.origin}"


def _lines(found: "Examination") -> str:
    libraries, driver = found["libraries"], found["driver"]
    runtimes = ", ".join(f"{name} {version}" for name, version in libraries["runtimes"].items()) or "no ONNX Runtime"
    lines = [
        f"PyTorch {libraries['torch'] or 'not installed'} (CUDA {libraries['torch_cuda'] or 'none'}, "
        f"cuDNN {libraries['torch_cudnn'] or 'none'}); {runtimes} (CUDA {libraries['ort_cuda'] or 'none'}, "
        f"cuDNN {libraries['ort_cudnn'] or 'none'})"
    ]
    if found["gpu"]:
        lines.append(f"Driver for CUDA up to {'.'.join(map(str, driver['cuda']))}: {', '.join(driver['devices'])}")
    lines += [f"  warning: {warning}" for warning in found["warnings"]]
    lines += [
        f"  {name}: a real run on the GPU {'FAILED' if p['error'] else 'ok'}" for name, p in found["probes"].items()
    ]
    lines += [f"PROBLEM: {problem}" for problem in found["problems"]]
    lines.append(_webgpu(found["webgpu"]))
    if found["gpu"] or found["webgpu"]["unusable"]:
        return "\n".join([*lines, "The GPU is usable." if found["ok"] else "The GPU is NOT usable."])
    through_webgpu = not found["webgpu"]["error"] and found["webgpu"]["device"].get("kind", SOFTWARE) != SOFTWARE
    return "\n".join([*lines, "no NVIDIA GPU here" if through_webgpu else "no GPU here"])


def _webgpu(found: "WebGpu") -> str:
    if not found["installed"]:
        return "WebGPU: not installed; `av1part doctor --install-webgpu` does it, beside the ONNX Runtime that is there"
    name = f"WebGPU: onnxruntime-webgpu {found['version']}, a real run"
    if found["error"]:
        seen = f" (found {found['device']['name']})" if "name" in found["device"] else ""
        return f"{name} FAILED{seen}: {found['error']}"
    return f"{name} ok, {describe(found['device'])}\n  float16: {_float16(found.get('float16', ''))}"


def _float16(error: str) -> str:
    """What WebGPU's device does in float16, by the error of a real run there."""
    if "requires f16" in error:
        return "not on this device, which has no shader-f16; WebGPU has no float16 profile"
    if error:
        return f"a real run FAILED: {error}"
    return "a real run ok; but WebGPU has no float16 profile, since nobody has measured its budget"
