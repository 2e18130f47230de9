"""When a load balancer may send a request again: one table, for the local one and for the HAProxy of the compose stack.

A request may be poison, and an outage may be overload: what is repeated then goes on to stop the next instance. So only
what an instance has surely not begun, or what broke off under a request that is safe to repeat, goes to another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""RFC 9110, 9.2.1."""

KEY_HEADER: Final = "Idempotency-Key"
BATCH_PATH: Final = "/v1/transactions:batch"
"""A batch carries a key in each of its items."""

ATTEMPT_SECONDS: Final = 12
"""Longer than an instance's own request deadline, so that its answer, not our impatience, is what a client sees."""

PROOF_SECONDS: Final = 70
"""A proof takes as long as the ledger is large; the scenarios wait for it for 60 seconds."""

FEED_SECONDS: Final = 60
"""Silence after which the feed of transactions is ended; it sends a comment every 10 seconds."""

OVERLOAD: Final = frozenset({"overloaded", "too_many_connections", "too_many_streams", "deadline_exceeded"})
"""Codes of refusals that another instance, asked at once, would give too, or that took as long as a client waits."""


class Repeat(Enum):
    """Whether a request may go to another instance."""

    ALWAYS = "always"
    WHERE_SAFE = "where it is safe"
    NEVER = "never"


class Outcome(Enum):
    """What became of an attempt."""

    UNREACHABLE = "the connection was refused, or not made in time"
    BROKEN = "the connection broke before an answer had arrived"
    TIMED_OUT = "no answer within the balancer's own time-out"
    UNAVAILABLE = "an answer 503"
    OVERLOADED = "an answer 503 whose code is one of OVERLOAD"


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from an outcome. `haproxy` is its name in HAProxy's `retry-on`; None: it is passed on to the client.

    HAProxy does not read an answer's body, so it cannot tell overload from other reasons, and repeats no 503.
    """

    repeat: Repeat
    haproxy: str | None = None


RULES: Final[Mapping[Outcome, Rule]] = {
    Outcome.UNREACHABLE: Rule(Repeat.ALWAYS, haproxy="conn-failure"),
    Outcome.BROKEN: Rule(Repeat.WHERE_SAFE, haproxy="empty-response"),
    Outcome.TIMED_OUT: Rule(Repeat.NEVER),
    Outcome.UNAVAILABLE: Rule(Repeat.WHERE_SAFE),
    Outcome.OVERLOADED: Rule(Repeat.NEVER),
}


def is_safe(method: str, path: str, *, keyed: bool) -> bool:
    """Whether a request that may have reached an instance may be sent again."""
    return method in SAFE_METHODS or keyed or (method == "POST" and path == BATCH_PATH)


def may_repeat(outcome: Outcome, *, safe: bool) -> bool:
    """Whether a request with this outcome goes to another instance."""
    rule = RULES[outcome]
    return rule.repeat is Repeat.ALWAYS or (rule.repeat is Repeat.WHERE_SAFE and safe)
