"""Signatures: one key, one manifest; anything else is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from support.commands import cli, message

from export.bundle.bundle import Bundle
from export.bundle.signing import SIGNATURE, sign, verify_signature
from export.bundle.write import Chosen, write_bundle
from export.proof.config import ParityConfig
from export.proof.prove import prove
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.policy import Policy
from toolkit.errors import ToolkitError


def write_pair(folder: Path, name: str, private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
    pem = (s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    (folder / f"{name}.pem").write_bytes(private.private_bytes(*pem))
    public = private.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(public)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """mine and other: pairs; curve: a pair of another kind; locked: mine under the password "secret"."""
    mine = ed25519.Ed25519PrivateKey.generate()
    write_pair(tmp_path, "mine", mine)
    write_pair(tmp_path, "other", ed25519.Ed25519PrivateKey.generate())
    write_pair(tmp_path, "curve", ec.generate_private_key(ec.SECP256R1()))
    encryption = s.BestAvailableEncryption(b"secret")
    locked = mine.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)
    (tmp_path / "locked.pem").write_bytes(locked)
    return tmp_path


@pytest.fixture
def signed(exported: Path, keys: Path, tmp_path: Path) -> Path:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    run = cli("bundle", "sign", bundle, "--key", keys / "mine.pem")
    assert run.exit_code == 0, run.output
    return bundle


def test_a_signed_bundle_verifies_with_its_key_alone(signed: Path, keys: Path) -> None:
    assert (signed / SIGNATURE).stat().st_size == 64
    run = cli("bundle", "verify", signed, "--public-key", keys / "mine.pub")
    assert run.exit_code == 0, run.output
    assert "Signed: by that key." in run.stdout
    assert "is not by the key" in message(cli("bundle", "verify", signed, "--public-key", keys / "other.pub"))
    assert "Signed: not checked." in cli("bundle", "verify", signed).stdout
    os.mkfifo(keys / "pipe")
    assert "ordinary file" in message(cli("bundle", "verify", signed, "--public-key", keys / "pipe"))


def test_openssl_agrees(signed: Path, keys: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    words = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(keys / "mine.pub")]
    files = ["-in", str(signed / "manifest.json"), "-sigfile", str(signed / SIGNATURE)]
    assert subprocess.run([openssl, *words, *files], capture_output=True, check=False).returncode == 0


def test_an_unsigned_bundle_does_not_pass_for_a_signed_one(exported: Path, keys: Path) -> None:
    assert "not signed" in message(cli("bundle", "verify", exported, "--public-key", keys / "mine.pub"))
    assert "Signed: no." in cli("bundle", "verify", exported).stdout


def test_a_bundle_sealed_again_by_another_hand_loads_but_is_not_signed(
    signed: Path, keys: Path, exported: Path, tmp_path: Path
) -> None:
    write_bundle(Chosen(exported / "checkpoint.pt", "another reason"), tmp_path / "forged")
    shutil.copy(signed / SIGNATURE, tmp_path / "forged" / SIGNATURE)
    assert cli("bundle", "verify", tmp_path / "forged").exit_code == 0
    run = cli("bundle", "verify", tmp_path / "forged", "--public-key", keys / "mine.pub")
    assert "not of this manifest" in message(run)


def test_every_bit_of_a_signature_counts(signed: Path, keys: Path) -> None:
    bundle, good = Bundle.load(signed), (signed / SIGNATURE).read_bytes()
    for bit in range(0, 512, 7):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        (signed / SIGNATURE).write_bytes(changed)
        with pytest.raises(ToolkitError, match="is not by the key"):
            verify_signature(bundle, keys / "mine.pub")
    for length in (0, 63, 65, 1 << 20):
        (signed / SIGNATURE).write_bytes(good[:1] * length)
        with pytest.raises(ToolkitError, match="a signature has 64"):
            Bundle.load(signed)


def test_a_manifest_swapped_after_opening_is_neither_signed_nor_verified(signed: Path, keys: Path) -> None:
    bundle = Bundle.load(signed)
    for content in (b"{}", b"\xff"):
        (signed / "manifest.json").write_bytes(content)
        with pytest.raises(ToolkitError, match="changed since"):
            verify_signature(bundle, keys / "mine.pub")
        with pytest.raises(ToolkitError, match="changed since"):
            sign(bundle, keys / "mine.pem")


def test_a_proof_leaves_the_signature_valid_and_a_pipeline_keeps_it(
    signed: Path, keys: Path, blockset_8: Path, tmp_path: Path
) -> None:
    assert prove(signed, blockset_8, ParityConfig(limit=30, providers=("cpu",)))["passed"]
    verify_signature(Bundle.load(signed), keys / "mine.pub")
    built = build_pipeline([signed], tmp_path / "pipe", Policy(), BuildConfig())
    verify_signature(built["2"], keys / "mine.pub")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("mine.pub", "not a private key that can be read"),
        ("curve.pem", "expected an Ed25519 private key"),
        ("nowhere.pem", "not readable"),
        (".", "not readable"),
        ("locked.pem", "not a private key that can be read"),
    ],
)
def test_other_private_keys_are_refused(exported: Path, keys: Path, key: str, expected: str) -> None:
    assert expected in message(cli("bundle", "sign", exported, "--key", keys / key))
    assert not (exported / SIGNATURE).exists()


def test_a_password_is_asked_for(signed: Path, keys: Path) -> None:
    words = ("bundle", "sign", signed, "--key", keys / "locked.pem", "--ask-password")
    assert cli(*words, password="secret\n").exit_code == 0
    verify_signature(Bundle.load(signed), keys / "mine.pub")
    assert "not a private key that can be read" in message(cli(*words, password="wrong\n"))


@pytest.mark.parametrize(
    ("key", "expected"),
    [("mine.pem", "not a public key that can be read"), ("curve.pub", "expected an Ed25519 public")],
)
def test_other_public_keys_are_refused(signed: Path, keys: Path, key: str, expected: str) -> None:
    assert expected in message(cli("bundle", "verify", signed, "--public-key", keys / key))


def test_without_the_library_the_message_says_what_to_install(
    signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    run = cli("bundle", "verify", signed, "--public-key", keys / "mine.pub")
    assert "pip install 'av1part[sign]'" in message(run)
    assert cli("bundle", "verify", signed).exit_code == 0
