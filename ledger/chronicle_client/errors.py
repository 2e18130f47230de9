"""What can go wrong, by what the caller can do about it.

The API answers a refusal with a problem document (RFC 9457) whose `code` is stable. Each code belongs to one class
here; `refused.code == "insufficient_funds"` looks closer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

NOTHING_DONE = frozenset({
    "database_read_only", "overloaded", "schema_missing", "too_many_connections", "too_many_proofs", "too_many_streams",
})  # fmt: skip
"""Codes of `Unavailable` after which nothing was posted (docs/api.md, "Refusals")."""


class ClientError(Exception):
    """Any failure of a request; the message says what to do next.

    `outcome_unknown` is True where an attempt of a posting, this one or an earlier one, may have been carried out or
    may still be. A refusal can come with it: the first attempt was not heard of, and the second one was refused.
    """

    outcome_unknown: bool = False

    def __str__(self) -> str:
        """Return the message, and what to do about an unknown outcome."""
        ask = "; an attempt may have been carried out: send the same operation again" if self.outcome_unknown else ""
        return super().__str__() + ask


class NoAnswer(ClientError):
    """No answer came in time, so it is unknown whether the request was carried out.

    Send the same operation again: it keeps its idempotency key, so what was posted is answered and not repeated.
    """

    def __init__(self, message: str, key: str | None, *, sent: bool = True) -> None:
        """Keep `key`, the idempotency key of the request; `sent` is False where no connection was made."""
        super().__init__(message)
        self.key = key
        self.sent = sent


class Problem(ClientError):
    """The API's answer is a problem. `extras` are the members of the document that depend on the code."""

    codes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, status: int, code: str, detail: str, extras: Mapping[str, Any] | None = None) -> None:
        """Take the parts of the problem document; `status` is that of HTTP."""
        super().__init__(f"{code} ({status}): {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.extras = extras or {}


class InvalidRequest(Problem):
    """The request is wrong in itself: correct it before it is sent again."""

    codes = frozenset({
        "amount_out_of_range", "body_too_large", "currency_mismatch", "duplicate_account", "duplicate_header",
        "headers_too_large", "host_not_allowed", "idempotency_key_invalid", "idempotency_key_missing",
        "idempotency_key_reused", "invalid_cursor", "invalid_precondition", "malformed_json", "malformed_request",
        "method_not_allowed", "unbalanced", "unsupported_media_type", "url_too_long", "validation_failed",
    })  # fmt: skip


class NotAllowed(Problem):
    """The key is unknown, or its role may not do this."""

    codes = frozenset({"forbidden", "unauthenticated"})


class NotFound(Problem):
    """What the request names is not there."""

    codes = frozenset({"account_not_found", "hold_not_found", "not_found", "transaction_not_found"})


class Refused(Problem):
    """The ledger's state forbids it. This attempt posted nothing; the key may be used again once the state has changed.

    Where `outcome_unknown` is True, an earlier attempt was not answered and may still post.
    """

    codes = frozenset({
        "account_closed", "account_exists", "account_frozen", "account_not_empty", "already_reversed",
        "balance_out_of_range", "batch_aborted", "capture_exceeds_hold", "hold_not_pending", "insufficient_funds",
        "moment_too_recent", "not_reversible", "precondition_failed", "version_conflict",
    })  # fmt: skip


class Unavailable(Problem):
    """The service cannot answer now. For a posting the outcome may be unknown: send the same operation again."""

    codes = frozenset({
        "clock_skew", "database_read_only", "database_unavailable", "deadline_exceeded", "events_unavailable",
        "head_timeout", "overloaded", "proof_unfinished", "read_model_behind", "request_in_progress", "schema_missing",
        "too_many_connections", "too_many_proofs", "too_many_streams",
    })  # fmt: skip


class ServerFault(Problem):
    """A defect of the service or a damaged row. Report it with the request id; for a posting the outcome is unknown."""

    codes = frozenset({"internal_error", "row_unreadable"})


KINDS: tuple[type[Problem], ...] = (InvalidRequest, NotAllowed, NotFound, Refused, Unavailable, ServerFault)
_BY_CODE = {code: kind for kind in KINDS for code in kind.codes}


def problem(status: int, body: bytes) -> Problem:
    """Return the exception for an answer that is no success. A body that is no problem document is quoted in part."""
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        document = {}
    code = document.pop("code", "")
    detail = document.pop("detail", "") or body[:200].decode("utf-8", "replace") or "no further words"
    kind = _BY_CODE.get(code) or _of_status(status)
    extras = {name: value for name, value in document.items() if name not in ("type", "title", "status", "instance")}
    return kind(status, code or "unknown", detail, extras)


def leaves_outcome_unknown(error: ClientError) -> bool:
    """Return whether a posting may have been carried out where an attempt at it failed with `error`."""
    if isinstance(error, NoAnswer):
        return error.sent
    return isinstance(error, ServerFault) or (isinstance(error, Unavailable) and error.code not in NOTHING_DONE)


def _of_status(status: int) -> type[Problem]:
    """Return the class for an answer without a known code, such as a proxy's."""
    if status in (401, 403):
        return NotAllowed
    if status == 404:
        return NotFound
    if status in (408, 429, 502, 503, 504):
        return Unavailable
    return ServerFault if status >= 500 else InvalidRequest
