"""The sealer's key: Ed25519, as PEM. The public half may be given as PEM or as 64 hexadecimal digits."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class SealKeyError(ValueError):
    """A key cannot be used; the message names the file and never the key."""


def generate(path: Path) -> str:
    """Write a new private key to `path`, which must not exist, and return its public half as hex."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SealKeyError(f"{path} exists; a key is never overwritten. Choose another file") from None
    except OSError as error:
        raise SealKeyError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return key.public_key().public_bytes_raw().hex()


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key. Raises SealKeyError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SealKeyError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SealKeyError(f"{path} is no private key in PEM; `chronicle seal keygen` makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SealKeyError(f"{path} is no Ed25519 key; `chronicle seal keygen` makes one")
    return key


def public_key(given: str) -> str:
    """Return a public key as hex: `given` is its hex, or a file with its hex or PEM. Raises SealKeyError."""
    text = given.strip()
    if not _is_hex(text):
        try:
            text = Path(given).read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            raise SealKeyError(f"{given} is neither 64 hexadecimal digits nor a file: {error.strerror}") from None
    if _is_hex(text):
        return text.lower()
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SealKeyError(f"{given} holds no Ed25519 public key, neither as PEM nor as 64 hexadecimal digits")
    return key.public_bytes_raw().hex()


def verifies(public_key: str, signature: str, message: bytes) -> bool:
    """Return whether `signature` of `message` was made with the key whose public half is `public_key`; both are hex."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except InvalidSignature:
        return False
    return True


def _is_hex(text: str) -> bool:
    return len(text) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in text)
