"""Only the stream of transactions acknowledges; what NATS does not take for its size is cut out of a window before."""

from __future__ import annotations

import asyncio
import json
import string
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import PubAck
from nats.js.errors import APIError, ServiceUnavailableError

from chronicle_ledger.api.schemas import JournalRequest
from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.events import dead, sizes
from chronicle_ledger.events.publisher import JetStreamPublisher
from chronicle_ledger.events.sizes import LARGEST_EVENT, windows
from chronicle_ledger.events.stream import STREAM
from chronicle_ledger.store.outbox import Pending, Waiting
from chronicle_ledger.web.bodies import METADATA_BYTES

NOW = datetime(2026, 1, 31, tzinfo=UTC)


class Bus:
    """A connection whose JetStream answers each message with the next of `answers`."""

    def __init__(self, *answers: PubAck | Exception, says: PubAck | Exception | None = None) -> None:
        self._answers = iter(answers)
        self._says = says
        self.asked = 0
        self.lost = False
        self.expected: set[str | None] = set()
        self.client = self
        self.max_payload = 1 << 20

    def jetstream(self) -> Bus:
        return self

    async def publish_async(self, subject: str, payload: bytes, *, stream: str | None, **_: Any) -> Any:
        del subject, payload
        self.expected.add(stream)
        future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        answer = next(self._answers)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future

    async def publish(self, subject: str, payload: bytes, **_: Any) -> Any:
        """What is said of one message alone."""
        del subject, payload
        self.asked += 1
        if isinstance(self._says, Exception):
            raise self._says
        return self._says

    async def disconnection(self) -> None:
        if not self.lost:
            await asyncio.Event().wait()


def rows(count: int) -> list[Pending]:
    return [Pending(number, uuid4(), "{}", NOW) for number in range(count)]


async def test_the_acknowledgement_of_another_stream_is_none() -> None:
    bus = Bus(PubAck("AUDIT", 1), PubAck(STREAM, 1))
    waiting = rows(2)
    published = await JetStreamPublisher(bus).publish(waiting)  # type: ignore[arg-type]
    assert (published.acknowledged, published.failed) == ([waiting[1]], 1)
    assert published.reason == f"stream AUDIT took the message, not {STREAM}"
    assert bus.expected == {STREAM}, "JetStream itself refuses what would go into another stream"


NO_ROOM = ServiceUnavailableError(code=503, err_code=10023, description="insufficient resources")


@pytest.mark.parametrize(
    ("says", "refused", "reason"),
    [
        (NO_ROOM, True, "JetStream refuses events: insufficient resources. The disk of its server is full, or was"),
        (APIError(code=400, err_code=10060, description="expected stream does not match"), True, "does not match"),
        (NatsTimeout(), False, "no acknowledgement"),
        (PubAck(STREAM, 1), False, "no acknowledgement"),
    ],
)
async def test_where_nothing_is_acknowledged_jetstream_is_asked_why(
    says: Exception | PubAck, refused: bool, reason: str
) -> None:
    bus = Bus(*[TimeoutError("no acknowledgement")] * 2, says=says)
    published = await JetStreamPublisher(bus).publish(rows(2))  # type: ignore[arg-type]
    assert (published.refused, published.failed, bus.asked) == (refused, 2, 1)
    assert reason in published.reason


async def test_where_the_connection_is_lost_nothing_is_asked() -> None:
    bus = Bus(*[TimeoutError("gone")] * 2, says=NO_ROOM)
    bus.lost = True
    published = await JetStreamPublisher(bus).publish(rows(2))  # type: ignore[arg-type]
    assert (published.refused, published.failed, bus.asked) == (False, 2, 0)


async def test_where_something_is_acknowledged_nothing_is_asked() -> None:
    bus = Bus(PubAck(STREAM, 1), TimeoutError("late"), says=NO_ROOM)
    published = await JetStreamPublisher(bus).publish(rows(2))  # type: ignore[arg-type]
    assert (published.refused, published.failed, bus.asked) == (False, 1, 0)


@pytest.mark.parametrize(
    ("bytes_", "expected"),
    [([], []), ([10] * 5, [3, 2]), ([60, 60, 10], [1, 2]), ([500, 1, 1], [1, 2]), ([50, 50, 1], [2, 1])],
)
def test_a_window_is_bounded_by_messages_and_by_bytes(bytes_: list[int], expected: list[int]) -> None:
    waiting = [Waiting(0, UUID(int=number), size, NOW) for number, size in enumerate(bytes_)]
    cut = windows(waiting, 3, 100)
    assert [len(window) for window in cut] == expected
    assert [row for window in cut for row in window] == waiting


def test_no_event_is_larger_than_what_a_server_has_to_take() -> None:
    legs = JournalRequest.__annotations__
    assert "max_length=500" in str(legs["entries"])
    entry = {
        "account_id": str(UUID(int=2**128 - 1)), "currency": "E" * 16, "version": -(2**63), "amount": -(2**63),
        "held": -(2**63), "balance_after": -(2**63), "held_after": -(2**63),
    }  # fmt: skip
    metadata = {"note": "\u0001" * (METADATA_BYTES // 2)}
    rest = 4 * len(json.dumps({name: str(uuid4()) * 3 for name in string.ascii_letters[:12]}))
    largest = 500 * len(json.dumps(entry)) + 2 * len(canonical_json(metadata)) + rest
    assert largest < LARGEST_EVENT
    assert LARGEST_EVENT + sizes.HEADERS < 1 << 20, "the default of NATS is enough"


def test_a_server_that_takes_less_than_an_event_may_have_is_named() -> None:
    bus = Bus()
    assert sizes.too_small_server(bus) is None  # type: ignore[arg-type]
    bus.max_payload = 65_536
    assert "65,536" in (sizes.too_small_server(bus) or "")  # type: ignore[arg-type]


async def test_a_dead_letter_is_cut_to_what_the_server_takes() -> None:
    kept: list[bytes] = []

    class Js:
        _nc = SimpleNamespace(max_payload=65_536)

        async def publish(self, subject: str, payload: bytes, **_: Any) -> None:
            del subject
            kept.append(payload)

    await dead.keep(Js(), b"x" * 100_000, "too large", "chronicle.txn.1", 7)  # type: ignore[arg-type]
    assert [len(payload) for payload in kept] == [65_536 - dead.HEADERS]
