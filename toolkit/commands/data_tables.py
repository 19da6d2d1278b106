"""Tables of `data info`: the facts of its --json, for people."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toolkit.cli.tables import print_table, text_table
from toolkit.data.format import Counts
from toolkit.data.info import CostInfo, DatasetInfo
from toolkit.partition import NAMES, partitions_of, stages_of

SOURCES_SHOWN = 40


def print_info(info: DatasetInfo) -> None:
    """Print a data set's description to stdout."""
    console = Console(soft_wrap=True, highlight=False)
    frames = sum(s["frames"] for s in info["sources"])
    size, sources = f"{info['node']}x{info['node']} pixels", f"{len(info['sources'])} sources ({frames:,} frames)"
    console.print(f"{info['blocks']:,} blocks of {size}, {sources}, {info['bit_depth']} bit")
    imported = info["encoder"].get("imported")
    settings = imported or info["encoder"]
    shown = ", ".join(f"{k} {v}" for k, v in settings.items() if k != "warnings")
    console.print(f"{'imported' if imported else 'encoder'}: {shown}", markup=False)
    for warning in (imported or {}).get("warnings", []):
        console.print(f"Warning: {warning}", style="bold yellow", markup=False)
    print_table(console, _splits(info))
    print_table(console, _sources(info))
    if len(info["sources"]) > SOURCES_SHOWN:
        console.print(f"... and {len(info['sources']) - SOURCES_SHOWN} more sources (--json lists all)")
    for key, by_split in info["histogram"].items():
        print_table(console, _partitions(by_split) if key == "partition" else _histogram(key, by_split))
    if info["costs"]:
        print_table(console, _costs(info["costs"]))
        console.print(f"the label is the cheapest of those searched to the end: {info['cheapest_chosen']:.2%}")
    if lacking := [name for k, name in enumerate(NAMES) if k not in partitions_of(info["node"])]:
        stages = ", ".join(f"{key} ({', '.join(stage.classes)})" for key, stage in stages_of(info["node"]).items())
        console.print(f"nodes of this size have no {', '.join(lacking)} in AV1; their stages are {stages}")
    print_table(console, _left_out(info))
    print_table(console, _baselines(info))


def _splits(info: DatasetInfo) -> Table:
    table = text_table("Splits (by whole source)", "split", "sources", "blocks")
    for split, counts in info["splits"].items():
        table.add_row(split, str(counts["sources"]), f"{counts['blocks']:,}")
    return table


def _sources(info: DatasetInfo) -> Table:
    table = text_table("Sources", "source", "split", "frames", "size", "blocks", "licence")
    for s in info["sources"][:SOURCES_SHOWN]:
        size = f"{s['width']}x{s['height']}"
        table.add_row(escape(s["name"]), s["split"], f"{s['frames']:,}", size, f"{s['blocks']:,}", escape(s["licence"]))
    return table


def _costs(costs: dict[str, CostInfo]) -> Table:
    table = text_table("RD costs, share of the decided nodes", "partition", "tried", "searched to the end")
    for name, shares in costs.items():
        table.add_row(name, f"{shares['tried']:.1%}", f"{shares['exact']:.1%}")
    return table


def _partitions(by_split: Counts) -> Table:
    table = text_table("AV1 partitions, all qindexes", "partition", *by_split)
    sums = {
        split: {name: sum(c[name] for c in by_qindex.values()) for name in next(iter(by_qindex.values()))}
        for split, by_qindex in by_split.items()
    }
    for name in next(iter(sums.values())):
        table.add_row(name, *(_count(counts[name], sum(counts.values())) for counts in sums.values()))
    return table


def _histogram(stage: str, by_split: Counts) -> Table:
    classes = list(next(iter(next(iter(by_split.values())).values())))
    table = text_table(f"Stage {stage}: blocks by class", "split, qindex", *classes)
    for split, by_qindex in by_split.items():
        for qindex, counts in by_qindex.items():
            table.add_row(f"{split} {qindex}", *(_count(counts[c], sum(counts.values())) for c in classes))
        sums = [sum(counts[c] for counts in by_qindex.values()) for c in classes]
        table.add_row(f"{split} all", *(_count(n, sum(sums)) for n in sums), end_section=True)
    return table


def _count(part: int, whole: int) -> str:
    return f"{part:,} {part / max(1, whole):4.0%}"


def _left_out(info: DatasetInfo) -> Table:
    stages = info["left_out"]
    table = text_table("Left out, blocks", "what", *(f"stage {key}" for key in stages))
    for label in dict.fromkeys(label for counts in stages.values() for label in counts):
        table.add_row(label, *(f"{counts.get(label, 0):,}" for counts in stages.values()))
    for reason, count in info["excluded"].items():
        table.add_row(escape(reason), *[f"{count:,}"] * len(stages))
    return table


def _baselines(info: DatasetInfo) -> Table:
    columns = ("macro-F1", "by always", "accuracy", "by always", "macro-F1 of a draw by shares")
    table = text_table("Trivial baselines: what a model must beat", "stage, split", *columns)
    for key, by_split in info["baselines"].items():
        for split, found in by_split.items():
            f1, accuracy = found["best_constant"], found["best_constant_by_accuracy"]
            cells = (f"{f1['macro_f1']:.4f}", f1["class"], f"{accuracy['accuracy']:.4f}", accuracy["class"])
            table.add_row(f"{key} {split}", *cells, f"{found['stratified']['macro_f1']:.4f}")
    return table
