"""`av1part zoo`: the trained pruners in the box."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from integration.zoo.card import Card


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def zoo(context: click.Context, as_json: bool) -> None:
    """List the trained pruners in the box: what each is for, what it was measured to save, and at which price.

    A line for each material and speed that was measured, with which libaom, and on how many sources. `encode` uses a
    pruner by itself where its card shows a gain.
    """
    if context.invoked_subcommand:
        return
    from integration.zoo.card import cards

    found = cards()
    if as_json:
        click.echo(json.dumps({card.name: [asdict(row) for row in card.measured] for card in found}))
        return
    for card in found:
        for row in card.measured:
            size = f" of at most {row.size}" if row.size else ""
            gain = "a gain" if row.gains else "no proven gain: not used by default"
            click.echo(
                f"{card.name}: {row.material}, {row.bit_depth} bit, {card.usage} usage, cpu-used {row.cpu_used}, "
                f"libaom {row.libaom}: {row.expected}; {gain} ({len(row.sources)} sources{size})"
            )


@zoo.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Print the card of the pruner NAME: measurements, where not to use it, what it learnt from."""
    from integration.zoo import FOLDER
    from integration.zoo.card import cards
    from toolkit.errors import ToolkitError
    from toolkit.escaping import visible

    by_name = {card.name: card for card in cards()}
    if name not in by_name:
        raise ToolkitError(f"{name}: no pruner with a card in the box. These are: {', '.join(by_name) or 'none'}.")
    card = by_name[name]
    click.echo(json.dumps(asdict(card), default=str) if as_json else visible(describe(card)))
    if not as_json:
        click.echo(f"\nFiles: {FOLDER / name}. What its proof compared: av1part pruner info {name}")


def _overridden(card: "Card") -> list[str]:
    """Section on the speed features of libaom that the pruner overrides; nothing where there are none."""
    rows = [
        f"- cpu-used {speed}: {', '.join(f'{name} = {value}' for name, value in sorted(own.items()))}"
        for speed, own in sorted(card.overrides.items())
    ]
    return ["## Speed features of libaom that it overrides", "", *rows, ""] if rows else []


def describe(card: "Card") -> str:
    """The card as Markdown."""
    ways = "with" if card.four_way else "without"
    depths = " and ".join(map(str, card.bit_depths))
    frames = {"key": "Intra frames", "inter": "Inter frames"}[card.frame_kind]
    lines = [
        f"# {card.name}",
        "",
        f"{frames} of {depths} bit in {card.usage} usage, {ways} 4-way partitions; price {card.price:g}.",
        "",
        *_overridden(card),
        "## Measured against the same libaom alone at the same speed",
    ]
    for row in card.measured:
        beside = "not measured" if row.under_frontier is None else f"{row.under_frontier:.2f} points of BD-rate more"
        lines += [
            "",
            f"- {row.material}, {row.bit_depth} bit, cpu-used {row.cpu_used}, libaom {row.libaom}: {row.expected}.",
            f"  For that time libaom's own presets charge: {beside}. Worst: {row.worst}.",
            f"  {len(row.sources)} sources that it has not seen ({', '.join(map(str, row.sources))}); {row.machine}:",
            f"  {row.command}",
        ]
    lines += ["", "## Not for", "", *(f"- {sentence}" for sentence in card.not_for)]
    learnt = {source["sha256"]: source for source in card.sources if source["split"] == "train"}
    licences = Counter(str(source["licence"]) for source in learnt.values())
    lines += ["", "## Learnt from photographs under", ""]
    lines += [f"- {licence}: {count}" for licence, count in sorted(licences.items())]
    return "\n".join(lines)
