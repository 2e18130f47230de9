"""How many bytes a command may add to a message for the database. Pure.

A message to CockroachDB has 16 MiB at most. Only metadata makes a batch as large: a command's may have 16 KiB, in which
a quote becomes four characters on its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.domain.commands import Command, OpenAccount, PostEntries, UpdateAccount

TRANSACTION = 4096
"""Ids, times, hash, names, and the entries that no leg stands for, in the longest statement: the outbox's."""

LEG = 320
"""One entry there, with numbers of 20 digits."""


def weight_of(command: Command) -> int:
    """Return the bytes that `command` adds at most to any one statement of its batch."""
    metadata = _text(command.metadata)
    match command:
        case OpenAccount():
            return TRANSACTION + 2 * metadata  # the event tells it of the transaction and of the account
        case PostEntries():
            return TRANSACTION + metadata + LEG * len(command.legs)
        case UpdateAccount(account_metadata=Mapping() as account):
            return TRANSACTION + metadata + _text(account)
        case _:
            return TRANSACTION + metadata


def _text(metadata: Mapping[str, Any]) -> int:
    """Return the bytes of `metadata` in an array's notation, which may double each."""
    return 2 * len(canonical_json(metadata)) if metadata else 0
