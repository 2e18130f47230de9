"""What the API server can answer, sorted by what to do about it.

    KubeError
    ├── NotFound        the object is gone: usually no error at all
    ├── Conflict        somebody wrote first: read again, soon
    ├── Forbidden       a right is missing: a person must act, retry slowly
    ├── Invalid         the object cannot be accepted as it is: a person must act, retry slowly
    ├── Throttled       the server asks for patience: wait as long as it says
    ├── WebhookFailed   an admission webhook does not answer: a person must act, retry with growing pauses
    ├── ServerError     the server answered that it failed: retry with growing pauses
    └── Unreachable     nobody answered, or something in between that is no API server: retry with growing pauses

`reason` is the CamelCase word that lands in the conditions `Progressing` and `Ready`; `retry_seconds` is the first
pause before the next attempt (the queue doubles it up to its own ceiling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class KubeError(Exception):
    """An API request failed. `subject` names the request, `detail` is what the server said."""

    reason: ClassVar[str] = "ApiServerError"
    retry_seconds: ClassVar[float] = 5.0

    def __init__(self, subject: str, detail: str, *, retry_after: float | None = None) -> None:
        """Keep what was asked and what came back; `retry_after` is in seconds."""
        super().__init__(f"{subject}: {detail}")
        self.subject = subject
        self.detail = detail
        self.retry_after = retry_after


class NotFound(KubeError):
    """There is no such object, kind or namespace."""

    reason = "NotFound"


class Conflict(KubeError):
    """The object changed since it was read, or exists already."""

    reason = "Conflict"
    retry_seconds = 1.0


class Forbidden(KubeError):
    """The operator's ServiceAccount lacks a right, or an admission policy refused."""

    reason = "Forbidden"
    retry_seconds = 30.0


class Invalid(KubeError):
    """The API server refused the object's content, or an immutable field would change."""

    reason = "Invalid"
    retry_seconds = 30.0


class Throttled(KubeError):
    """Too many requests (429)."""

    reason = "Throttled"


class WebhookFailed(KubeError):
    """The API server could not ask an admission webhook about this one request; others may pass."""

    reason = "WebhookFailed"


class ServerError(KubeError):
    """A 5xx in the API server's own words: it is there, and could not do this one thing."""

    retry_seconds = 2.0


class Unreachable(KubeError):
    """No connection, no answer in time, or a 5xx of whoever stands in front of the API server."""

    reason = "ApiServerUnreachable"
    retry_seconds = 2.0


REFUSALS = (Forbidden, Invalid)
"""What stays as it is until a person acts."""

TRANSIENT = (Conflict, Throttled)
"""What passes by itself and says nothing about the ledger."""


def worst_first(failures: Sequence[KubeError]) -> list[KubeError]:
    """Return the failures in the order in which a person should hear of them."""
    return sorted(failures, key=lambda it: 0 if isinstance(it, REFUSALS) else 2 if isinstance(it, TRANSIENT) else 1)


def of_status(
    subject: str, code: int, detail: str, *, retry_after: float | None = None, answered: bool = True
) -> KubeError:
    """Return the error that stands for an HTTP status code. `answered`: it came with the API server's own Status."""
    if code == 404:
        return NotFound(subject, detail)
    if code == 409:
        return Conflict(subject, detail)
    if code in (401, 403):
        return Forbidden(subject, detail)
    # Server-side apply answers 500 to a manifest whose types do not fit the schema.
    if code in (400, 415, 422) or "failed to create typed patch object" in detail:
        return Invalid(subject, detail)
    if code == 429:
        return Throttled(subject, detail, retry_after=retry_after)
    if code >= 500 and "failed calling webhook" in detail:
        return WebhookFailed(subject, detail, retry_after=retry_after)
    if code >= 500:
        return (ServerError if answered else Unreachable)(subject, detail, retry_after=retry_after)
    return KubeError(subject, f"HTTP {code}: {detail}")


def advice(error: KubeError) -> str:
    """Return one sentence for a person: what to do next."""
    match error:
        case Forbidden():
            return (
                "Grant the operator's ServiceAccount this right (see the chart's Role), or lift the admission policy."
            )
        case Invalid():
            return "Change the spec so that the API server accepts it; what runs already is left as it is."
        case WebhookFailed():
            return (
                "Mend the admission webhook that is named here, or take its configuration away: while it does not"
                " answer, the API server refuses what it guards."
            )
        case Conflict() | Throttled() | ServerError() | Unreachable():
            return "The operator tries again by itself."
        case _:
            return "The operator tries again by itself; see its log if this stays."
