"""Every refusal that the API can answer: one catalogue of stable codes, in the form of RFC 9457.

A problem document has `type` (a URN made of the code), `title`, `status`, `detail`, `code`, `instance` (the request's
id) and the figures of its case, amounts in minor units.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.listener.protocol import REFUSALS

MEDIA_TYPE = "application/problem+json"


class ProblemAnswer(msgspec.Struct, frozen=True):
    """RFC 9457. `code` is stable; `instance` is the request's id; more members give the figures of the case."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str


@dataclass(frozen=True, slots=True)
class Definition:
    """What a code means. `retry_after` is the least time in seconds; None where a second try makes no sense."""

    status: int
    title: str
    example: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    retry_after: int | None = None


ACCOUNT = "0b7f5d0e-6f0b-4b43-9a0a-7d6f3c1c2a10"
TRANSACTION = "5d0c4b2e-9f52-5d5a-8a35-7f1c86a1c7b1"
HOLD = "c9a7e0c6-3c55-5f0e-9d3b-0f5a7b1e6d42"
REVERSAL = "2b8f6a51-70d4-5c0f-b7a9-4e1d3c9f8a06"

# The examples are what the service answers in such a case, word for word (tests/integration/api/test_refusals.py).
CATALOGUE: dict[str, Definition] = {
    # 400: the request cannot be read
    "idempotency_key_missing": Definition(
        400, "Idempotency key missing", "POST needs the header Idempotency-Key: 1 to 255 printable ASCII characters."
    ),
    "idempotency_key_invalid": Definition(
        400,
        "Idempotency key invalid",
        "Idempotency-Key must have 1 to 255 printable ASCII characters; this has 300 or others.",
        {"field": "Idempotency-Key"},
    ),
    "malformed_json": Definition(400, "Malformed JSON", "The body is not JSON: invalid character (byte 10)."),
    "malformed_request": Definition(400, "Malformed request", "The query is not URL-encoded UTF-8."),
    "invalid_precondition": Definition(
        400, "Invalid If-Match", 'If-Match must be one strong entity tag such as "7", taken from ETag.'
    ),
    "duplicate_header": Definition(
        400,
        "Header given twice",
        "The header Idempotency-Key is given twice; proxies disagree on which one counts.",
        {"field": "Idempotency-Key"},
    ),
    # 401, 403
    "unauthenticated": Definition(
        401, "No valid key", "Send Authorization: Bearer <key>, with a key made by `chronicle keys new`."
    ),
    "forbidden": Definition(
        403, "Role not sufficient", "This needs the role writer; the key has the role reader.", {"required": "writer"}
    ),
    # 404, 405
    "account_not_found": Definition(
        404, "Account not found", f"There is no account {ACCOUNT}.", {"account_id": ACCOUNT}
    ),
    "transaction_not_found": Definition(
        404, "Transaction not found", f"There is no transaction {TRANSACTION}.", {"transaction_id": TRANSACTION}
    ),
    "hold_not_found": Definition(404, "Hold not found", f"There is no hold {HOLD}.", {"hold_id": HOLD}),
    "not_found": Definition(404, "No such resource", "Nothing is served at /v1/acounts; see /docs."),
    "method_not_allowed": Definition(
        405, "Method not allowed", "DELETE is not allowed here; allowed: GET, HEAD, PATCH."
    ),
    # 421: no keys are set, and the request came for a name that a stranger could own
    "host_not_allowed": Definition(
        421,
        "Host not allowed",
        "This ledger has no keys, so it answers to no public name (DNS rebinding). Use its address, list the name in"
        " CHRONICLE_ALLOWED_HOSTS, or set CHRONICLE_KEYS_FILE.",
    ),
    # 408, 414, 431: refused by the listener, before there is a request
    **{code: Definition(*REFUSALS[code]) for code in ("head_timeout", "url_too_long", "headers_too_large")},
    # 409: the state of the ledger forbids it now
    "insufficient_funds": Definition(
        409,
        "Insufficient funds",
        f"Account {ACCOUNT} has 30 available; taking 100 would leave it under its floor of 0.",
        {"account_id": ACCOUNT, "available": 30, "required": 100, "floor": 0},
    ),
    "version_conflict": Definition(
        409,
        "Version conflict",
        f"Account {ACCOUNT} is at version 8, not 7; read it again.",
        {"account_id": ACCOUNT, "expected_version": 7, "version": 8},
    ),
    "request_in_progress": Definition(
        409,
        "Request in progress",
        "The first request with this idempotency key has not ended yet; try again.",
        retry_after=1,
    ),
    "account_closed": Definition(409, "Account closed", f"Account {ACCOUNT} is closed.", {"account_id": ACCOUNT}),
    "account_frozen": Definition(409, "Account frozen", f"Account {ACCOUNT} is frozen.", {"account_id": ACCOUNT}),
    "account_exists": Definition(409, "Account exists", f"Account {ACCOUNT} exists already.", {"account_id": ACCOUNT}),
    "account_not_empty": Definition(
        409,
        "Account not empty",
        f"Account {ACCOUNT} still has money; bring balance and held to 0 before closing it.",
        {"account_id": ACCOUNT, "balance": 30, "held": 10},
    ),
    "already_reversed": Definition(
        409,
        "Already reversed",
        f"Transaction {TRANSACTION} is reversed already.",
        {"transaction_id": TRANSACTION, "reversal_id": REVERSAL},
    ),
    "hold_not_pending": Definition(
        409, "Hold not pending", f"Hold {HOLD} is captured already.", {"hold_id": HOLD, "state": "captured"}
    ),
    "moment_too_recent": Definition(
        409,
        "Moment too recent",
        "A posting of that moment may still be on its way. Balances are final up to 2026-01-31T08:59:55.000000Z; ask"
        " for that moment, or for yours in 5 s.",
        {"latest": "2026-01-31T08:59:55.000000Z"},
        retry_after=5,
    ),
    "batch_aborted": Definition(
        409, "Batch aborted", "Nothing was posted, since transaction 3 was refused.", {"refused": 3}
    ),
    # 412
    "precondition_failed": Definition(
        412,
        "Precondition failed",
        f"Account {ACCOUNT} is at version 8, not 7; read it again.",
        {"account_id": ACCOUNT, "expected_version": 7, "version": 8},
    ),
    # 413, 415
    "body_too_large": Definition(413, "Body too large", "A body may have up to 1048576 bytes.", {"limit": 1 << 20}),
    "unsupported_media_type": Definition(
        415, "Unsupported media type", "Send the body as application/json, in UTF-8, not as 'text/plain'."
    ),
    # 422: the request can never succeed as it is
    "validation_failed": Definition(422, "Validation failed", "amount: Expected int, got float.", {"field": "amount"}),
    "amount_out_of_range": Definition(422, "Amount out of range", "amount: Expected int >= 1.", {"field": "amount"}),
    "invalid_cursor": Definition(
        422, "Invalid cursor", "cursor: take it, unchanged, from next_cursor.", {"field": "cursor"}
    ),
    "idempotency_key_reused": Definition(
        422,
        "Idempotency key reused",
        "This idempotency key was used for a different request; use a new key for a new request.",
        {"transaction_id": TRANSACTION},
    ),
    "unbalanced": Definition(
        422, "Unbalanced", "The entries in EUR sum to 5, not to zero.", {"currency": "EUR", "sum": 5}
    ),
    "currency_mismatch": Definition(
        422,
        "Currency mismatch",
        f"Account {ACCOUNT} is in EUR, not USD.",
        {"account_id": ACCOUNT, "currency": "EUR"},
    ),
    "duplicate_account": Definition(
        422,
        "Account named twice",
        f"Account {ACCOUNT} appears twice; give one entry with the sum.",
        {"account_id": ACCOUNT},
    ),
    "balance_out_of_range": Definition(
        422,
        "Balance out of range",
        f"The balance of account {ACCOUNT} would be 4611686018427387905; a balance stays within 4611686018427387904 of"
        " zero, and what is held or available within 64 bits.",
        {"account_id": ACCOUNT, "limit": 2**62},
    ),
    "capture_exceeds_hold": Definition(
        422,
        "Capture exceeds hold",
        f"Hold {HOLD} is for 50; 60 is more.",
        {"hold_id": HOLD, "held": 50, "amount": 60},
    ),
    "not_reversible": Definition(
        422, "Not reversible", "A transaction of kind hold cannot be reversed.", {"kind": "hold"}
    ),
    # 429
    "too_many_streams": Definition(
        429,
        "Too many streams",
        "A key may have 8 streams of one instance at once; end one, or try another instance.",
        {"limit": 8},
        retry_after=5,
    ),
    "too_many_proofs": Definition(
        429,
        "Too many proofs",
        "This instance makes a proof, or has made one just now; ask again in 4 s.",
        retry_after=1,
    ),
    # 500, 503
    "internal_error": Definition(
        500, "Internal error", "An error of the service; its log has it under this request's id."
    ),
    "row_unreadable": Definition(
        500,
        "Row cannot be read",
        f"The row of account {ACCOUNT} is none that a ledger writes; `chronicle proof` locates what was changed.",
        {"account_id": ACCOUNT},
    ),
    "database_unavailable": Definition(
        503,
        "Database unavailable",
        "The database did not confirm it in time. Retry with the same idempotency key: it is posted once at most.",
        retry_after=1,
    ),
    "overloaded": Definition(
        503,
        "Overloaded",
        "More postings wait than this instance can answer in time; try again later.",
        retry_after=2,
    ),
    "proof_unfinished": Definition(
        503,
        "Proof not finished",
        "The proof could not be finished. The log of this instance says why; try again.",
        retry_after=5,
    ),
    "too_many_connections": Definition(*REFUSALS["too_many_connections"], retry_after=1),
    "clock_skew": Definition(
        503,
        "Clocks disagree",
        "The clock of this replica is 172800.0 s ahead of the database's; 2 s are tolerated. Nothing was posted. Set"
        " the clocks; meanwhile another replica may answer.",
        {"skew_seconds": 172800.0, "tolerance_seconds": 2.0},
        retry_after=1,
    ),
    "database_read_only": Definition(
        503,
        "Database read-only",
        "The database is read-only now; nothing was posted. Try again with the same key.",
        retry_after=1,
    ),
    "schema_missing": Definition(
        503,
        "Schema missing",
        "The database lacks this version's schema; nothing was done. Run `chronicle migrate`.",
        retry_after=10,
    ),
    "read_model_behind": Definition(
        503,
        "Read model behind",
        "The read model is at version 6 of the account, not yet at 7; try again.",
        {"version": 6, "min_version": 7},
        retry_after=1,
    ),
    "events_unavailable": Definition(
        503, "Events unavailable", "This service has no event stream: CHRONICLE_NATS_URLS is not set.", retry_after=30
    ),
    "deadline_exceeded": Definition(
        503,
        "Deadline exceeded",
        "The request was not answered in time. Retry with the same idempotency key: nothing is posted twice.",
        retry_after=1,
    ),
}


def retry_after(seconds: int, chosen: Callable[[int], int] = secrets.randbelow) -> str:
    """Return the value of Retry-After: from `seconds` to three times as many.

    Were it the same for all, those who were refused together would come again together. `chosen` gives a number below
    its argument.
    """
    return str(seconds + chosen(2 * seconds + 1))


class Problem(Exception):
    """A refusal by the HTTP edge itself; `figures` become members of the problem document."""

    def __init__(
        self, code: str, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **figures: Any
    ) -> None:
        definition = CATALOGUE[code]
        super().__init__(detail or definition.example)
        self.code = code
        self.definition = definition
        self.detail = detail or definition.example
        self.figures = figures
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: LedgerError) -> Problem:
        """The problem that a refusal by the ledger becomes."""
        code = error.code if error.code in CATALOGUE else "internal_error"
        detail = error.message or CATALOGUE[code].example
        reserved = {"type", "title", "status", "detail", "code", "instance", "headers"}
        return cls(code, detail, **{name: value for name, value in error.figures.items() if name not in reserved})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.definition.status

    def document(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"urn:chronicle-ledger:problem:{self.code}",
            "title": self.definition.title,
            "status": self.definition.status,
            "detail": self.detail,
            "code": self.code,
        }
        if request_id is not None:
            document["instance"] = request_id
        return {**document, **self.figures}

    def encode(self, request_id: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the answer. Figures of any type are shown, at worst as text."""
        headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **self.headers}
        if self.definition.retry_after is not None:
            headers.setdefault("retry-after", retry_after(self.definition.retry_after))
        return msgspec.json.encode(self.document(request_id), enc_hook=str), headers
