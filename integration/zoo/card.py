"""A card beside a pruner in the box: what it was measured to give, on which material, and where not to use it.

`card.txt` repeats for C at which speeds that is a gain, by libaom's version, bit depth, chroma and tune
(libaom/pruner_file.h).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from integration.codec.checked_text import checked_text, crc32
from integration.codec.config import TUNES
from integration.codec.libaom_versions import version
from integration.pruning.bundle import NATIVE
from integration.zoo import FOLDER, names
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes, read_bytes, read_json
from toolkit.pruners.record_format import RecordedSource, frame_kind
from toolkit.sealed import SealedFolder
from toolkit.shapes import converted, shaped

FILE, TEXT = "card.json", "card.txt"
PHOTOGRAPHS, KEY_FRAMES, CLIPS = "photographs", "key frames of clips", "clips with inter frames"
NEAR = 1.0
"""Doublings of the number of pixels up to which a measurement speaks of another size."""
_MEND = "Write it again with `python benchmarks/zoo_card.py`."


class _Card(TypedDict):
    pruner_sha256: str
    usage: str
    four_way: bool
    price: float
    measured: list[dict[str, object]]
    not_for: list[str]


class _Usage(TypedDict):
    usage: str
    enable_1to4_partitions: NotRequired[int]
    frame_kind: NotRequired[str]


class _Learnt(TypedDict):
    sources: list[RecordedSource]


class _Pruner(TypedDict):
    """Manifest of a pruner, as far as a card needs it."""

    sha256: str
    overrides: NotRequired[dict[str, dict[str, int]]]
    encoder: _Usage
    price: float
    learnt: _Learnt


FORMAT = SealedFolder("av1part-card", 4, _Card, "a card's", _MEND, FILE)


@dataclass(frozen=True)
class Row:
    """What a pruner gave at its own price on one material of one bit depth at one speed, against libaom alone there.

    `saving` of the CPU time and `extra_bytes` at equal PSNR are percent, deciding charged; PSNR is that of luma, in
    4:4:4 and 4:2:2 of all planes. `under_frontier` is how many points of BD-rate less that is than libaom's own presets
    charge for the same time, by PSNR or by SSIM, whichever is worse; None where they are not measured. `worst` is the
    source with the greatest BD-rate; `machine` the class of machine. `size` is that of the largest picture, as in
    `480x320`; None where it was not kept. `libaom` is the version, as in `3.14.1`.
    """

    material: str
    bit_depth: int
    cpu_used: int
    saving: float
    extra_bytes: float
    under_frontier: float | None
    sources: list[Any]
    worst: str
    size: str | None
    command: str
    machine: str
    libaom: str
    chroma: int = 420
    tune: str = "psnr"

    @property
    def of(self) -> tuple[str, int, int, int, str]:
        """Material, bit depth, speed, chroma and tune that it speaks of."""
        return self.material, self.bit_depth, self.cpu_used, self.chroma, self.tune

    @property
    def gains(self) -> bool:
        """Whether it saves time, and at a lower price than libaom's own presets do."""
        return self.saving > 0 and self.under_frontier is not None and self.under_frontier > 0

    @property
    def expected(self) -> str:
        """What to expect of it, in words."""
        return f"{self.saving:.0f}% of the CPU time saved for {self.extra_bytes:+.2f}% bytes at equal PSNR"

    def distance(self, pixels: int) -> float:
        """How often the pictures' size has to be doubled or halved to reach so many pixels; infinite where unknown."""
        if self.size is None:
            return math.inf
        width, height = self.size.split("x")
        return abs(math.log2(pixels / (int(width) * int(height))))

    def expected_at(self, width: int, height: int, libaom: str | None = None) -> str:
        """What to expect of pictures of a size with a version of libaom, None the one in use.

        It names the size at which it was measured, with a word where that is far, and the version where it is another.
        """
        with_other = "" if self.libaom == (libaom or version().name) else f" with libaom {self.libaom}"
        if self.distance(width * height) <= NEAR:
            return f"{self.expected}, as measured at {self.size}{with_other}"
        at = f"at {self.size}" if self.size else "at sizes that were not kept"
        return f"{self.expected}, but as measured {at}{with_other}: nothing was measured near {width}x{height}"


@dataclass(frozen=True)
class Card:
    """The verified card of the pruner `name`, whose folder is `path`.

    `frame_kind`: of the frames that the pruner is for, `key` or `inter`. `overrides`: the pruner's, of libaom's speed
    features, by speed and name. `sources` are those that it learnt from, with
    their licences.
    """

    name: str
    path: Path
    usage: str
    four_way: bool
    frame_kind: str
    price: float
    measured: tuple[Row, ...]
    not_for: tuple[str, ...]
    sources: tuple[Mapping[str, Any], ...]
    overrides: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "Card":
        """Read the card beside a pruner; ToolkitError where it or its text was edited or is another pruner's."""
        file = folder / FILE
        card = FORMAT.read(folder)
        pruner = _manifest(folder)
        if card["pruner_sha256"] != pruner["sha256"]:
            raise ToolkitError(f"{file}: written for another pruner than the one beside it. {_MEND}")
        measured = tuple(converted(row, Row, f"{file}: a measured row", _MEND) for row in card["measured"])
        for row in measured:
            if row.size is not None and not re.fullmatch("[1-9][0-9]{0,5}x[1-9][0-9]{0,5}", row.size):
                raise ToolkitError(f"{file}: a measured row: size {row.size!r:.40}, expected as 480x320. {_MEND}")
        if not (folder / TEXT).exists() or read_bytes(folder / TEXT) != _text(folder, measured):
            raise ToolkitError(f"{folder / TEXT}: does not say what {FILE} says. {_MEND}")
        return cls(
            name=folder.name,
            frame_kind=frame_kind(pruner["encoder"]),
            path=folder,
            measured=measured,
            not_for=tuple(card["not_for"]),
            sources=tuple(pruner["learnt"]["sources"]),
            usage=card["usage"],
            four_way=card["four_way"],
            price=card["price"],
            overrides=pruner.get("overrides", {}),
        )

    @property
    def bit_depths(self) -> tuple[int, ...]:
        """Bit depths at which it was measured."""
        return tuple(sorted({row.bit_depth for row in self.measured}))

    def row(
        self,
        material: str,
        bit_depth: int,
        cpu_used: int,
        pixels: int | None = None,
        libaom: str | None = None,
        chroma: int = 420,
        tune: str = "psnr",
    ) -> Row | None:
        """What was measured on a material of a bit depth at a speed, at the size nearest to so many pixels a frame.

        Of several at that size (of all, where `pixels` is None) it is that of the most sources. `libaom` is a version,
        None the one in use (`rows_with`). None where nothing was measured.
        """
        known = rows_with(libaom or version().name, self.measured)
        rows = [row for row in known if row.of == (material, bit_depth, cpu_used, chroma, tune)]
        return min(rows, key=lambda row: (row.distance(pixels) if pixels else 0, -len(row.sources)), default=None)


def cards() -> list[Card]:
    """Cards of the pruners in the box that have one, by name."""
    return [Card.load(FOLDER / name) for name in names() if (FOLDER / name / FILE).is_file()]


def rows_with(libaom: str, measured: Sequence[Row]) -> list[Row]:
    """Rows that speak of a version of libaom.

    Of each material, bit depth, speed, chroma and tune these are the rows measured with that version, else with the
    newest that has any.
    """
    order = [libaom, *_newest_first(measured)]
    best: dict[tuple[str, int, int, int, str], str] = {}
    for row in sorted(measured, key=lambda row: order.index(row.libaom)):
        best.setdefault(row.of, row.libaom)
    return [row for row in measured if row.libaom == best[row.of]]


def renewed(measured: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The new rows, then those measured before of which none speaks: of another version, size or kind of encode."""
    spoken_of = {(row.of, row.libaom, row.size) for row in new}
    return [*new, *(row for row in measured if (row.of, row.libaom, row.size) not in spoken_of)]


def _newest_first(measured: Sequence[Row]) -> list[str]:
    """Versions of libaom that rows were measured with."""
    return sorted({row.libaom for row in measured}, key=lambda name: [*map(int, name.split("."))], reverse=True)


def choose(
    material: str,
    bit_depth: int,
    usage: str,
    cpu_used: int,
    *,
    four_way: bool | None = None,
    pixels: int | None = None,
    libaom: str | None = None,
    chroma: int = 420,
    tune: str = "psnr",
) -> tuple[Card, Row] | None:
    """The pruner in the box for such an encode whose card shows the greatest gain, and what to expect of it.

    `four_way` None takes either. Of a card that has several sizes, the one nearest to so many `pixels` a frame counts.
    `libaom` is a version, None the one in use. None where no card shows a gain.
    """
    found = [
        (card, row)
        for card in cards()
        if card.usage == usage
        and four_way in (None, card.four_way)
        and (row := card.row(material, bit_depth, cpu_used, pixels, libaom, chroma, tune)) is not None
        and row.gains
    ]
    return max(found, key=lambda pair: pair[1].under_frontier or 0, default=None)


def write_card(folder: Path, measured: Sequence[Row], not_for: Sequence[str]) -> None:
    """Seal a card beside a pruner, in place of one that is there.

    Raises ToolkitError where rows are of a material whose frames the pruner does not prune.
    """
    pruner = _manifest(folder)
    kind = frame_kind(pruner["encoder"])
    if wrong := {row.material for row in measured if (row.material == CLIPS) != (kind == "inter")}:
        raise ToolkitError(f"{folder}: a pruner of {kind} frames, measured on {', '.join(sorted(wrong))}.")
    body = {
        "pruner_sha256": pruner["sha256"],
        "usage": pruner["encoder"]["usage"],
        "four_way": bool(pruner["encoder"].get("enable_1to4_partitions", 1)),
        "price": float(pruner["price"]),
        "measured": [asdict(row) for row in measured],
        "not_for": list(not_for),
    }
    atomic_write_bytes(folder / TEXT, _text(folder, measured))
    FORMAT.write(body, folder)


def speeds(measured: Sequence[Row]) -> list[int]:
    """Speeds at which every row is a gain, of any material: C cannot tell clips from photographs."""
    return [
        speed
        for speed in sorted({row.cpu_used for row in measured})
        if all(row.gains for row in measured if row.cpu_used == speed)
    ]


def served(measured: Sequence[Row]) -> dict[tuple[int, int, str], list[int]]:
    """The speeds at which every row is a gain, by bit depth, chroma and tune that were measured, in a fixed order."""
    found: dict[tuple[int, int, str], list[Row]] = {}
    for row in measured:
        found.setdefault((row.bit_depth, row.chroma, row.tune), []).append(row)
    return {of: speeds(found[of]) for of in sorted(found)}


def _text(folder: Path, measured: Sequence[Row]) -> bytes:
    lines = [
        f"speeds {libaom} {bit_depth} {chroma} {TUNES[tune]} {''.join(map(str, own)) or 'none'}"
        for libaom in _newest_first(measured)
        for (bit_depth, chroma, tune), own in served(rows_with(libaom, measured)).items()
    ]
    return checked_text(["av1part-card 4", f"crc32 {crc32((folder / NATIVE).read_bytes())}", *lines])


def rows_of(report: Mapping[str, Any], material: str, price: float, command: str, machine: str) -> list[Row]:
    """Rows of a `bench encoder` report, one for each speed at which the pruner was measured at that price.

    Raises ToolkitError where there is none, or where its sources have more than one bit depth.
    """
    if len(report["bit_depths"]) != 1:
        raise ToolkitError(f"The report has sources of {report['bit_depths']} bit. Measure each bit depth by itself.")
    chroma = report["settings"].get("chroma", 420)
    rows = [
        Row(
            material=material,
            bit_depth=report["bit_depths"][0],
            cpu_used=arm["cpu_used"],
            saving=round(arm["own_preset"]["saving"], 1),
            extra_bytes=round(arm["own_preset"]["loss_yuv" if chroma in (422, 444) else "loss"], 2),
            under_frontier=None if (under := _under(arm)) is None else round(under, 2),
            sources=list(report["clips"]),
            worst=f"{arm['worst']['clip']} {arm['worst']['loss']:+.2f}% against {report['anchor']}",
            size=report.get("largest", report["settings"]["size"]),  # reports of earlier versions have no largest
            command=command,
            machine=machine,
            libaom=report["libaom"],
            chroma=chroma,
            tune=report["settings"].get("tune", "psnr"),
        )
        for arm in report["arms"]
        if arm["kind"] == f"pruner {price:g}"
    ]
    if not rows:
        raise ToolkitError(f"The report has no arm of the pruner at its own price, {price:g}. Measure it there.")
    return rows


def _under(arm: Mapping[str, Any]) -> float | None:
    """Points under the presets' line by PSNR of luma, of all planes, or by SSIM, whichever is least."""
    if arm["under_frontier"] is None:
        return None
    others = [arm.get(f"under_frontier_{quality}") for quality in ("ssim", "yuv")]
    return float(min([arm["under_frontier"], *(own for own in others if own is not None)]))


def _manifest(folder: Path) -> _Pruner:
    """The pruner's manifest, as far as a card needs it; whoever uses the pruner verifies all of it."""
    file = folder / "manifest.json"
    return shaped(read_json(file), _Pruner, str(file), "Make the pruner again with `av1part pruner fit`.")
