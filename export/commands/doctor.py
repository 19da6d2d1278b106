"""`av1part doctor`."""

import json
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what stands between this machine's GPU and a CUDA profile; exit 1 where a GPU is there but unusable."""
    from export.proof.doctor import examine

    found = examine()
    click.echo(json.dumps(found) if as_json else _lines(found))
    if not found["ok"]:
        ctx.exit(1)


def _lines(found: dict[str, Any]) -> str:
    libraries, driver = found["libraries"], found["driver"]
    runtimes = ", ".join(f"{name} {version}" for name, version in libraries["runtimes"].items()) or "no ONNX Runtime"
    lines = [
        f"PyTorch {libraries['torch']} (CUDA {libraries['torch_cuda'] or 'none'}, "
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
    verdict = "The GPU is usable." if found["ok"] else "The GPU is NOT usable."
    return "\n".join([*lines, verdict if found["gpu"] else "no GPU here"])
