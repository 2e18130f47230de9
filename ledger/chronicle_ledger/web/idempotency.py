"""From the Idempotency-Key header to a transaction's id and fingerprint."""

from __future__ import annotations

import re
from typing import Any, TypedDict
from uuid import UUID, uuid4

import msgspec

from chronicle_ledger.domain.commands import fingerprint, shared_transaction_id, transaction_id
from chronicle_ledger.web import times
from chronicle_ledger.web.call import Call
from chronicle_ledger.web.problems import Problem

HEADER = b"idempotency-key"
LONGEST = 255

_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
# Equal requests must give equal bytes whatever the order in which the caller wrote its members.
_canonical = msgspec.json.Encoder(order="deterministic", enc_hook=times.encode)


class Identity(TypedDict):
    """The fields that every command has from its caller, its key and its body."""

    id: UUID
    fingerprint: bytes
    posted_by: str
    former_id: UUID | None


def check(key: str, field: str = "Idempotency-Key") -> str:
    """Return the key, if it is one: 1 to 255 printable ASCII characters, no blank at either end. Raises Problem."""
    if not _PRINTABLE.fullmatch(key):
        raise Problem(
            "idempotency_key_invalid",
            f"{field} must have 1 to {LONGEST} printable ASCII characters; this has {len(key)} or others.",
            field=field,
        )
    return key


def identify(call: Call[Any], path: str) -> Identity:
    """Return the transaction id that the call's key decides, the fingerprint of its body, and the caller's subject.

    `path` is the path in canonical form (ids in lower case), so that a retry that spells it differently still meets
    its first attempt. A dry run writes nothing and may go without a key. Raises Problem.
    """
    key = call.header(HEADER)
    print_ = fingerprint(_canonical.encode(call.body))
    if key is None or key == "":
        if call.query.flag("dry_run"):
            return anonymous(call, print_)
        raise Problem("idempotency_key_missing")
    return _identity(call, path, check(key), print_)


def identify_item(call: Call[Any], path: str, key: str, item: Any, field: str) -> Identity:
    """Return the identity of one item of a batch, which carries its key itself. Raises Problem."""
    return _identity(call, path, check(key, field), fingerprint(_canonical.encode(item)))


def anonymous(call: Call[Any], print_: bytes = bytes(32)) -> Identity:
    """Return an identity for a request that can be repeated without harm, and so needs no key."""
    return {"id": uuid4(), "fingerprint": print_, "posted_by": call.principal.subject, "former_id": None}


def _identity(call: Call[Any], path: str, key: str, print_: bytes) -> Identity:
    service, method, subject = call.service, call.scope["method"], call.principal.subject
    tenant = service.settings.tenant
    return {
        "id": transaction_id(tenant, subject, method, path, key),
        "fingerprint": print_,
        "posted_by": subject,
        "former_id": shared_transaction_id(tenant, method, path, key) if service.posting.former_keys else None,
    }
