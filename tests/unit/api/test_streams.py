"""Answers without an end: how many there may be, and when they end after all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from chronicle_ledger.api.events import KEEP_ALIVE_SECONDS, encoded
from chronicle_ledger.events.feed import Item, Position
from chronicle_ledger.web import keyfile
from chronicle_ledger.web.access import Admission, Keyring, Role
from chronicle_ledger.web.problems import Problem
from chronicle_ledger.web.stream import STREAMS, STREAMS_OF_ONE, EventStream, Streams

KEY = keyfile.new_key()
BEARER = f"Bearer {KEY}"
QUIET = Item(None, None)
EVENT = Item(Position(1, 2), b"{}")


def key_file(folder: Path, *roles: str) -> Path:
    """A key file in which `KEY` has each of the roles, in turn; none: it is not in there."""
    file = folder / "keys.json"
    entries = [{"name": "a", "role": role, "sha256": keyfile.digest(KEY)} for role in roles]
    file.write_text(json.dumps({"keys": entries}))
    return file


def admission(folder: Path) -> tuple[Keyring, Admission]:
    keyring = Keyring(key_file(folder, "reader"))
    return keyring, Admission(keyring, BEARER, Role.READER)


def test_a_key_has_its_share_of_streams_and_leaves_the_rest_to_others() -> None:
    streams = Streams()
    mine = [streams.take("a") for _ in range(STREAMS_OF_ONE)]
    assert len(mine) == 8, "as documented"
    with pytest.raises(Problem) as refused:
        streams.take("a")
    assert (refused.value.code, refused.value.status) == ("too_many_streams", 429)
    assert int(refused.value.encode("id")[1]["retry-after"]) >= 1
    streams.take("b")
    mine.pop()()
    streams.take("a")


def test_a_process_has_a_bound_over_all_keys_and_where_there_are_none() -> None:
    for shared in (True, False):
        streams = Streams()
        for number in range(STREAMS):
            streams.take("anyone" if shared else str(number), shared=shared)
        with pytest.raises(Problem, match="32 streams"):
            streams.take("another")


@pytest.mark.parametrize("item", [QUIET, EVENT])
async def test_a_stream_ends_when_its_key_is_revoked(tmp_path: Path, item: Item) -> None:
    keyring, admitted = admission(tmp_path)
    closed: list[bool] = []

    async def items() -> AsyncGenerator[Item]:
        try:
            yield EVENT
            key_file(tmp_path)
            keyring.load()
            yield item
            raise AssertionError("the stream went on")
        finally:
            closed.append(True)

    sent = [chunk async for chunk in encoded(items(), admitted)]
    assert [b"event: transaction" in chunk for chunk in sent] == [False, True]
    assert closed, "what reads from NATS is closed with it"


async def test_a_stream_goes_on_when_the_key_file_changes_and_still_has_its_key(tmp_path: Path) -> None:
    keyring, admitted = admission(tmp_path)

    async def items() -> AsyncGenerator[Item]:
        for role in ("writer", "admin"):
            key_file(tmp_path, role)
            keyring.load()
            yield EVENT

    assert len([chunk async for chunk in encoded(items(), admitted)]) == 3


async def test_the_key_is_looked_at_with_each_comment_that_keeps_the_stream_alive(tmp_path: Path) -> None:
    looks: list[bool] = []

    class Asked(Admission):
        def holds(self, *, again: bool = False) -> bool:
            looks.append(again)
            return super().holds(again=again)

    keyring, _ = admission(tmp_path)

    async def items() -> AsyncGenerator[Item]:
        for _ in range(2 * KEEP_ALIVE_SECONDS):
            yield QUIET

    sent = [chunk async for chunk in encoded(items(), Asked(keyring, BEARER, Role.READER))]
    assert sent.count(b": still here\n\n") == looks.count(True) == 2


async def test_where_access_is_open_a_stream_needs_no_key() -> None:
    assert Admission(None, None, Role.READER).holds(again=True)


@pytest.mark.parametrize("how", ["the caller goes away", "the stream ends", "sending fails", "it is cancelled"])
async def test_a_place_is_given_back_however_the_stream_ends(how: str) -> None:
    streams = Streams(total=1)
    begun = asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes]:
        yield b"1"
        begun.set()
        if how != "the stream ends":
            await asyncio.sleep(60)

    async def receive() -> Any:
        await begun.wait()
        if how != "the caller goes away":
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if how == "sending fails" and message["type"] == "http.response.body":
            raise OSError("gone")

    stream = EventStream(200, None, chunks=chunks(), ended=streams.take("a"))
    running = asyncio.create_task(stream.run(receive, send))
    if how == "it is cancelled":
        await begun.wait()
        running.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({running})
    streams.take("b")


async def test_head_of_a_stream_ends_at_once_and_gives_its_place_back() -> None:
    streams, sent = Streams(total=1), []

    async def chunks() -> AsyncGenerator[bytes]:
        yield b"never asked for"

    async def send(message: Any) -> None:
        sent.append(message)

    stream = EventStream(200, None, chunks=chunks(), ended=streams.take("a"))
    await stream.run(asyncio.Future, send, head_only=True)
    assert [(message["type"], message.get("body", b"")) for message in sent] == [
        ("http.response.start", b""),
        ("http.response.body", b""),
    ]
    streams.take("b")
