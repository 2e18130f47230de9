"""What the API server can answer, classified by what to do about it.

    KubeError
    ├── NotFound        the object is gone: usually no error at all
    ├── Conflict        somebody wrote first: read again, soon
    ├── Forbidden       a right is missing: a person must act, retry slowly
    ├── Invalid         the object cannot be accepted as it is: a person must act, retry slowly
    ├── Throttled       the server asks for patience: wait as long as it says
    ├── WebhookFailed   an admission webhook does not answer: a person must act, retry with growing pauses
    ├── ServerError     the server answered that it failed: retry with growing pauses
    └── Unreachable     no answer, or one of something in between that is no API server: retry with growing pauses

`reason` is a CamelCase word that a condition can have; `retry_seconds` is the first pause before the next attempt.
"""

from __future__ import annotations

from typing import ClassVar

WEBHOOK = "failed calling webhook"
"""How the API server begins the message of a 500 when an admission webhook did not answer."""

TYPES = "failed to create typed patch object"
"""How it begins the message of a 500 when the types of a manifest that is applied do not fit the schema."""


class AccessError(Exception):
    """There is no cluster to connect to: no kubeconfig and no account of a pod, or one that cannot be used."""


class KubeError(Exception):
    """An API request failed. `subject` names the request, `detail` is the server's message."""

    reason: ClassVar[str] = "ApiServerError"
    retry_seconds: ClassVar[float] = 5.0

    def __init__(self, subject: str, detail: str, *, retry_after: float | None = None, code: int | None = None) -> None:
        """Keep request and answer; `retry_after` is in seconds, `code` is the HTTP status, None without an answer."""
        super().__init__(f"{subject}: {detail}")
        self.subject = subject
        self.detail = detail
        self.retry_after = retry_after
        self.code = code


class NotFound(KubeError):
    """There is no such object, kind or namespace."""

    reason = "NotFound"


class Conflict(KubeError):
    """The object changed since it was read, or exists already."""

    reason = "Conflict"
    retry_seconds = 1.0


class Forbidden(KubeError):
    """The account lacks a right, or an admission policy refused."""

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
    """No connection, no answer in time, or an answer of something in front of the API server."""

    reason = "ApiServerUnreachable"
    retry_seconds = 2.0


def of_status(
    subject: str, code: int, detail: str, *, retry_after: float | None = None, answered: bool = True
) -> KubeError:
    """Return the error that stands for an HTTP status code. `answered`: it came with the API server's own Status."""
    if code == 404:
        return NotFound(subject, detail, code=code)
    if code == 409:
        return Conflict(subject, detail, code=code)
    if code in (401, 403):
        return Forbidden(subject, detail, code=code)
    if code in (400, 415, 422) or TYPES in detail:
        return Invalid(subject, detail, code=code)
    if code == 429:
        return Throttled(subject, detail, retry_after=retry_after, code=code)
    if code >= 500 and WEBHOOK in detail:
        return WebhookFailed(subject, detail, retry_after=retry_after, code=code)
    if code >= 500:
        return (ServerError if answered else Unreachable)(subject, detail, retry_after=retry_after, code=code)
    return KubeError(subject, f"HTTP {code}: {detail}", code=code)
