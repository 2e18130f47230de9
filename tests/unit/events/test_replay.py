# ruff: noqa: ARG002 - the stream here keeps the signatures of nats-py
"""What a reader of the stream does when messages did not arrive: it notices, and reads them again."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from chronicle_ledger.events import replay
from chronicle_ledger.events.feed import Item, Position, feed
from chronicle_ledger.events.replay import FEED_BYTES, MessagesMissed, StreamSilent
from chronicle_ledger.events.stream import transactions

LAST = 6


def message(stream: int, consumer: int) -> Any:
    """A message, which is `stream`-th in the stream and `consumer`-th of what the consumer has sent."""
    sequence = SimpleNamespace(stream=stream, consumer=consumer)
    return SimpleNamespace(data=b"%d" % stream, metadata=SimpleNamespace(sequence=sequence))


class JetStream:
    """A stream of six messages, of which the first consumer's reader loses the third and the fourth."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumers: list[int] = []
        self.limits: list[dict[str, Any]] = []
        monkeypatch.setattr(replay, "_consumer", self._consumer)

    async def stream_info(self, name: str) -> Any:
        created = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        return SimpleNamespace(created=created, state=SimpleNamespace(messages=LAST, first_seq=1, last_seq=LAST))

    async def consumer_info(self, stream: str, name: str) -> Any:
        return SimpleNamespace(num_pending=0)

    @contextlib.asynccontextmanager
    async def _consumer(self, js: Any, stream: str, start: int, **limits: Any) -> AsyncIterator[tuple[Any, str]]:
        self.consumers.append(start)
        self.limits.append(limits)
        sent = [message(at, at - start + 1) for at in range(start, LAST + 1)]
        batches = [sent] if len(self.consumers) > 1 else [sent[:2], sent[4:]]

        async def following(seconds: float) -> list[Any]:
            return batches.pop(0) if batches else []

        yield SimpleNamespace(next=following), "reader"


async def no_pause(seconds: float) -> None:
    """As long as a test waits."""


async def test_a_feed_reads_what_it_missed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    js = JetStream(monkeypatch)
    monkeypatch.setattr("chronicle_ledger.events.feed.asyncio.sleep", no_pause)
    bus: Any = SimpleNamespace(jetstream=lambda: js)
    found: list[Position] = []
    async with contextlib.aclosing(feed(bus, None, from_start=True, stopped=lambda: False)) as items:
        async for item in items:
            assert isinstance(item, Item)
            if item.position is not None:
                found.append(item.position)
            if len(found) == LAST:
                break
    assert [position.sequence for position in found] == [1, 2, 3, 4, 5, 6]
    assert js.consumers == [1, 3], "the second consumer begins after the last message that arrived"


async def test_a_replay_that_missed_a_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    js: Any = JetStream(monkeypatch)
    with pytest.raises(MessagesMissed, match="4 messages before this one; 2 arrived"):
        [found async for found in replay.replay(js, "CHRONICLE")]
    assert issubclass(MessagesMissed, StreamSilent), "whoever reads again after silence does so after a loss"
    assert len([found async for found in replay.replay(js, "CHRONICLE")]) == LAST


async def test_a_slow_reader_of_the_feed_has_one_request_open_and_one_message_of_the_largest_kind_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    js: Any = JetStream(monkeypatch)
    async with contextlib.aclosing(replay.follow(js, "CHRONICLE", 1)) as following:
        await anext(following)
    (limits,) = js.limits
    assert (limits["ahead"], limits["max_bytes"]) == (False, FEED_BYTES)
    assert transactions(1).max_message_bytes < FEED_BYTES < 2 << 20
