"""Splits: whole sources are assigned to them, by rule or by table, and no source is in two."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.files import read_text

SPLITS = ("train", "val", "test")
HELD_OUT = ("val", "test")
"""Splits that no model is trained on."""

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def check_one_split(
    sources: Sequence[Mapping[str, Any]], hashes: Sequence[Mapping[str, str]], what: str, mend: str
) -> None:
    """Raise ToolkitError, which ends in `mend`, where two sources that have a hash in common are in two splits.

    `sources`: entries with name and split. `hashes` of each source, by what they are of, as in "original".
    """
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for source, own in zip(sources, hashes, strict=True):
        for kind, digest in own.items():
            other = first.setdefault((kind, digest), source)
            if other["split"] != source["split"]:
                raise ToolkitError(
                    f"{what}: {other['name']} ({other['split']}) and {source['name']} ({source['split']}) are the same "
                    f"source in two splits (the same {kind}); its blocks would leak. {mend}"
                )


def assign_splits(names: Sequence[str], how: str = "auto") -> dict[str, str]:
    """Split of each source, by source name.

    `how` is one of:

    - `auto`: about 70/15/15, decided by the names alone; each split has a source if there are three or more;
    - `train`, `val` or `test`: all sources in this split;
    - the path of a table with a line for each source: name, tab, split. Lines that begin with # are comments.

    Raises ToolkitError where two sources share a name, and on a table that leaves out a source, names one twice or
    names an unknown one.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ToolkitError(f"Sources share a name: {', '.join(twice)}. Rename one.")
    if how in SPLITS:
        return dict.fromkeys(names, how)
    return _automatic(names) if how == "auto" else _from_table(names, Path(how))


def _automatic(names: Sequence[str]) -> dict[str, str]:
    # Ordered by hash, so that the same names give the same splits on any machine and in any order.
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = {s: round(SHARES[s] * len(order)) for s in ("val", "test")}
    if len(order) >= 3:
        held_out = {s: max(1, n) for s, n in held_out.items()}
    elif len(order) == 2:
        held_out = {"val": 1, "test": 0}
    val, test = held_out["val"], held_out["test"]
    return {n: "val" if i < val else "test" if i < val + test else "train" for i, n in enumerate(order)}


def _from_table(names: Sequence[str], path: Path) -> dict[str, str]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ToolkitError(
            f"--split {path}: not `auto`, `train`, `val`, `test` nor a readable table ({error})."
        ) from None
    result: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, split = (part.strip() for part in line.partition("\t"))
        if split not in SPLITS:
            raise ToolkitError(
                f"{path}, line {number}: {line!r}, expected a name, a tab and one of {', '.join(SPLITS)}."
            )
        if name in result:
            raise ToolkitError(f"{path}, line {number}: {name} is named twice. Give every source exactly one split.")
        result[name] = split
    missing, unknown = sorted(set(names) - set(result)), sorted(set(result) - set(names))
    if missing or unknown:
        raise ToolkitError(
            f"{path}: sources without a split: {', '.join(missing) or 'none'}; "
            f"names that are no source: {', '.join(unknown) or 'none'}. Every source needs exactly one line."
        )
    return result
