"""`av1part select`: choose a run's best epoch."""

import json
from pathlib import Path

import click

from toolkit.files import quoted
from toolkit.folders import BLOCKSET, RUN, check_folder


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    default="macro_f1",
    show_default=True,
    help="Metric on the validation split: macro_f1, accuracy or regret (the lowest).",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data set of the run, if it has moved.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def select(run: Path, metric: str, data: Path | None, as_json: bool) -> None:
    """Choose the epoch of RUN with the best metric (the earlier of two equal) and evaluate it again from its file."""
    check_folder(run, RUN)
    if data is not None:
        check_folder(data, BLOCKSET)
    from toolkit.cli.progress import next_step, shown
    from toolkit.training.selection import select_epoch

    with shown():
        chosen = select_epoch(run, metric, data)
    if as_json:
        click.echo(json.dumps(chosen.to_dict()))
        return
    values = chosen.to_dict()
    click.echo(f"Best epoch: {chosen.epoch}  ({chosen.path})")
    click.echo(f"  {metric} {values[metric]:.4f}, evaluated again from the file; {chosen.recorded:.4f} in the history")
    scores = "  ".join(f"{name} {s['f1']:.4f} ({s['support']})" for name, s in chosen.metrics["per_class"].items())
    click.echo(f"  accuracy {values['accuracy']:.4f}; F1 by class (blocks): {scores}")
    verdict = "beats" if chosen.beats_baseline else "DOES NOT BEAT"
    click.echo(f"  {verdict} the best constant: always {values['baseline_class']}, {values['baseline_macro_f1']:.4f}")
    click.echo(f"  tied later epochs: {_list(chosen.ties)}; excluded as NaN: {_list(chosen.nan)}")
    click.echo(f"  collapsed to a single class: {_list(chosen.collapsed)}")
    chosen_epoch = "" if metric == "macro_f1" else f" --epoch {chosen.epoch}"
    next_step(f"export {quoted(run)}{chosen_epoch} -o BUNDLE")


def _list(epochs: list[int]) -> str:
    return ", ".join(map(str, epochs)) or "none"
