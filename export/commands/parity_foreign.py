"""`av1part parity-foreign`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.proof.config import LAYOUTS, ForeignConfig, ParityConfig
from toolkit.cli.options import config_options, factor
from toolkit.folders import BLOCKSET, check_file, check_folder

if TYPE_CHECKING:
    from export.proof.foreign_proof import ForeignReport

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("model", metavar="MODEL.onnx", type=_PATH)
@click.argument("checkpoint", type=_PATH)
@click.argument("data", type=_PATH)
@click.option("--luma-input", help="Name of the luma input, if its shape does not tell.")
@click.option("--qindex-input", help="Name of the qindex input, if its shape does not tell.")
@click.option("--output-name", help="Name of the output that holds the logits, if its shape does not tell.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Layout of the luma input, if its shape does not tell.")
@click.option("--input-scale", callback=factor, default="1", help="Factor on luma, as in 1/255.  [default: raw]")
@click.option("--qindex-scale", callback=factor, default="1", help="Factor on the qindex, as in 1/255.  [default: raw]")
@click.option("-o", "--output", type=_PATH, help="Write the report there (JSON); without it none is written.")
@config_options(ParityConfig, only=("split", "limit", "seed", "any_settings"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def parity_foreign(
    ctx: click.Context, /, model: Path, checkpoint: Path, data: Path, luma_input: str | None, qindex_input: str | None,
    output_name: str | None, layout: str | None, input_scale: float, qindex_scale: float, output: Path | None,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Prove on held-out blocks of DATA that an ONNX file of other making gives CHECKPOINT's logits and decisions.

    Runs in float32 on the CPU. Exit 1 where it fails.
    """
    check_file(model, "a graph; a folder is no ONNX file")
    check_file(checkpoint, "a checkpoint file (.pt)")
    check_folder(data, BLOCKSET)
    from export.proof.foreign_proof import prove_foreign, write_report
    from toolkit.cli.progress import shown

    graph = ForeignConfig(luma_input, qindex_input, output_name, layout, input_scale, qindex_scale)
    with shown():
        result = prove_foreign(model, checkpoint, data, ParityConfig(**options), graph)
    if output:
        write_report(output, result)
    click.echo(json.dumps(result) if as_json else _lines(result))
    if not result["passed"]:
        ctx.exit(1)


def _lines(result: "ForeignReport") -> str:
    luma, qindex = result["inputs"]["luma"], result["inputs"]["qindex"]
    lines = [
        f"{result['blocks']} blocks of the {result['split']} split, luma into {luma['name']} ({luma['layout']}, times "
        f"{luma['scale']:.6g}), qindex into {qindex['name'] if qindex else 'nothing'}, logits from {result['output']}",
        f"  cpu: {result['status']}, {result['comparisons']} logits, RMS error {result['rms']:.3g} (budget "
        f"{result['rms_budget']:.3g}), {result['ratio']:.2f} times PyTorch float32's, largest {result['max']:.3g} "
        f"(budget {result['max_budget']:.3g}), {result['flips']} flips, near-ties {result['near_tie_share']:.2%}",
        *(f"    {text}" for text in (result["reason"], result["hint"]) if text),
    ]
    return "\n".join([*lines, "PASSED" if result["passed"] else "NOT PASSED"])
