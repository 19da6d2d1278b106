"""Signatures of bundles: Ed25519 (RFC 8032) over the bytes of manifest.json, which names the bytes of every file.

`manifest.sig` is the bare 64-byte signature, so that `openssl pkeyutl -verify -rawin` reads it too. It shows who sealed
the model. It does not cover the parity reports: anybody who runs `av1part parity` makes them.
"""

from pathlib import Path
from typing import Any

from export.bundle.bundle import SIGNATURE, Bundle, is_signed
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_bytes, json_bytes, open_file, read_bytes

_KEY_LIMIT = 1 << 16
_MAKE = "Make a pair with `openssl genpkey -algorithm ed25519 -out key.pem` and `openssl pkey -in key.pem -pubout`."


def sign(bundle: Bundle, key: Path, password: bytes | None = None) -> Path:
    """Write the signature of an opened bundle beside its manifest, replacing an earlier one; returns its path.

    `key`: a PEM file (PKCS#8) of an Ed25519 private key. Raises ToolkitError on any other file, a missing or wrong
    password, and where the package `cryptography` is missing.
    """
    serialization, ed25519, exceptions = _library()
    try:
        private = serialization.load_pem_private_key(_key_bytes(key), password)
    except (
        ValueError,
        TypeError,
        exceptions.UnsupportedAlgorithm,
    ) as error:  # TypeError: a password missing, or given in vain
        raise ToolkitError(f"{key}: not a private key that can be read ({error}). {_MAKE}") from None
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise ToolkitError(f"{key}: {type(private).__name__}, expected an Ed25519 private key. {_MAKE}")
    target = bundle.path / SIGNATURE
    atomic_write_bytes(target, private.sign(_manifest_bytes(bundle)))
    return target


def verify_signature(bundle: Bundle, public_key: Path) -> None:
    """Raise ToolkitError unless the holder of this key signed the manifest of the opened bundle.

    `public_key`: a PEM file of an Ed25519 public key. A bundle never names the key itself: a forger would name his.
    """
    serialization, ed25519, exceptions = _library()
    try:
        public = serialization.load_pem_public_key(_key_bytes(public_key))
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise ToolkitError(f"{public_key}: not a public key that can be read ({error}). {_MAKE}") from None
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise ToolkitError(f"{public_key}: {type(public).__name__}, expected an Ed25519 public key. {_MAKE}")
    if not is_signed(bundle.path):
        raise ToolkitError(f"{bundle.path}: not signed, expected {SIGNATURE}. Sign it with `av1part bundle sign`.")
    try:
        public.verify(read_bytes(bundle.path / SIGNATURE), _manifest_bytes(bundle))
    except exceptions.InvalidSignature:
        raise ToolkitError(
            f"{bundle.path}: {SIGNATURE} is not by the key {public_key}, or not of this manifest. Ask whoever sent the "
            "bundle for it and for the public key again, by another way than the bundle."
        ) from None


def _manifest_bytes(bundle: Bundle) -> bytes:
    """Bytes of the manifest on disk; ToolkitError where they differ from the opened manifest."""
    file = bundle.path / "manifest.json"
    data = read_bytes(file)
    if data != json_bytes(bundle.manifest):
        raise ToolkitError(f"{file} changed since the bundle was opened. Open it again.")
    return data


def _key_bytes(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            data = file.read(_KEY_LIMIT + 1)
    except OSError as error:
        raise ToolkitError(f"{path}: not readable ({error.strerror}). {_MAKE}") from None
    if len(data) > _KEY_LIMIT:
        raise ToolkitError(f"{path}: larger than {_KEY_LIMIT} bytes, so not a key. {_MAKE}")
    return data


def _library() -> tuple[Any, Any, Any]:
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise ToolkitError("Signatures need the package cryptography: pip install 'av1part[sign]'.") from None
    return serialization, ed25519, exceptions
