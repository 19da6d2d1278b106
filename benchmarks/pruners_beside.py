"""Several pruners beside each other in encodes of the same photographs or clips, all arms interleaved.

    python benchmarks/pruners_beside.py PHOTO... -o WORK --pruner FIRST 0.02,0.03,0.05 --pruner OTHER 0.04,0.08
    python benchmarks/pruners_beside.py CLIP... -o WORK --pruner FIRST 0.1 --pruner OTHER 0.1 --size source \\
        --keyint 240 --lag 35

Prints two Markdown tables. The first has BD-rate and time saving of every arm as `av1part bench encoder` does, and what
it costs and saves against its own preset without a pruner. The second says how far the first pruner is ahead of each
other one: the other one's BD-rate at the first one's time saving, on straight lines between its own prices and the
preset without a pruner, less the first one's. Encodes are kept in WORK; a run that was stopped goes on.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from integration import zoo
from integration.bench.bd import Place, frontier_loss
from integration.bench.config import BenchConfig
from integration.bench.run import arms_of
from integration.bench.session import PRUNER, Session
from integration.bench.store import Measurement
from integration.bench.summary import ArmEntry, summarise
from integration.media.config import size_of
from integration.media.sources import SourceFile, identify
from integration.pruning.bundle import PrunerBundle
from toolkit.cli.options import numbers


def measure(
    files: Sequence[SourceFile], work: Path, configs: Sequence[BenchConfig], pruners: Sequence[PrunerBundle]
) -> list[list[Measurement]]:
    """Measurements of each pruner, those of the presets among them; arms change fastest, as in the command."""
    sessions = [Session(work, config, pruner=pruner) for config, pruner in zip(configs, pruners, strict=True)]
    for session in sessions:
        session.check(files)
    measured: list[list[Measurement]] = [[] for _ in sessions]
    for repeat in range(configs[0].repeats):
        for file in files:
            for cq in configs[0].cq:
                native = [sessions[0].measure(file, cq, arm, repeat) for arm in arms_of(configs[0], None)]
                for own, session, config in zip(measured, sessions, configs, strict=True):
                    arms = [arm for arm in arms_of(config, None, session.pruner) if arm.kind == PRUNER]
                    own += native + [session.measure(file, cq, arm, repeat) for arm in arms]
    return measured


def row(name: str, arm: ArmEntry) -> str:
    """The arm's row of the first table; BD-rates are by PSNR of luma, PSNR of all planes, and SSIM."""
    ssim = "" if arm["loss_ssim"] is None else f"{arm['loss_ssim']:+.2f}%"
    under = "" if arm["under_frontier"] is None else f"{arm['under_frontier']:+.2f}"
    own, worst = arm["own_preset"], arm["worst"]
    beside = f"{own['saving']:.1f}% for {own['loss']:+.2f}%" if arm["price"] is not None else ""
    planes = "" if arm["loss_yuv"] is None else f"{arm['loss_yuv']:+.2f}%"
    cells = [name, f"{arm['loss']['akima']:+.2f}%", planes, ssim, f"{arm['saving']:.1f}%", under, beside]
    return f"| {' | '.join(cells)} | {worst['loss']:+.2f}% |"


def ahead(first: Sequence[ArmEntry], other: Sequence[ArmEntry], native: ArmEntry) -> str:
    """Cells of the second table: how far each arm of the first pruner is ahead of the other pruner."""
    line = [Place(arm["saving"], arm["loss"]["akima"]) for arm in (native, *other)]
    found = [(arm["loss"]["akima"], frontier_loss(line, arm["saving"])) for arm in first]
    return " | ".join("" if there is None else f"{there - own:+.2f}" for own, there in found)


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the encodes.")
@click.option("--pruner", "given", multiple=True, required=True, nargs=2, metavar="PRUNER PRICES")
@click.option("--presets", default="0,1,2,3", show_default=True, callback=numbers)
@click.option("--masked", default=2, show_default=True, help="Preset at which the pruners decide.")
@click.option("--size", default="480x320", show_default=True, help="Or `source`.")
@click.option("--usage", default="good", show_default=True)
@click.option("--chroma", default=420, show_default=True)
@click.option("--tune", default="psnr", show_default=True)
@click.option(
    "--keyint", default=1, show_default=True, help="Frames from a key frame to the next; 1: key frames alone."
)
@click.option("--lag", default=0, show_default=True, help="Frames that the encoder looks ahead.")
@click.option("--frames", type=int, help="Only the first ones of each clip.")
def main(
    photos: tuple[Path, ...],
    output: Path,
    given: tuple[tuple[str, str], ...],
    presets: tuple[int, ...],
    masked: int,
    size: str,
    usage: str,
    chroma: int,
    tune: str,
    keyint: int,
    lag: int,
    frames: int | None,
) -> None:
    """Print the tables."""
    pruners = [PrunerBundle.load(zoo.find(Path(path))) for path, _ in given]
    names = [pruner.path.name for pruner in pruners]
    configs = [
        BenchConfig(
            presets=presets,
            masked=(masked,),
            size=size_of(size),
            usage=usage,
            chroma=chroma,
            tune=tune,
            keyint=keyint,
            lag=lag,
            frames=frames,
            repeats=1,
            prices=tuple(map(float, own.split(","))),
        )
        for _, own in given
    ]
    measured = measure(identify(photos), output, configs, pruners)
    reports = [summarise(ones, config, None)["arms"] for ones, config in zip(measured, configs, strict=True)]
    pruned = [[arm for arm in arms if arm["price"] is not None] for arms in reports]
    native = [arm for arm in reports[0] if arm["price"] is None]
    click.echo(
        "| arm | BD-rate | of all planes | on SSIM | time saving | under the frontier | to its own preset | worst |"
    )
    click.echo(f"|---|{'---|' * 7}")
    for arm in native:
        click.echo(row(arm["name"], arm))
    for name, arms in zip(names, pruned, strict=True):
        for arm in arms:
            click.echo(row(f"{name} at {arm['price']:g}", arm))
    base = next(arm for arm in native if arm["cpu_used"] == masked)
    click.echo(f"\n| {names[0]} is ahead of | {' | '.join(f'at {price:g}' for price in configs[0].prices)} |")
    click.echo(f"|---|{'---|' * len(configs[0].prices)}")
    for name, arms in zip(names[1:], pruned[1:], strict=True):
        click.echo(f"| {name} | {ahead(pruned[0], arms, base)} |")


if __name__ == "__main__":
    main()
