"""`av1part parity MODEL.onnx --against CHECKPOINT DATA`: the options that a foreign graph adds to the command."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from export.proof.config import ParityConfig
from export.proof.foreign_config import LAYOUTS, AgainstConfig
from toolkit.cli.options import factor

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--against", type=_PATH, help="Take BUNDLE for any ONNX file; compare it with this checkpoint."),
    click.option("--luma-input", help="With --against: name of the luma input, if its shape does not tell."),
    click.option("--qindex-input", help="With --against: name of the qindex input, likewise."),
    click.option("--output-name", help="With --against: name of the output that holds the logits, likewise."),
    click.option("--layout", type=click.Choice(LAYOUTS), help="With --against: of the luma input, likewise."),
    click.option("--input-scale", callback=factor, default="1", help="With --against: as in 1/255. [default: raw]"),
    click.option("--qindex-scale", callback=factor, default="1", help="With --against: as in 1/255. [default: raw]"),
    click.option("-o", "--output", type=_PATH, help="With --against: write the report there (JSON); else none is."),
)
_OWN = ("against", "luma_input", "qindex_input", "output_name", "layout", "input_scale", "qindex_scale", "output")
_SHARED = ("split", "limit", "seed", "any_settings")


def with_against(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, which go elsewhere where --against is given."""

    @functools.wraps(command)
    def wrapped(ctx: click.Context, /, **options: Any) -> None:
        own = {name: options.pop(name) for name in _OWN}
        given = [n for n in (*own, *options) if ctx.get_parameter_source(n) == click.core.ParameterSource.COMMANDLINE]
        if own["against"] is None:
            if wrong := [n for n in given if n in own]:
                raise click.UsageError(f"--{wrong[0].replace('_', '-')} needs --against.")
            command(ctx, **options)
            return
        if wrong := [n for n in given if n not in (*own, *_SHARED, "bundle", "data", "as_json")]:
            raise click.UsageError(f"--{wrong[0].replace('_', '-')} does not go with --against, which runs on the CPU.")
        _run(ctx, own, options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _run(ctx: click.Context, own: dict[str, Any], options: dict[str, Any]) -> None:
    from export.proof.foreign_proof import prove_against, write_report

    names = (own["luma_input"], own["qindex_input"], own["output_name"], own["layout"])
    graph = AgainstConfig(*names, own["input_scale"], own["qindex_scale"])
    config = ParityConfig(**{name: options[name] for name in _SHARED})
    result = prove_against(options["bundle"], own["against"], options["data"], config, graph)
    if own["output"]:
        write_report(own["output"], result)
    click.echo(json.dumps(result) if options["as_json"] else _lines(result))
    if not result["passed"]:
        ctx.exit(1)


def _lines(result: dict[str, Any]) -> str:
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
