"""What can keep a ledger from being as it should: the API's errors, and what the operator itself refuses to do.

    chronicle_kube.errors.KubeError     (that module says what each of its kinds asks for)
    ├── NameTaken          an object of that name is not the ledger's own: a person must act, retry slowly
    ├── LicenceNotAllowed  a Secret that may not be used, or is not there: a person must act, retry slowly
    └── Contested          somebody changes back what is applied, each time: retry with growing pauses

`reason` is the CamelCase word that lands in the conditions `Progressing` and `Ready`; `retry_seconds` is the first
pause before the next attempt (the queue doubles it up to its own ceiling).
"""

from __future__ import annotations

from collections.abc import Sequence

from chronicle_kube.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    ServerError,
    Throttled,
    Unreachable,
    WebhookFailed,
)

__all__ = [
    "REFUSALS",
    "TRANSIENT",
    "Conflict",
    "Contested",
    "Forbidden",
    "Invalid",
    "KubeError",
    "LicenceNotAllowed",
    "NameTaken",
    "NotFound",
    "ServerError",
    "Throttled",
    "Unreachable",
    "WebhookFailed",
    "advice",
    "worst_first",
]


class NameTaken(KubeError):
    """An object of a name that the ledger wants is somebody else's, and is left alone."""

    reason = "NameTaken"
    retry_seconds = 30.0


class LicenceNotAllowed(KubeError):
    """The Secret of a licence does not say that ledgers may use it, or does not hold it."""

    reason = "LicenceNotAllowed"
    retry_seconds = 30.0


class Contested(KubeError):
    """An object was applied again and again, and is changed back each time."""

    reason = "Contested"


REFUSALS = (Forbidden, Invalid, NameTaken, LicenceNotAllowed)
"""What stays as it is until a person acts."""

TRANSIENT = (Conflict, Throttled, Contested)
"""What says nothing about whether the ledger serves."""


def worst_first(failures: Sequence[KubeError]) -> list[KubeError]:
    """Return the failures in the order in which a person should hear of them."""
    return sorted(failures, key=lambda it: 0 if isinstance(it, REFUSALS) else 2 if isinstance(it, TRANSIENT) else 1)


def advice(error: KubeError) -> str:
    """Return one sentence for a person: what to do next."""
    match error:
        case Forbidden():
            return (
                "Grant the operator's ServiceAccount this right (see the chart's Role), or lift the admission policy."
            )
        case Invalid():
            return "Change the spec so that the API server accepts it; what runs already is left as it is."
        case NameTaken():
            return (
                "Rename the ledger or that object. If it is the ledger's own, restored from a backup, label it:"
                " app.kubernetes.io/managed-by=chronicle-operator and app.kubernetes.io/instance=<the ledger's name>."
            )
        case LicenceNotAllowed():
            return (
                "Have who keeps that Secret label it ledger.chronicle.dev/licence=allowed, or name another one; the"
                " ledger runs on with the licence that it has."
            )
        case Contested():
            return "Take the object away from that manager, or change the spec of the ledger instead of the object."
        case WebhookFailed():
            return (
                "Mend the admission webhook that is named here, or take its configuration away: while it does not"
                " answer, the API server refuses what it guards."
            )
        case Conflict() | Throttled() | ServerError() | Unreachable():
            return "The operator tries again by itself."
        case _:
            return "The operator tries again by itself; see its log if this stays."
