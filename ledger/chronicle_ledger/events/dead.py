"""Dead letters: messages that the projector could not use, kept with the reason. `chronicle events dead` lists them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg
from nats.js import JetStreamContext

from chronicle_ledger.events.replay import replay
from chronicle_ledger.events.stream import DEAD_STREAM, DEAD_SUBJECT

REASON = "Chronicle-Reason"
SUBJECT = "Chronicle-Subject"
SEQUENCE = "Chronicle-Sequence"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message with why it was put aside, and where in the stream of transactions it was."""

    number: int
    reason: str
    subject: str
    sequence: int
    at: datetime
    data: bytes


async def bury(js: JetStreamContext, message: Msg, reason: str) -> None:
    """Put a message of the stream aside. Once only: its place in the stream identifies it."""
    place = message.metadata
    headers: dict[str, Any] = {
        "Nats-Msg-Id": f"dead-{place.timestamp.timestamp():.6f}-{place.sequence.stream}",
        # A header is one line.
        REASON: " ".join(reason.split())[:1000],
        SUBJECT: message.subject,
        SEQUENCE: str(place.sequence.stream),
    }
    await js.publish(DEAD_SUBJECT, message.data, headers=headers)


async def letters(js: JetStreamContext) -> AsyncIterator[DeadLetter]:
    """All dead letters, oldest first."""
    async for message in replay(js, DEAD_STREAM):
        headers = message.headers or {}
        yield DeadLetter(
            message.metadata.sequence.stream,
            headers.get(REASON, ""),
            headers.get(SUBJECT, ""),
            int(headers.get(SEQUENCE, "0")),
            message.metadata.timestamp,
            message.data,
        )
