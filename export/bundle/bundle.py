"""The bundle, the folder that ships: one graph, one bit depth, one set of encoder settings, every byte checked."""

import hashlib
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from export.bundle.replay import Kept, Replays, load_replays, read_kept
from export.bundle.report import REPORT_FILES, Report, load_report
from export.graph.contract import Contract
from export.graph.instruction_set import instruction_set
from export.graph.profiles import profile_of
from export.graph.runtime import RuntimeModel
from toolkit.data.blockset import BlockSet
from toolkit.data.encoder_settings import EncoderRecord
from toolkit.errors import ToolkitError
from toolkit.files import quoted, sha256_file
from toolkit.folders import BUNDLE, check_folder
from toolkit.metrics import NamedScore
from toolkit.model.provenance import Seen, is_known
from toolkit.model.suitability import check_bit_depth, check_settings, check_unseen
from toolkit.sealed import SealedFolder
from toolkit.shapes import is_sha256

if TYPE_CHECKING:
    from toolkit.model.checkpoint import Checkpoint

_log = logging.getLogger("av1part")

MANIFEST = "manifest.json"
SIZE_LIMITS = {"model.onnx": 1 << 29, "checkpoint.pt": 1 << 29, "MODEL_CARD.md": 1 << 20}
"""Files that a manifest must list, and the most bytes that each may have."""
SIGNATURE = "manifest.sig"
SIGNATURE_BYTES = 64
BESIDE = (*REPORT_FILES, SIGNATURE)
"""Files that may lie beside the manifest: made after it, they name or sign it."""
_MANIFEST_LIMIT, _BESIDE_LIMIT = 1 << 22, 1 << 26
_MEND = "Make the bundle again with `av1part export`."


class FileEntry(TypedDict):
    """Size and hash of one file of a bundle."""

    bytes: int
    sha256: str


Quantization = TypedDict(
    "Quantization",
    {
        "from": str,
        "model_sha256": str,
        "data_sha256": str,
        "split": str,
        "blocks": int,
        "sources": int,
        "operators": list[str],
        "limit": int,
        "seed": int,
    },
)
"""Origin of an int8 graph. `from`: sha256 of the float32 bundle; `blocks`, `sources`: numbers that set its ranges."""


class ExportCheck(TypedDict):
    """What every reader may rely on of the comparison at export time, a `Verdict`."""

    comparisons: int
    rms: float
    ratio: float
    max_budget: float


class _Score(TypedDict):
    macro_f1: float


class _Baselines(TypedDict):
    best_constant: NamedScore


class Shipped(TypedDict):
    """Provenance of a bundle's model, as far as every reader may rely on it; the rest is as in the checkpoint."""

    train_sources: list[str]
    train_sources_known: NotRequired[bool]
    epoch: int
    chosen: str
    metrics: _Score
    baselines: _Baselines
    init: NotRequired[Seen]
    taught_by: NotRequired[Seen]


class Manifest(TypedDict):
    """manifest.json. `contract`: as of `Contract.to_dict`; `weak`: reasons why the model is not worth shipping.

    `export_check`: the comparison at export time, of the float32 graph. `quantization`: only of an int8 bundle.
    """

    kind: str
    format_version: int
    contract: dict[str, object]
    backbone: str
    opset: NotRequired[int]
    encoder: EncoderRecord
    weak: list[str]
    export_check: ExportCheck
    provenance: Shipped
    quantization: NotRequired[Quantization]
    files: dict[str, FileEntry]
    sha256: str


FORMAT = SealedFolder(BUNDLE.kind, 1, Manifest, "a bundle's", _MEND, MANIFEST, _MANIFEST_LIMIT)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, opened with `Bundle.load`.

    `report`: its parity report, None where it has none; `replays`: what repeats of that proof found, likewise.
    """

    path: Path
    manifest: Manifest
    contract: Contract
    report: Report | None
    replays: Replays | None = None

    @classmethod
    def load(cls, path: Path | str, *, with_report: bool = True) -> "Bundle":
        """Open a bundle and verify every byte of it.

        Raises ToolkitError on a missing, additional, linked, oversized or changed file, on a manifest that was edited
        or has an entry of another type, and on a parity report that was edited or belongs to another bundle.
        `with_report` false leaves the report unread, for a new proof that replaces it.
        """
        path = Path(path)
        _check_names(path)
        manifest = _read_manifest(path)
        for name, entry in manifest["files"].items():
            _check_file(path / name, entry)
        contract = Contract.from_dict(manifest["contract"], f"{path}/{MANIFEST}")
        report = load_report(path, manifest["sha256"]) if with_report else None
        proof = report.get("proof_npz_sha256") if report else None
        replays = load_replays(path, manifest["sha256"], proof) if with_report else None
        is_signed(path)  # raises on a file that cannot be a signature
        return cls(path, manifest, contract, report, replays)

    @property
    def sha256(self) -> str:
        """Hash of the manifest. The manifest holds the hash of every file, so this names the bundle exactly."""
        return str(self.manifest["sha256"])

    @property
    def stage(self) -> str:
        return self.contract.stage

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.contract.classes

    @property
    def bit_depth(self) -> int:
        return self.contract.bit_depth

    @property
    def encoder(self) -> EncoderRecord:
        """Settings of the encoder that made the training labels."""
        return self.manifest["encoder"]

    @property
    def int8(self) -> bool:
        """Whether the graph is int8, derived from another bundle by `av1part quantize`."""
        return "quantization" in self.manifest

    def model_bytes(self) -> bytes:
        """Read the ONNX file and check its hash again, so that the verified bytes are the ones that run."""
        data = (self.path / "model.onnx").read_bytes()
        if hashlib.sha256(data).hexdigest() != self.manifest["files"]["model.onnx"]["sha256"]:
            raise ToolkitError(f"{self.path}/model.onnx changed since the bundle was opened. Open it again.")
        return data

    def session(self, provider: str = "cpu", threads: int | None = None) -> RuntimeModel:
        """Open the graph on that provider, with the warning of `check_cpu`; errors as of RuntimeModel."""
        self.check_cpu(provider)
        return RuntimeModel(self.model_bytes(), self.contract, provider, threads)

    def check_cpu(self, provider: str) -> None:
        """Warn where this bundle was proven on a CPU of another instruction set than this one's."""
        result = self.proof(provider)
        if provider != "cpu" or result is None or not self.proven(provider):
            return
        there = result.get("versions", {}).get("instruction_set", "not recorded")
        if there == (here := instruction_set()) or (there == "not recorded" and not self.int8):
            return
        kept = self.report is not None and "proof_npz_sha256" in self.report
        _log.warning(
            "%s: %sproven on another kind of CPU (%s) than this (%s). Prove it here: av1part parity %s %s.",
            self.path, "int8, " * self.int8, there, here, quoted(self.path), "--replay" if kept else "DATA",
        )  # fmt: skip

    def checkpoint(self) -> "Checkpoint":
        """Load the PyTorch model that was exported; ToolkitError where it departs from this bundle's contract."""
        from toolkit.model.checkpoint import load_checkpoint  # imports torch, which running a bundle does not need

        _check_file(self.path / "checkpoint.pt", self.manifest["files"]["checkpoint.pt"])  # again: it may have changed
        checkpoint = load_checkpoint(self.path / "checkpoint.pt")
        if Contract.of(checkpoint.config) != self.contract:
            raise ToolkitError(f"{self.path}: the checkpoint is {checkpoint.config}, not of {self.contract}.")
        return checkpoint

    def proven(self, provider: str) -> bool:
        """Whether a proof, or a repeat of it, shows that this bundle's exact bytes passed on that provider."""
        result = self.proof(provider)
        return bool(result and result["status"] == "passed" and result["comparisons"] > 0)

    def proof(self, provider: str) -> Mapping[str, Any] | None:
        """The last result on that provider, of a repeat where there is one; None where there is no result."""
        name = profile_of(provider, int8=self.int8)
        if self.replays and name in self.replays["profiles"]:
            return self.replays["profiles"][name]
        return self.report["providers"].get(provider) if self.report else None

    def kept(self) -> Kept:
        """The blocks of its proof with their float64 logits; ToolkitError where it has none."""
        if not self.report or "proof_npz_sha256" not in self.report:
            raise ToolkitError(
                f"{self.path}: keeps no blocks of a proof. Prove it once, where PyTorch is installed, with "
                f"`av1part parity {quoted(self.path)} DATA`."
            )
        return read_kept(self.path, self.report["proof_npz_sha256"], self.contract)

    def check_data(self, data: BlockSet, *, any_settings: bool = False) -> None:
        """Raise ToolkitError unless the data fit the model.

        The bit depth must always be the same; the encoder settings too, unless `any_settings`.
        """
        advice = " Use data of that depth, or a bundle trained on this one."
        check_bit_depth(self.path, self.bit_depth, data, advice)
        if not any_settings:
            check_settings(self.path, self.encoder, data)

    @property
    def training_known(self) -> bool:
        """Whether the manifest names every source of the training data; that of an imported checkpoint does not."""
        return is_known(self.manifest["provenance"])

    def check_held_out(self, data: BlockSet, split: str) -> None:
        """Raise ToolkitError where the split holds a source that the model, or its Stage 1, was trained on."""
        advice = "; expected held-out ones. Use --split val or test of the data it was trained with."
        check_unseen(self.manifest["provenance"], data, split, advice)


def is_signed(bundle: Path) -> bool:
    """Whether the bundle has a signature; only `verify_signature` tells whose. ToolkitError on a wrong size."""
    file = bundle / SIGNATURE
    if not file.exists():
        return False
    if file.stat().st_size != SIGNATURE_BYTES:
        size = file.stat().st_size
        raise ToolkitError(f"{file}: {size} bytes, a signature has {SIGNATURE_BYTES}. Sign it again, or remove it.")
    return True


def _check_names(path: Path) -> None:
    """Raise ToolkitError unless the folder holds exactly a bundle's files, all of them ordinary."""
    check_folder(path, BUNDLE)
    required = {MANIFEST, *SIZE_LIMITS}
    found = set()
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name not in required and entry.name not in BESIDE:
                interrupted = entry.name.startswith(tuple(f".{name}." for name in BESIDE))
                hint = " It was left by a write that was interrupted, or is still going on." if interrupted else ""
                raise ToolkitError(f"{path}: {entry.name!r} does not belong in a bundle.{hint} Remove it.")
            if not entry.is_file(follow_symlinks=False):
                raise ToolkitError(f"{path}/{entry.name}: a link or folder, expected an ordinary file. Copy it whole.")
            if entry.name in BESIDE and entry.stat(follow_symlinks=False).st_size > _BESIDE_LIMIT:
                raise ToolkitError(f"{path}/{entry.name}: larger than {_BESIDE_LIMIT} bytes. Remove it; prove again.")
            found.add(entry.name)
    if required - found:
        raise ToolkitError(f"{path}: {', '.join(sorted(required - found))} missing. Copy the whole bundle.")


def _read_manifest(path: Path) -> Manifest:
    """Read the manifest; ToolkitError unless it is sealed, of this format, and its entries have the right types."""
    file = path / MANIFEST
    manifest = FORMAT.read(path)
    if set(manifest["files"]) != set(SIZE_LIMITS):
        raise ToolkitError(f"{file}: lists {sorted(manifest['files'])}, expected {sorted(SIZE_LIMITS)}.")
    for name, entry in manifest["files"].items():
        if not 0 <= entry["bytes"] <= SIZE_LIMITS[name]:
            raise ToolkitError(f"{file}: {name} has {entry['bytes']} bytes, expected 0 to {SIZE_LIMITS[name]}.")
        if not is_sha256(entry["sha256"]):
            raise ToolkitError(f"{file}: {name} has no sha256. {_MEND}")
    return manifest


def _check_file(file: Path, entry: FileEntry) -> None:
    """Raise ToolkitError unless the file has the manifest's size and hash. The size comes first: it bounds the work."""
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size != entry["bytes"]:
        raise ToolkitError(f"{file}: {status.st_size} bytes, the manifest says {entry['bytes']}. Copy or export again.")
    if sha256_file(file) != entry["sha256"]:
        raise ToolkitError(f"{file}: changed (sha256 differs from the manifest). Copy or export it again.")
