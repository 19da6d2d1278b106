"""`av1part parity`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from export.commands.providers import PROVIDER, pairs
from export.graph.profiles import PROFILES
from export.graph.vulkan import describe, identified
from export.proof.config import ParityConfig
from toolkit.cli.options import config_options
from toolkit.files import quoted
from toolkit.folders import BLOCKSET, BUNDLE, check_folder


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "--provider", "providers", multiple=True, type=PROVIDER,
    help="Must pass; repeatable. Each stands for its strict float32 profile. Without it the CPU must, CUDA is tried. "
    "Any other provider by ONNX Runtime's name, such as OpenVINOExecutionProvider.",
)  # fmt: skip
@click.option(
    "--provider-library", "library", type=click.Path(path_type=Path),
    help="Plug-in library that brings such a provider, where ONNX Runtime does not have it.",
)  # fmt: skip
@click.option(
    "--provider-option", "provider_options", multiple=True, callback=pairs, metavar="KEY=VALUE",
    help="Option of such a provider; repeatable.",
)  # fmt: skip
@click.option(
    "--profile", "profiles", multiple=True, type=click.Choice(list(PROFILES)),
    help="Must pass, with its own precision and budget; repeatable.",
)  # fmt: skip
@config_options(ParityConfig, only=("split", "limit", "seed", "any_settings"))
@click.option("--selftest", is_flag=True, help="Plant faults in copies of the bundle instead; pass if all are caught.")
@click.option(
    "--replay", "repeat", is_flag=True,
    help="Without DATA and PyTorch: run again on the blocks that the proof kept, and judge by its budget.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def parity(
    ctx: click.Context, /, bundle: Path, data: Path | None, selftest: bool, repeat: bool, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Prove on held-out blocks of DATA that ONNX Runtime gives the PyTorch model's logits and decisions.

    Writes parity.json, parity.md and parity.html into BUNDLE. Exit 1 where a profile fails, or was asked for and is
    not there; a failure names the first layer that departs, and its smallest part that still fails is written beside
    BUNDLE, with the lines that run it in plain ONNX Runtime.

    --replay repeats a bundle's proof on another machine, provider or version of ONNX Runtime, in seconds, and writes
    replay.json into BUNDLE. The installation for masks is enough for it.
    """
    if repeat and (data or selftest):
        raise click.UsageError("--replay takes the blocks of the bundle's own proof: leave out DATA and --selftest.")
    if not repeat and data is None:
        raise click.UsageError("Missing argument 'DATA'. Only --replay goes without.")
    check_folder(bundle, BUNDLE)  # before torch is imported, which takes seconds
    if data:
        check_folder(data, BLOCKSET)
    from toolkit.cli.progress import next_step, shown

    with shown():
        config = ParityConfig(**options)
        if selftest and config.others:
            raise click.UsageError(f"--selftest plants its faults on cpu and webgpu, not on {config.others[0]}.")
        result = _work(bundle, data, selftest, config)
    click.echo(json.dumps(result) if as_json else _lines(result))
    if not result["passed"]:
        ctx.exit(1)
    if not (selftest or as_json):
        next_step(f"pipeline build {quoted(bundle)} -o PIPE")


def _work(bundle: Path, data: Path | None, selftest: bool, config: ParityConfig) -> Mapping[str, Any]:
    """Result of what was asked for. The modules of a repeat import no torch."""
    if data is None:
        from export.proof.replay import replay

        return replay(bundle, config)
    if selftest:
        from export.proof.selftest import selftest as plant_faults

        return plant_faults(bundle, data, config)
    from export.proof.prove import prove

    return prove(bundle, data, config)


def _lines(result: Mapping[str, Any]) -> str:
    lines = [f"{result['blocks']} blocks of the {result['split']} split"]
    for name, r in result.get("profiles", {}).items():
        lines.append(f"  {name}: {r['status']}" + (f", {_numbers(r)}" if r["comparisons"] else ""))
        lines += [f"    {r['reason']}"] if r["reason"] else []
        lines += [f"    {describe(r['gpu'])}"] if identified(r.get("gpu", {})) else []
    for name, fault in result.get("faults", {}).items():
        lines.append(f"  {name}: {fault['status']}. {fault['reason']}")
    if "bisect" in result:
        lines.append(f"  bisect: {result['bisect']['message']}")
    for name, found in result.get("reproducers", {}).items():
        lines.append(f"  {name}, cut down: {found['message']}")
    return "\n".join([*lines, "PASSED" if result["passed"] else "NOT PASSED"])


def _numbers(r: Mapping[str, Any]) -> str:
    if "noninferiority" in r:
        found = r["noninferiority"]
        return (
            f"macro-F1 {found['f1_difference']:+.4f} against float64's, at worst {found['f1_lower']:+.4f} (95%; "
            f"allowed -{found['f1_margin']}), calibration error {found['ece']:.4f} (float64 {found['ece_float64']:.4f})"
        )
    return (
        f"{r['comparisons']} logits, RMS error {r['rms']:.3g} (budget {r['rms_budget']:.3g}), {r['ratio']:.2f} times "
        f"PyTorch {r['precision']}'s, largest {r['max']:.3g} (budget {r['max_budget']:.3g}), {r['flips']} flips, "
        f"near-ties {r['near_tie_share']:.2%}" + "; its budget's factors are assumed" * bool(r["budget_assumed"])
    )
