"""Encryption of segments: AES-256-GCM, with one nonce for each segment and the segment's place as associated data."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chronicle_ledger.backup.errors import USAGE, BackupError

_NONCE = 12


class Cipher:
    """One key. `key_id` names it in manifests without giving it away, so that a wrong key is told as such."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self.key_id = hmac.digest(key, b"chronicle backup key", hashlib.sha256).hex()[:32]

    def encrypt(self, data: bytes, place: str) -> bytes:
        """Return nonce and ciphertext; `place` is the segment's path, under which alone it can be decrypted."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, data, place.encode())

    def decrypt(self, data: bytes, place: str) -> bytes:
        """Return what was encrypted. Raises BackupError."""
        try:
            return self._aead.decrypt(data[:_NONCE], data[_NONCE:], place.encode())
        except (InvalidTag, ValueError):
            raise BackupError(
                "segment_changed", f"{place} cannot be decrypted: it was changed, or moved from another place"
            ) from None


def generate(path: Path) -> str:
    """Write a new key to `path`, which must not exist, readable by its owner alone; return its id."""
    key = secrets.token_bytes(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BackupError(
            "key_file", f"{path} exists; a key is never overwritten. Choose another file", USAGE
        ) from None
    except OSError as error:
        raise BackupError("key_file", f"{path}: {error.strerror}", USAGE) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key.hex()}\n")
    return Cipher(key).key_id


def of_file(path: Path) -> Cipher:
    """Read a key: 64 hexadecimal digits. Raises BackupError, with a message that never holds the key."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii", errors="replace").strip())
    except OSError as error:
        raise BackupError("key_file", f"{path}: {error.strerror}", USAGE) from None
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BackupError(
            "key_file", f"{path} is not a key of 64 hexadecimal digits; `chronicle backup keygen` makes one", USAGE
        )
    return Cipher(key)
