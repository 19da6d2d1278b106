"""`av1part parity`."""

import json
from pathlib import Path
from typing import Any

import click

from export.config import ParityConfig

_DEFAULT = ParityConfig()


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--split", default=_DEFAULT.split, show_default=True, help="Held-out split: val or test.")
@click.option(
    "--provider", "providers", multiple=True, type=click.Choice(["cpu", "cuda"]),
    help="Must pass; repeatable. Without it the CPU must, and CUDA is tried.",
)  # fmt: skip
@click.option(
    "--limit", type=int, default=_DEFAULT.limit, show_default=True, help="Blocks, even over class and qindex."
)
@click.option("--seed", type=int, default=_DEFAULT.seed, show_default=True, help="Of the draw.")
@click.option("--any-settings", is_flag=True, help="Take data made with other encoder settings.")
@click.option("--selftest", is_flag=True, help="Plant faults in copies of the graph instead; pass if all are caught.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def parity(ctx: click.Context, /, bundle: Path, data: Path, selftest: bool, as_json: bool, **options: Any) -> None:
    """Prove on held-out blocks of DATA that ONNX Runtime gives the PyTorch model's logits and decisions.

    Writes parity.json and parity.md into BUNDLE. Exit 1 where a provider fails, or was asked for and is not there.
    """
    from export.parity import prove
    from export.selftest import selftest as plant_faults

    config = ParityConfig(**options)
    result = plant_faults(bundle, data, config) if selftest else prove(bundle, data, config)
    click.echo(json.dumps(result) if as_json else _lines(result))
    if not result["passed"]:
        ctx.exit(1)


def _lines(result: dict[str, Any]) -> str:
    lines = [f"{result['blocks']} blocks of the {result['split']} split"]
    for name, r in result.get("providers", {}).items():
        lines.append(f"  {name}: {r['status']}")
        if r["comparisons"]:
            lines[-1] += (
                f", {r['comparisons']} logits, RMS error {r['rms']:.3g} (budget {r['rms_budget']:.3g}), "
                f"{r['ratio']:.2f} times PyTorch float32's, largest {r['max']:.3g} (budget {r['max_budget']:.3g}), "
                f"{r['flips']} flips, near-ties {r['near_tie_share']:.2%}"
            )
        lines += [f"    {r['reason']}"] if r["reason"] else []
    for name, fault in result.get("faults", {}).items():
        lines.append(f"  {name}: {fault['status']}. {fault['reason']}")
    return "\n".join([*lines, "PASSED" if result["passed"] else "NOT PASSED"])
