"""Seals in a file of JSON lines: the rows of a seal, each `[account, version, head]`, and then the seal itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from chronicle_ledger.seals.chain import SealBroken, SealedChain
from chronicle_ledger.seals.document import MAX_VERSION, Seal, SealedAccount, decode

LONGEST_LINE = 4096
"""Bytes; a line of a seal has less than a fifth of it."""


class SealFileError(Exception):
    """The file cannot be used; the message names it."""


def row_line(row: SealedAccount) -> str:
    """Return a row as one line of JSON."""
    return f'["{row.account_id}",{row.version},"{row.head.hex()}"]'


def row_of(line: bytes) -> SealedAccount:
    """Return the row of a line. Raises ValueError, TypeError, AttributeError or RecursionError for other lines."""
    account, version, head = json.loads(line)
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version <= MAX_VERSION:
        raise ValueError("a version is a positive integer")
    return SealedAccount(UUID(account), version, bytes.fromhex(head))


def hear(file: BinaryIO, chain: SealedChain) -> int:
    """Read all seals of `file` into `chain`; return where the last whole seal ends, in bytes.

    Raises SealBroken with the line's number. Rows at the end that no seal ends, as an interrupted sealer leaves them,
    count for nothing.
    """
    end, at, number = 0, 0, 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        at += len(line)
        if not line.endswith(b"\n"):
            if len(line) == LONGEST_LINE:
                raise SealBroken(f"line {number} is too long for a line of a seal")
            break  # written in part
        try:
            if line.startswith(b"["):
                chain.row(row_of(line))
            else:
                chain.close(decode(line))
                end = at
        except SealBroken as error:
            raise SealBroken(f"line {number}: {error}") from None
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise SealBroken(f"line {number} is neither a sealed account nor a seal") from None
    chain.drop()
    return end


def read(path: Path, chain: SealedChain) -> None:
    """Read the file into `chain`. Raises SealBroken and SealFileError."""
    try:
        with path.open("rb") as file:
            hear(file, chain)
    except OSError as error:
        raise SealFileError(f"{path}: {error.strerror}") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """Open the file, made where there is none, for one sealer at a time. Raises SealFileError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SealFileError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SealFileError(f"{path}: another sealer is writing to it; run this again when it is done") from None
        yield file


def append(file: BinaryIO, end: int, rows: Iterable[SealedAccount], seal: Seal) -> None:
    """Write a seal after `end`, over what an interrupted sealer left there."""
    file.seek(end)
    file.truncate()
    file.writelines(f"{row_line(row)}\n".encode() for row in rows)
    file.write(f"{seal.line()}\n".encode())
    file.flush()
    os.fsync(file.fileno())
