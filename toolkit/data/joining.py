"""What folders that are to become one have to agree in, and which of their sources are the same."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.data.encoder_settings import is_recorded
from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class Place:
    """A source by its number in one of the folders, and the name that it has in the result."""

    folder: int
    source: int
    name: str


@dataclass(frozen=True)
class Joined:
    """The sources of the result in their order, and sentences on those that were dropped or renamed."""

    places: list[Place]
    notes: list[str]

    def numbers(self, folder: int) -> dict[int, int]:
        """Number in the result by number in that folder; sources that were dropped are absent."""
        return {place.source: k for k, place in enumerate(self.places) if place.folder == folder}


def check_settings(
    paths: Sequence[Path], encoders: Sequence[Mapping[str, Any]], more: Sequence[Mapping[str, Any]]
) -> None:
    """Raise ToolkitError that names every setting in which a folder differs from the first one.

    `encoders`: encoder settings of each folder, `more`: other values by name that have to be equal.
    """
    for path, encoder in zip(paths, encoders, strict=True):
        if not is_recorded(encoder):
            raise ToolkitError(f"{path}: imported labels do not say which encoder chose them. Merge what `label` made.")
    first, *others = [dict(_flat(encoder)) | dict(extra) for encoder, extra in zip(encoders, more, strict=True)]
    for path, own in zip(paths[1:], others, strict=True):
        differing = [k for k in sorted({*first, *own}) if first.get(k) != own.get(k)]
        if differing:
            listed = "; ".join(f"{k} is {_text(first.get(k))} and {_text(own.get(k))}" for k in differing)
            raise ToolkitError(f"{paths[0]} and {path} differ: {listed}. Merge what was made with the same settings.")


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{before}{key.replace('cpu_used', 'cpu-used').replace('enable_1to4_partitions', '4-way partitions')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        else:
            yield name, value


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def join(
    paths: Sequence[Path],
    sources: Sequence[Sequence[Mapping[str, Any]]],
    keys: Callable[[int, int], Sequence[str]],
    differ: Callable[[tuple[int, int], tuple[int, int]], str],
) -> Joined:
    """Put the sources of several folders in one order, each source once, each under a name of its own.

    `sources`: entries with name and split, by folder. `keys(folder, source)` are hashes that tell what a source is.
    Where two folders hold the same source, `differ` says in words in what their content differs; where it says nothing,
    the later one is dropped. Raises ToolkitError where it says something, or the split differs.
    """
    first: dict[str, tuple[int, int]] = {}
    places, notes, names = list[Place](), list[str](), set[str]()
    for folder, entries in enumerate(sources):
        for number, entry in enumerate(entries):
            here = (folder, number)
            found = (first[key] for key in keys(*here) if first.get(key, here)[0] != folder)
            if (twin := next(found, None)) is not None:
                other = sources[twin[0]][twin[1]]
                said = f"{paths[twin[0]]} ({other['name']}) and {paths[folder]} ({entry['name']})"
                splits = (
                    f"it is in {other['split']} and in {entry['split']}" if other["split"] != entry["split"] else ""
                )
                if why := splits or differ(twin, here):
                    raise ToolkitError(f"{said} hold the same source, but {why}. Leave one of the folders out.")
                notes.append(f"{said} hold the same source with the same content: taken once.")
                continue
            first |= {key: here for key in keys(*here) if key not in first}
            name = _free(entry["name"], names)
            if name != entry["name"]:
                notes.append(f"{paths[folder]}: {entry['name']} is called {name}, because another source has its name.")
            names.add(name)
            places.append(Place(folder, number, name))
    return Joined(places, notes)


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
