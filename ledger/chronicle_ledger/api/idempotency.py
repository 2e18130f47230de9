"""From the Idempotency-Key header to a transaction's id and fingerprint."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import msgspec

from chronicle_ledger.api.call import Call
from chronicle_ledger.api.parameters import Query
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.domain.commands import fingerprint, transaction_id

HEADER = b"idempotency-key"
LONGEST = 255

_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
# Equal requests must give equal bytes whatever the order in which the caller wrote its members.
_canonical = msgspec.json.Encoder(order="deterministic")


def check(key: str, field: str = "Idempotency-Key") -> str:
    """The key, if it is one: 1 to 255 printable ASCII characters, no blank at either end. Raises Problem."""
    if not _PRINTABLE.fullmatch(key):
        raise Problem(
            "idempotency_key_invalid",
            f"{field} must have 1 to {LONGEST} printable ASCII characters; this has {len(key)} or others.",
            field=field,
        )
    return key


def identify(call: Call, path: str, body: Any) -> tuple[UUID, bytes]:
    """The transaction id that the call's key decides, and the fingerprint of its body.

    `path` is the path in canonical form (ids in lower case), so that a retry that spells it differently still meets
    its first attempt. A dry run writes nothing and may go without a key. Raises Problem.
    """
    key = call.header(HEADER)
    print_ = fingerprint(_canonical.encode(body))
    if key is None or key == "":
        if is_dry_run(call):
            return uuid4(), print_
        raise Problem("idempotency_key_missing")
    return transaction_id(call.service.settings.tenant, call.scope["method"], path, check(key)), print_


def identify_item(call: Call, path: str, key: str, item: Any, field: str) -> tuple[UUID, bytes]:
    """The same for one item of a batch, which carries its key itself."""
    identity = transaction_id(call.service.settings.tenant, call.scope["method"], path, check(key, field))
    return identity, fingerprint(_canonical.encode(item))


def is_dry_run(call: Call) -> bool:
    """Whether the query says `dry_run=true`. Raises Problem for anything but true or false."""
    query: bytes = call.scope["query_string"]
    if not query:
        return False
    return Query(call, "dry_run").flag("dry_run")
