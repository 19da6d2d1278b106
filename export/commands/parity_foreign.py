"""`av1part parity-foreign`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from export.commands.providers import PROVIDER, pairs
from export.graph.vulkan import describe, identified
from export.proof.config import LAYOUTS, ForeignConfig, ParityConfig
from toolkit.cli.options import config_options, factor
from toolkit.files import atomic_write_json
from toolkit.folders import BLOCKSET, check_file, check_folder

if TYPE_CHECKING:
    from export.proof.foreign_proof import ForeignReport

_PATH = click.Path(path_type=Path)
BATCHES = (1, 2, 3, 7, 64, 1000)
_ALONE = "MODULE:FUNCTION alone."
_OF_MODULES = {"decisions", "provider", "library", "provider_options"}
_OF_BOTH = {"model", "reference", "data", "output", "as_json"}


@click.command()
@click.argument("model", metavar="MODEL.onnx", type=_PATH)
@click.argument("reference", metavar="CHECKPOINT|MODULE:FUNCTION")
@click.argument("data", metavar="DATA|INPUTS.npz", type=_PATH)
@click.option("--luma-input", help="Name of the luma input, if its shape does not tell.")
@click.option("--qindex-input", help="Name of the qindex input, if its shape does not tell.")
@click.option("--output-name", help="Name of the output that holds the logits, if its shape does not tell.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Layout of the luma input, if its shape does not tell.")
@click.option("--input-scale", callback=factor, default="1", help="Factor on luma, as in 1/255.  [default: raw]")
@click.option("--qindex-scale", callback=factor, default="1", help="Factor on the qindex, as in 1/255.  [default: raw]")
@click.option("-o", "--output", type=_PATH, help="Write the report there (JSON); without it none is written.")
@config_options(ParityConfig, only=("split", "limit", "seed", "any_settings"))
@click.option("--decisions", multiple=True, metavar="OUTPUT", help=f"Output of logits; repeatable. {_ALONE}")
@click.option("--provider", type=PROVIDER, help=f"As of `parity`. {_ALONE}  [default: cpu]")
@click.option("--provider-library", "library", type=_PATH, help=f"As of `parity`. {_ALONE}")
@click.option(
    "--provider-option", "provider_options", multiple=True, callback=pairs, metavar="KEY=VALUE",
    help=f"As of `parity`. {_ALONE}",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def parity_foreign(
    ctx: click.Context, /, model: Path, reference: str, data: Path, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Prove that an ONNX file of other making gives the outputs of what it was made from.

    \b
    av1part parity-foreign MODEL.onnx CHECKPOINT DATA
    av1part parity-foreign MODEL.onnx MODULE:FUNCTION INPUTS.npz

    The first compares logits and decisions with CHECKPOINT's on held-out blocks of DATA, in float32 on the CPU. The
    second takes any graph, of several inputs and outputs: FUNCTION of MODULE, called without arguments, returns the
    torch module or exported program, and INPUTS.npz holds an array for each input of the graph. Exit 1 where it fails.
    """
    check_file(model, "a graph; a folder is no ONNX file")
    of_module = ":" in reference and not Path(reference).exists()
    strange = [name for name in ctx.params if (name in _OF_MODULES) != of_module and name not in _OF_BOTH]
    for name in strange:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            option = next(param.opts[0] for param in ctx.command.params if param.name == name)
            other = "a checkpoint" if of_module else "MODULE:FUNCTION"
            raise click.UsageError(f"{option} goes with {other} alone.")
    given = {name: value for name, value in options.items() if name not in strange}
    work = _against_module if of_module else _against_checkpoint
    result, lines = work(model, reference, data, given)
    if output:
        atomic_write_json(output, result)
    click.echo(json.dumps(result) if as_json else "\n".join([*lines, "PASSED" if result["passed"] else "NOT PASSED"]))
    if not result["passed"]:
        ctx.exit(1)


def _against_checkpoint(
    model: Path, reference: str, data: Path, options: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The report, and what is printed of it."""
    checkpoint = Path(reference)
    check_file(checkpoint, "a checkpoint file (.pt), or MODULE:FUNCTION")
    check_folder(data, BLOCKSET)
    from export.proof.foreign_proof import prove_foreign
    from toolkit.cli.progress import shown

    names = ("luma_input", "qindex_input", "output_name", "layout", "input_scale", "qindex_scale")
    graph = ForeignConfig(*(options.pop(name) for name in names))
    with shown():
        result = prove_foreign(model, checkpoint, data, ParityConfig(**options), graph)
    return dict(result), _lines(result)


def _against_module(
    model: Path, reference: str, data: Path, options: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The report, and what is printed of it."""
    from export.proof.module_proof import prove_module
    from toolkit.cli.progress import shown

    decisions, provider = options.pop("decisions"), options.pop("provider")
    with shown():
        config = ParityConfig(providers=(provider,) if provider else (), batches=BATCHES, **options)
        result = prove_module(model, reference, data, config, decisions)
    lines = [f"{result['rows']} rows, {result['profile']}: {result['status']}"]
    for name, r in result["outputs"].items():
        flips = f", {r['flips']} flips, near-ties {r['near_tie_share']:.2%}" if name in decisions else ""
        lines.append(
            f"  {name}: {r['status']}, {r['comparisons']} numbers, RMS error {r['rms']:.3g} (budget "
            f"{r['rms_budget']:.3g}), {r['ratio']:.2f} times PyTorch float32's, largest {r['max']:.3g} (budget "
            f"{r['max_budget']:.3g}){flips}"
        )
    lines += [f"    {result['reason']}"] * bool(result["reason"])
    lines += [f"    {describe(result['gpu'])}"] * identified(result["gpu"])
    return dict(result), lines


def _lines(result: "ForeignReport") -> list[str]:
    luma, qindex = result["inputs"]["luma"], result["inputs"]["qindex"]
    return [
        f"{result['blocks']} blocks of the {result['split']} split, luma into {luma['name']} ({luma['layout']}, times "
        f"{luma['scale']:.6g}), qindex into {qindex['name'] if qindex else 'nothing'}, logits from {result['output']}",
        f"  cpu: {result['status']}, {result['comparisons']} logits, RMS error {result['rms']:.3g} (budget "
        f"{result['rms_budget']:.3g}), {result['ratio']:.2f} times PyTorch float32's, largest {result['max']:.3g} "
        f"(budget {result['max_budget']:.3g}), {result['flips']} flips, near-ties {result['near_tie_share']:.2%}",
        *(f"    {text}" for text in (result["reason"], result["hint"]) if text),
    ]
