"""Why a ledger refuses.

LedgerError
 ├─ NotFound            account_not_found · transaction_not_found · hold_not_found
 ├─ Conflict            the state of the ledger forbids it now; the same request may succeed later
 │   ├─ InsufficientFunds     insufficient_funds
 │   ├─ VersionConflict       version_conflict
 │   ├─ RequestInProgress     request_in_progress
 │   ├─ AccountClosed         account_closed
 │   ├─ AccountFrozen         account_frozen
 │   ├─ AccountExists         account_exists
 │   ├─ AccountNotEmpty       account_not_empty
 │   ├─ AlreadyReversed       already_reversed
 │   ├─ HoldNotPending        hold_not_pending
 │   ├─ MomentTooRecent       moment_too_recent
 │   └─ BatchAborted          batch_aborted
 ├─ Invalid             the request can never succeed as it is
 │   ├─ IdempotencyKeyReused  idempotency_key_reused
 │   ├─ Unbalanced            unbalanced
 │   ├─ CurrencyMismatch      currency_mismatch
 │   ├─ DuplicateAccount      duplicate_account
 │   ├─ AmountOutOfRange      amount_out_of_range
 │   ├─ BalanceOutOfRange     balance_out_of_range
 │   ├─ CaptureExceedsHold    capture_exceeds_hold
 │   └─ NotReversible         not_reversible
 ├─ RowUnreadable       row_unreadable: somebody wrote to the database what no ledger writes
 └─ Unavailable         the ledger cannot say now; retry with the same idempotency key
     ├─ DatabaseUnavailable   database_unavailable
     │   ├─ DatabaseReadOnly      database_read_only
     │   ├─ SchemaMissing         schema_missing
     │   └─ Overloaded            overloaded
     └─ ClocksDisagree        clock_skew

A refusal stores nothing: the same idempotency key may be tried again.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LedgerError(Exception):
    """A refusal with a stable machine `code`; `figures` are facts for the caller (amounts in minor units)."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **figures: Any) -> None:
        super().__init__(message)
        self.message = message
        self.figures = figures


class RowUnreadable(LedgerError):
    """A stored row is none that the ledger writes. The same again would fail again; a proof locates it."""

    code = "row_unreadable"


class NotFound(LedgerError):
    """Something that the request names does not exist."""


class AccountNotFound(NotFound):
    """No such account."""

    code = "account_not_found"


class TransactionNotFound(NotFound):
    """No such transaction."""

    code = "transaction_not_found"


class HoldNotFound(NotFound):
    """No such hold."""

    code = "hold_not_found"


class Conflict(LedgerError):
    """The state of the ledger forbids it now."""


class InsufficientFunds(Conflict):
    """It would take an account under its floor."""

    code = "insufficient_funds"


class VersionConflict(Conflict):
    """The account is not at the version that the caller expects."""

    code = "version_conflict"


class RequestInProgress(Conflict):
    """Another request with the same idempotency key has not ended yet."""

    code = "request_in_progress"


class AccountClosed(Conflict):
    """The account is closed."""

    code = "account_closed"


class AccountFrozen(Conflict):
    """The account is frozen."""

    code = "account_frozen"


class AccountExists(Conflict):
    """An account with this id exists already."""

    code = "account_exists"


class AccountNotEmpty(Conflict):
    """Only an account with balance 0 and nothing held can be closed."""

    code = "account_not_empty"


class AlreadyReversed(Conflict):
    """A transaction is reversed once only."""

    code = "already_reversed"


class HoldNotPending(Conflict):
    """The hold was captured, released or expired before."""

    code = "hold_not_pending"


class MomentTooRecent(Conflict):
    """What was posted up to this moment may still change: a posting of that time may not be committed yet."""

    code = "moment_too_recent"


class BatchAborted(Conflict):
    """Another transaction of the same atomic batch was refused, so this one was not posted either."""

    code = "batch_aborted"


class Invalid(LedgerError):
    """The request can never succeed as it is."""


class IdempotencyKeyReused(Invalid):
    """The idempotency key was used for a different request."""

    code = "idempotency_key_reused"


class Unbalanced(Invalid):
    """The entries do not sum to zero in each currency."""

    code = "unbalanced"


class CurrencyMismatch(Invalid):
    """A leg's currency is not its account's."""

    code = "currency_mismatch"


class DuplicateAccount(Invalid):
    """A transaction may touch an account once only."""

    code = "duplicate_account"


class AmountOutOfRange(Invalid):
    """An amount is zero, negative where that makes no sense, or beyond 2^53 - 1."""

    code = "amount_out_of_range"


class BalanceOutOfRange(Invalid):
    """A balance would be further from zero than 2^62, or what is held or available would leave 64 bits."""

    code = "balance_out_of_range"


class CaptureExceedsHold(Invalid):
    """More than was held cannot be captured."""

    code = "capture_exceeds_hold"


class NotReversible(Invalid):
    """Only transfers, deposits, withdrawals, journals and captures can be reversed."""

    code = "not_reversible"


class Unavailable(LedgerError):
    """The outcome is unknown or nothing was done; retrying with the same idempotency key is always safe."""


class DatabaseUnavailable(Unavailable):
    """The database did not answer within the deadline."""

    code = "database_unavailable"


class DatabaseReadOnly(DatabaseUnavailable):
    """The database takes no writes; nothing was done."""

    code = "database_read_only"


class SchemaMissing(DatabaseUnavailable):
    """A table or column that this version needs does not exist; nothing was done."""

    code = "schema_missing"


class Overloaded(DatabaseUnavailable):
    """More requests wait than can be answered in time; nothing was done."""

    code = "overloaded"


class ClocksDisagree(Unavailable):
    """This replica's clock and the database's differ by more than is tolerated; nothing was posted."""

    code = "clock_skew"
