"""A pruner's folder: its native form, its ONNX form, and a sealed manifest with the proof that both decide alike.

`hook.txt` repeats for C what the manifest says of the native form's use."""

import shutil
from collections.abc import Mapping
from ctypes import CDLL
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from integration.codec import native
from integration.codec.config import EncoderConfig
from integration.codec.overrides import Overrides, check_overrides
from integration.pruning import hook_file
from integration.pruning.config import check_price
from toolkit.data.encoder_settings import RecordedBy
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, read_bytes, sha256_file
from toolkit.folders import PRUNER
from toolkit.pruners.record import frame_kind
from toolkit.pruners.record_format import RecordedSource
from toolkit.sealed import SealedFolder, check_files, check_names
from toolkit.search.table import FRAME_KINDS, Feature
from toolkit.shapes import Sha256

NATIVE, GRAPH = "pruner.bin", "pruner.onnx"
FILES = (hook_file.NAME, NATIVE, GRAPH)
MANIFEST = "manifest.json"
CARD = "card.json"
BESIDE = (CARD, "card.txt")
"""What a pruner in the box has beside its sealed files: its card, which names it by its seal, and the card for C."""
LIMIT = 1 << 26
"""Most bytes that a file of a pruner may have."""
_MEND = "Make it again with `av1part fit`."


class Learnt(TypedDict):
    """What a pruner learnt from: hashes of its training sources, and all sources of the record."""

    train_sources: list[Sha256]
    sources: NotRequired[list[RecordedSource]]


class ProvenModel(TypedDict):
    """Model of one node size and decision, of those whose forms were compared."""

    side: int
    decision: str


class Simulated(TypedDict):
    """What decisions would do to the validation pictures: squares asked about and skipped, shares lost and saved."""

    asked: int
    skipped: int
    loss_percent: float
    time_percent: float


class Proven(TypedDict):
    """What every reader may rely on of the proof that a pruner's forms decide alike."""

    rows: int
    passed: NotRequired[bool]
    onnxruntime: NotRequired[str]
    budget: NotRequired[float]
    comparisons: NotRequired[list[ProvenModel]]


class Tuned(TypedDict):
    """Version of libaom, speed, chroma and tune of the encodes by which a pruner was tuned, named as in RecordedBy."""

    version: str
    cpu_used: int
    chroma: str
    tune: str


class PrunerManifest(TypedDict):
    """Content of manifest.json. `encoder`: settings of the record; `validation`: losses and times at the own price,
    empty where that was chosen by encodes alone.

    `overrides`: values of libaom's speed features by name, for each speed, as in `{"6": {"lpf_sf.lpf_pick": 3}}`.
    `tuned`: those of the encoder's settings under which price and overrides were tried, where it was made for others.
    """

    kind: str
    format_version: int
    bit_depth: int
    encoder: RecordedBy
    features: list[dict[str, object]]
    feature_table: str
    price: float
    most: float
    overrides: NotRequired[dict[str, dict[str, int]]]
    tuned: NotRequired[Tuned]
    learnt: Learnt
    proof: Proven
    validation: dict[str, Simulated]
    files: dict[str, Sha256]
    sha256: str


FORMAT = SealedFolder(PRUNER.kind, 1, PrunerManifest, "a pruner's", _MEND, MANIFEST)


@dataclass(frozen=True)
class PrunerBundle:
    """A verified pruner, opened with `PrunerBundle.load`: `data` are the bytes that the hook takes."""

    path: Path
    manifest: PrunerManifest
    data: bytes

    @classmethod
    def load(cls, path: Path | str) -> "PrunerBundle":
        """Open a pruner and check every byte; ToolkitError where it is none, was changed, or carries no proof."""
        path = Path(path)
        manifest = FORMAT.read(path)
        for file in (path / name for name in FILES):
            if not file.is_file() or file.stat().st_size > LIMIT:
                raise ToolkitError(f"{file}: missing or larger than {LIMIT} bytes. Copy the whole folder. {_MEND}")
        check_files(path, manifest["files"], FILES, "pruner")
        check_names(path, manifest["files"], BESIDE)
        if not manifest["proof"].get("passed"):
            raise ToolkitError(f"{path}: its forms were not proven to decide alike. {_MEND}")
        check_speeds(manifest.get("overrides", {}), str(path / MANIFEST))
        data = (path / NATIVE).read_bytes()
        if read_bytes(path / hook_file.NAME) != hook_file.hook_text(manifest, data):
            raise ToolkitError(f"{path / hook_file.NAME}: does not say what the manifest says. {_MEND}")
        return cls(path, manifest, data)

    @property
    def encoder(self) -> RecordedBy:
        """Settings of the encoder whose search it learnt; libaom, speed, chroma and tune of a tuned one are of that."""
        return cast(RecordedBy, hook_file.made_for(self.manifest))

    @property
    def frame_kind(self) -> str:
        """Kind of frames that it prunes, `key` or `inter`; the others are coded as by libaom alone."""
        return frame_kind(self.encoder)

    @property
    def sha256(self) -> str:
        """Hash that names the pruner."""
        return str(self.manifest["sha256"])

    @property
    def price(self) -> float:
        """Loss that one pixel of time may cost, unless the encode says another."""
        return float(self.manifest["price"])

    @property
    def most(self) -> float:
        """Expected loss at which a decision never skips, in average pixels."""
        return float(self.manifest["most"])

    def overrides(self, cpu_used: int) -> Overrides:
        """Values for libaom's speed features in the frames that it prunes at a speed; empty: libaom's own."""
        return self.manifest.get("overrides", {}).get(str(cpu_used), {})

    def check_library(self, library: CDLL) -> None:
        """Raise ToolkitError unless the pruner suits this hook: its table of features, and its libaom.

        One with a card beside it serves another libaom too: the card says what it gives there.
        """
        kinds = FRAME_KINDS[: FRAME_KINDS.index(self.frame_kind) + 1]  # one of inter frames may have either's table
        tables = {native.feature_table_name(library, kind): native.feature_table(library, kind) for kind in kinds}
        known = tables.get(self.manifest["feature_table"], ())
        if [asdict(feature) for feature in known] != self.manifest["features"] or not known:
            raise ToolkitError(f"{self.path}: made for another table of features than this hook's. {_MEND}")
        version = native.libaom_version(library)
        if self.encoder.get("version") != version and not (self.path / CARD).is_file():
            raise ToolkitError(
                f"{self.path}: version was {self.encoder.get('version')!r} in its record, {version!r} here. "
                "Record and fit with these settings."
            )

    def check_encoder(self, config: EncoderConfig, library: CDLL) -> None:
        """Raise ToolkitError unless the pruner was made for this hook's features, usage, libaom and kind of frames.

        A pruner serves 8 and 10 bit, every chroma and every tune alike: luma is measured in quantiser steps, and costs
        in bits; its card says where that pays. One of key frames serves every encode, since each has some.
        """
        self.check_library(library)
        if self.frame_kind == "inter" and config.keyint == 1:
            raise ToolkitError(
                f"{self.path}: made for inter frames, and here every frame is a key frame. Code with a keyint above 1, "
                "or take a pruner of key frames."
            )
        if config.bit_depth == 12:
            raise ToolkitError(
                f"{self.path}: made for 8 or 10 bit, not for 12. Code without a pruner (--no-pipeline), or in 10 bit."
            )
        here = {"usage": config.usage, "enable_1to4_partitions": int(config.four_way)}
        for key, value in here.items():
            if self.encoder.get(key) != value:
                raise ToolkitError(
                    f"{self.path}: {key} was {self.encoder.get(key)!r} in its record, {value!r} here. "
                    "Record and fit with these settings."
                )


def check_speeds(overrides: Mapping[str, Overrides], where: str) -> None:
    """Raise ToolkitError, which begins with `where`, unless these are overrides by speed, in libaom's ranges."""
    for speed, own in overrides.items():
        if speed not in tuple("0123456"):
            raise ToolkitError(f"{where}: overrides for speed {speed!r:.40}, expected 0 to 6.")
        check_overrides(own, where)


def write_pruner(
    path: Path, manifest: Mapping[str, Any], data: bytes, graph: bytes, *, overwrite: bool = False
) -> None:
    """Seal a pruner's folder; whole or not at all."""
    with atomic_folder(path, overwrite=overwrite) as folder:
        (folder / NATIVE).write_bytes(data)
        (folder / GRAPH).write_bytes(graph)
        (folder / hook_file.NAME).write_bytes(hook_file.hook_text(manifest, data))
        files = {name: sha256_file(folder / name) for name in FILES}
        FORMAT.write({**manifest, "files": files}, folder)


def reseal(
    made: PrunerBundle,
    path: Path,
    price: float,
    overrides: Mapping[str, Overrides],
    tuned: Tuned,
    *,
    overwrite: bool = False,
) -> PrunerBundle:
    """Write the folder of a pruner again with another price, and overrides by speed; its proof holds with any.

    Raises ToolkitError on a price, speed, feature or value that there is none of.
    """
    check_price(price, made.most)
    check_speeds(overrides, "Overrides")
    given = {speed: dict(own) for speed, own in overrides.items() if own}
    manifest: dict[str, Any] = {**made.manifest, "price": price, "overrides": given, "tuned": tuned}
    if not given:
        del manifest["overrides"]
    if price != made.price:
        manifest["validation"] = {}
    write_pruner(path, manifest, made.data, (made.path / GRAPH).read_bytes(), overwrite=overwrite)
    return PrunerBundle.load(path)


def copy_pruner(pruner: PrunerBundle, target: Path) -> PrunerBundle:
    """Copy a pruner's sealed files into a new folder and open the copy; its card, of this pruner alone, stays behind.

    Raises ToolkitError where the pruner changed meanwhile.
    """
    target.mkdir(parents=True)
    for name in (MANIFEST, *FILES):
        shutil.copyfile(pruner.path / name, target / name)
    copy = PrunerBundle.load(target)
    if copy.sha256 != pruner.sha256:
        raise ToolkitError(f"{pruner.path} changed while it was copied. Give the command again.")
    return copy


def current_features(kind: str) -> tuple[Feature, ...]:
    """Features, in frames of a kind, of the hook that is built here."""
    from integration.codec.libaom_build import libraries

    return native.feature_table(native.load(libraries().hook), kind)
