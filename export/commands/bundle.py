"""`av1part bundle`: look at a bundle, verify every byte of it, or sign it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.folders import BUNDLE, check_folder

if TYPE_CHECKING:
    from export.bundle.bundle import Bundle


@click.group()
def bundle() -> None:
    """Verify a bundle, sign it, or show what it is."""


@bundle.command()
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "--public-key", type=click.Path(path_type=Path), help="PEM file: BUNDLE must be signed by the holder of its key."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(path: Path, public_key: Path | None, as_json: bool) -> None:
    """Check files, seals, graph and checkpoint of BUNDLE against each other; exit 1 where anything is off."""
    check_folder(path, BUNDLE)
    from export.bundle.bundle import Bundle, is_signed
    from export.bundle.signing import verify_signature
    from export.graph.check import check_onnx

    opened = Bundle.load(path)
    if public_key:  # before anything in the bundle is parsed or run
        verify_signature(opened, public_key)
    check_onnx(opened.model_bytes(), opened.contract, int8=opened.int8)
    opened.session()
    opened.checkpoint()
    proven = [p for p in (opened.report or {"providers": {}})["providers"] if opened.proven(p)]
    signed = "by that key" if public_key else "not checked" if is_signed(path) else "no"
    if as_json:
        click.echo(json.dumps({"verified": True, "sha256": opened.sha256, "proven": proven, "signed": signed}))
        return
    click.echo(
        f"{path}: every file and seal is right, graph and checkpoint keep the contract. Proven to compute the same on: "
        f"{', '.join(proven) or 'nothing yet (av1part parity)'}. Signed: {signed}."
    )


@bundle.command()
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="PEM file of an Ed25519 private key.")
@click.option("--ask-password", is_flag=True, help="The key file is encrypted; ask for its password.")
def sign(path: Path, key: Path, ask_password: bool) -> None:
    """Sign BUNDLE's manifest, and so every file that it names; reports that are made later do not change that."""
    check_folder(path, BUNDLE)
    from export.bundle import signing
    from export.bundle.bundle import Bundle

    password = click.prompt("Password", hide_input=True, err=True).encode() if ask_password else None
    click.echo(signing.sign(Bundle.load(path), key, password))


@bundle.command()
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest and the report as one JSON object.")
def info(path: Path, as_json: bool) -> None:
    """Say what BUNDLE predicts, for which input, where it comes from and on what it was proven."""
    check_folder(path, BUNDLE)
    from export.bundle.bundle import Bundle

    opened = Bundle.load(path)
    text = json.dumps({"manifest": opened.manifest, "report": opened.report}) if as_json else describe(opened)
    click.echo(text)


def describe(opened: "Bundle") -> str:
    """Describe a bundle in a few lines."""
    manifest, check = opened.manifest, opened.manifest["export_check"]
    provenance = manifest["provenance"]
    ids = ", ".join(f"{name} {list(ids)}" for name, ids in zip(opened.classes, opened.contract.groups, strict=True))
    constant = provenance["baselines"]["best_constant"]
    providers = opened.report["providers"] if opened.report else {}
    proofs = ", ".join(f"{name} {result['status']}" for name, result in providers.items())
    weak = [f"WEAK: {reason}" for reason in manifest["weak"]]
    lines = [
        f"{opened.path}: stage {opened.stage}, {manifest['backbone']}, {opened.contract.window}, "
        f"{opened.bit_depth} bit, sha256 {opened.sha256}",
        f"  classes (AV1 ids): {ids}",
        f"  epoch {provenance['epoch']} ({provenance['chosen']}): macro-F1 {provenance['metrics']['macro_f1']:.4f}; "
        f"always {constant['class']}: {constant['macro_f1']:.4f}",
        f"  at export{' (the float32 graph)' * opened.int8}: {check['comparisons']} logits compared, RMS error "
        f"{check['rms']:.3g}, {check['ratio']:.2f} times PyTorch float32's (allowed: 4)",
        f"  parity: {proofs or 'not proven yet'}",
    ]
    return "\n".join([*lines, *(f"  {w}" for w in weak)])
