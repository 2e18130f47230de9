"""Turn one guarantee off, to see that the checkers catch it.

A checker that has never failed proves nothing. Each name here really breaks the guarantee where it lives; it is
honoured only when a second variable says that this ledger holds no real money, and the service logs it at start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

from chronicle_contract.sabotage import PERMISSION, PERMISSION_VALUE, VARIABLE


class Sabotage(StrEnum):
    """The guarantees that can be turned off, one at a time."""

    IDEMPOTENCY = "idempotency"
    """Every attempt gets a random transaction id: a retry posts again."""
    VERSION_CHECK = "version-check"
    """Accounts are read without locks and written without looking at their version: updates are lost."""
    OUTBOX_TRANSACTION = "outbox-transaction"
    """The event is written after the commit, on its own, and every twentieth is lost."""
    PROJECTOR_RULE = "projector-rule"
    """The projector applies what comes, whatever its version."""
    MINORITY_REJECTION = "minority-rejection"
    """A write is accepted although the database is unavailable, and is never stored."""
    BALANCE_FLOOR = "balance-floor"
    """Floors are not evaluated, and `chronicle migrate` drops the database's own check."""
    RELAY_EARLY_DELETE = "relay-early-delete"
    """The relay deletes a row before JetStream has acknowledged its message."""


class SabotageRefused(Exception):
    """The environment asks for sabotage that is unknown or not permitted; the service must not start."""


def active(environ: Mapping[str, str] | None = None) -> Sabotage | None:
    """The guarantee that is off, or None. Raises SabotageRefused for an unknown name or a missing permission."""
    environ = os.environ if environ is None else environ
    name = environ.get(VARIABLE, "")
    if not name:
        return None
    try:
        sabotage = Sabotage(name)
    except ValueError:
        known = ", ".join(Sabotage)
        raise SabotageRefused(f"{VARIABLE}={name} is unknown; choose one of {known}, or unset it.") from None
    if environ.get(PERMISSION) != PERMISSION_VALUE:
        raise SabotageRefused(
            f"{VARIABLE}={name} would break this ledger. Unset it, or, where no real money is kept, "
            f"set {PERMISSION}={PERMISSION_VALUE}."
        )
    return sabotage
