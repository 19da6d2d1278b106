"""`av1part pruner`: decisions inside the encoder's search, learnt from its record."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from integration.codec.config import CHROMAS
from integration.pruning.config import FitConfig
from integration.tuning.config import TuneConfig
from toolkit.cli.long_command import LongCommand
from toolkit.cli.options import config_options
from toolkit.files import quoted

if TYPE_CHECKING:
    from integration.pruning.bundle import PrunerBundle
    from toolkit.pruners.record import SearchSet

_PATH = click.Path(path_type=Path)


@click.group()
def pruner() -> None:
    """Learn what libaom's search may skip, prove it, and look at it."""


@click.command(cls=LongCommand)
@click.argument("record", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="The pruner's folder.")
@click.option("--overwrite", is_flag=True, help="Replace a pruner that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_options(FitConfig)
def fit(record: Path, output: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Learn a pruner from RECORD (of `av1part record`), prove its forms on held-out rows, and seal it.

    Unit of loss and time: an average pixel of the picture, of its bits or of its CPU time.
    """
    from integration.pruning.fit import fit_pruner
    from toolkit.cli.progress import next_step
    from toolkit.pruners.record import SearchSet

    made = fit_pruner(SearchSet.load(record), output, FitConfig(**options), overwrite=overwrite)
    click.echo(json.dumps(made.manifest) if as_json else describe(made))
    if not as_json:
        next_step(encode_with(made))


pruner.add_command(fit)


@fit.planned
def _plan(record: Path, **options: Any) -> Iterator[str]:
    """Lines on what a pruner would learn from the record."""
    from toolkit.pruners.record import SearchSet

    own = {name: value for name, value in options.items() if name not in ("output", "overwrite", "as_json")}
    return planned_learning(SearchSet.load(record), FitConfig(**own))


def planned_learning(data: "SearchSet", config: FitConfig) -> Iterator[str]:
    """Lines on the pictures that a pruner would learn from, be judged by and be proven on, and on its models."""
    what = "packets" if data.frame_kind == "inter" else "pictures"
    for split, does in (("train", "learn from"), ("val", "be judged by"), ("test", "be proven on")):
        yield f"{len(data.entries_of(split)):,} {what} of {data.splits.count(split)} sources to {does}."
    models = len(config.sides) * len(config.decisions)
    yield f"At most {models} models ({config.model}): {len(config.decisions)} decisions at {len(config.sides)} sizes."


@pruner.command()
@click.argument("path", metavar="PRUNER", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: Path, as_json: bool) -> None:
    """Verify PRUNER and say what it decides, what it learnt from, and what its proof compared."""
    from integration import zoo
    from integration.pruning.bundle import PrunerBundle

    opened = PrunerBundle.load(zoo.find(path))
    click.echo(json.dumps(opened.manifest) if as_json else describe(opened))


@pruner.command()
@click.argument("path", metavar="PRUNER", type=_PATH)
@click.argument("sources", metavar="SOURCE...", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of the tuned pruner.")
@click.option("--overwrite", is_flag=True, help="Replace a pruner that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_options(TuneConfig)
def tune(path: Path, sources: tuple[Path, ...], output: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Seek PRUNER's price, and values of libaom's speed features that suit it, by encodes of SOURCEs.

    Tries --trials points at one speed: PRUNER as it is, every value of each feature alone, and then the good ones
    together. Prints those that no other beats in both CPU time and bytes, each against libaom alone at that speed.
    Writes the pruner again with the one that saves most for at most --max-loss. Encodes stay in OUTPUT.work: a search
    that was stopped goes on with the same command. Sources that the pruner learnt from are refused. The result looks
    better on these sources than on others: measure it there, by `bench encoder`.
    """
    from integration import zoo
    from integration.media.sources import expand
    from integration.pruning.bundle import PrunerBundle
    from integration.tuning.speed import choose, frontier, tuned_pruner
    from integration.tuning.speed import tune as seek
    from toolkit.cli.progress import counted, next_step
    from toolkit.files import check_free

    config, opened = TuneConfig(**options), PrunerBundle.load(zoo.find(path))
    check_free(output, overwrite)
    with counted("encodes") as progress:
        trials = seek(opened, expand(sources), output.with_name(f"{output.name}.work"), config, progress)
    best, chosen = frontier(trials), choose(trials, config)
    made = tuned_pruner(opened, chosen, output, config, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({"frontier": [one.to_dict() for one in best], "chosen": chosen.to_dict()}))
        return
    for one in best:
        click.echo(f"{'*' if one is chosen else ' '} {one}")
    next_step(bench_with(made))


def bench_with(made: "PrunerBundle") -> str:
    """Command that measures a tuned pruner as it was tuned, beside libaom at that speed and the next."""
    encoder = made.encoder
    speed, chroma = int(encoder["cpu_used"]), {name: number for number, name in CHROMAS.items()}[encoder["chroma"]]
    more = f" --usage {encoder['usage']}" if encoder["usage"] != "good" else ""
    more += f" --chroma {chroma}" if chroma != 420 else ""
    more += f" --tune {encoder['tune']}" if encoder["tune"] != "psnr" else ""
    arms = f"--presets {speed},{speed + 1} --masked {speed}"
    return f"bench encoder PHOTO --pruner {quoted(made.path)} {arms}{more} -o REPORT"


def encode_with(made: "PrunerBundle") -> str:
    """Command that encodes a clip with a pruner, at the usage and speed that it learnt at."""
    usage = "" if made.encoder["usage"] == "good" else f" --usage {made.encoder['usage']}"
    keyint = ""
    if made.frame_kind == "inter":
        keyint = f" --keyint {made.encoder['kf_max_dist']} --lag {made.encoder['lag_in_frames']}"
    return f"encode CLIP --pruner {quoted(made.path)}{usage}{keyint} --cpu-used {made.encoder['cpu_used']} -o OUT.ivf"


def describe(made: "PrunerBundle") -> str:
    """What a person wants to know of a pruner, a line each."""
    manifest, encoder, proof = made.manifest, made.manifest["encoder"], made.manifest["proof"]
    tuned = manifest.get("tuned")
    split_of = {source["sha256"]: source["split"] for source in manifest["learnt"]["sources"]}  # coded in several ways
    split = Counter(split_of.values())
    lines = [
        f"{made.path}: {len(made.data):,} bytes for libaom {encoder['version']}, {encoder['usage']}, cpu-used "
        f"{encoder['cpu_used']}, {manifest['bit_depth']} bit, {made.frame_kind} frames",
        f"  learnt from {split['train']} sources, judged on {split['val']}, proven on {proof['rows']:,} rows of "
        f"{split['test']} others: C equal to the bit, ONNX Runtime {proof['onnxruntime']} within {proof['budget']:g}",
        f"  price {manifest['price']:g}, at most {manifest['most']:g} pixels a decision",
        *([f"  tuned by encodes in {tuned['chroma']} with tune {tuned['tune']}"] if tuned else []),
        *(
            f"  at cpu-used {speed} libaom's {name} is {value}"
            for speed, own in sorted(manifest.get("overrides", {}).items())
            for name, value in sorted(own.items())
        ),
        *(["  on validation, each alone and together:"] if manifest["validation"] else []),
    ]
    for name, own in manifest["validation"].items():
        lines.append(
            f"    {name}: skips {own['skipped']:,} of {own['asked']:,}, {own['time_percent']:.1f}% of the time for "
            f"{own['loss_percent']:.2f}% of the bits"
        )
    return "\n".join(lines)
