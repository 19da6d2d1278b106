"""`av1part fit`: from a record of the search to a proven pruner whose price was tried in encodes."""

import hashlib
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import click

from integration.pruning.config import MODELS, FitConfig
from toolkit.cli.options import commas, numbers
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json, check_free

_D = FitConfig()
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("record", type=_PATH)
@click.argument("sources", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="The pruner's folder.")
@click.option("--target-loss", type=float, default=0.5, show_default=True, help="Most BD-rate to lose, in percent.")
@click.option("--size", default="768x512", show_default=True, help="Shrink SOURCES to fit; `source` keeps the size.")
@click.option(
    "--frames",
    type=click.IntRange(1),
    help="Only the first N frames of each source.  [default: 2, and 16 for a record of inter frames]",
)
@click.option("--sides", default=commas(_D.sides), show_default=True, callback=numbers, help="Node sizes to decide at.")
@click.option(
    "--model", type=click.Choice(MODELS), default=_D.model, show_default=True, help="Boosted trees, or small networks."
)
@click.option("--overwrite", is_flag=True, help="Replace a pruner that is there.")
def fit(
    record: Path,
    sources: tuple[Path, ...],
    output: Path,
    target_loss: float,
    size: str,
    frames: int | None,
    sides: tuple[int, ...],
    model: str,
    overwrite: bool,
) -> None:
    """Learn a pruner from RECORD, prove it, encode SOURCES at five prices, and seal it at the one that saves most time.

    A price that loses more than --target-loss is not taken; where all do, nothing is written.

    RECORD is what `av1part record` made. SOURCES are photographs or clips that the pruner does not learn from: those of
    RECORD's val and test splits, or new ones. A run that was stopped goes on. The single steps are `pruner fit` and
    `bench encoder`.
    """
    from integration.commands.pruner import encode_with
    from integration.media.raw import parse_size
    from integration.media.sources import identify
    from integration.pruning.bundle import PrunerBundle
    from integration.pruning.fit import fit_pruner
    from integration.tuning.price import choose_price, try_prices
    from toolkit.cli.progress import counted, next_step
    from toolkit.pruners.record import SearchSet

    if not target_loss > 0:
        raise ToolkitError(f"--target-loss {target_loss:g}: expected percent above 0, as in 0.5.")
    shown = size if size != "source" and parse_size(size) else None
    check_free(output, overwrite)
    config = FitConfig(sides=sides, model=model)
    files, data = identify(sources), SearchSet.load(record)
    trained = {source["sha256"] for source in data.manifest["sources"] if source["split"] == "train"}
    if seen := [file.path for file in files if file.sha256 in trained]:
        raise ToolkitError(
            f"{seen[0]}: in RECORD's training split, so that the pruner is trained on it. Try prices on sources of its "
            "other splits, or new ones."
        )
    key = hashlib.sha256(canonical_json([data.sha256, asdict(config)])).hexdigest()
    work = output.with_name(f".{output.name}.fit-{key[:12]}")
    first = work / "pruner"
    if not first.exists():
        click.echo("Learning from the record, and proving.", err=True)
        fit_pruner(data, first, config)
    made = PrunerBundle.load(first)
    frames = frames or (2 if made.frame_kind == "key" else 16)
    with counted("encoding") as progress:
        trials = try_prices(made, [file.path for file in files], work / "bench", shown, frames, progress=progress)
    click.echo("\n".join(map(str, trials)))
    chosen = choose_price(trials, target_loss)
    done = fit_pruner(data, output, replace(config, price=chosen.price), overwrite=overwrite)
    shutil.rmtree(work)
    tried = f"{len(files)} source{'s' if len(files) > 1 else ''}"
    click.echo(f"{output}: {chosen}, on {tried} that it has not learnt from.")
    next_step(encode_with(done))
