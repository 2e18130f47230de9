"""Dead letters: messages that the projector could not use, kept with the reason. `chronicle events dead` lists them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg
from nats.js import JetStreamContext

from chronicle_ledger.events.replay import replay
from chronicle_ledger.events.stream import DEAD_STREAM, DEAD_SUBJECT, MAX_MESSAGE

REASON = "Chronicle-Reason"
SUBJECT = "Chronicle-Subject"
SEQUENCE = "Chronicle-Sequence"
CUT = "Chronicle-Cut-From"

HEADERS = 4096
"""Bytes that the headers of a letter may take."""

LARGEST = MAX_MESSAGE - HEADERS
"""Bytes kept of a message: headers count towards the stream's limit, and a letter that it refused would keep the
projector where it is."""


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
    sequence = place.sequence.stream
    once = {"Nats-Msg-Id": f"dead-{place.timestamp.timestamp():.6f}-{sequence}"}
    await keep(js, message.data, reason, message.subject, sequence, once)


async def keep(
    js: JetStreamContext,
    data: bytes,
    reason: str,
    subject: str,
    sequence: int,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Write a letter about message `sequence` of the stream. What is too long for a letter is cut, and says so."""
    # A header is one line of ASCII.
    line = " ".join(reason.split()).encode("ascii", "backslashreplace").decode()[:1000]
    told: dict[str, Any] = {**(headers or {}), REASON: line, SUBJECT: subject, SEQUENCE: str(sequence)}
    # A server may take less than the stream does.
    largest = min(LARGEST, js._nc.max_payload - HEADERS)  # noqa: SLF001 - nats-py has no other way to its client
    if len(data) > largest:
        told[CUT] = str(len(data))
    await js.publish(DEAD_SUBJECT, data[:largest], stream=DEAD_STREAM, headers=told)


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
