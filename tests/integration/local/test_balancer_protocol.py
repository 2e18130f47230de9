"""What the local load balancer makes of HTTP: bounds, framing, streams, and the end of connections on either side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from chronicle_chaos.local.balancer import client_side
from chronicle_chaos.local.load_balancer import LoadBalancer
from chronicle_chaos.local.ports import LOOPBACK, free_port
from chronicle_chaos.local.waiting import until

Reply = Callable[["RawReplica", bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"


async def says_ok(
    replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    del replica, message, reader
    writer.write(OK)


async def echoes_the_path(
    replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    del replica, reader
    path = message.split()[1]
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


@dataclass
class RawReplica:
    """A replica that notes each message byte by byte; `reply` answers what is not a health check."""

    reply: Reply = says_ok
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carries_requests = False
        try:
            while True:
                message = await reader.readuntil(b"\r\n\r\n")
                if message.startswith(b"GET /readyz"):
                    writer.write(OK)
                    continue
                if not carries_requests:
                    carries_requests = True
                    self.connections += 1
                for line in message.lower().split(b"\r\n"):
                    if line.startswith(b"content-length: "):
                        message += await reader.readexactly(int(line.split()[1]))
                self.messages.append(message)
                await self.reply(self, message, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@dataclass
class Behind:
    """A balancer in front of one raw replica, and raw clients of it."""

    clients: AsyncExitStack
    balancer: LoadBalancer
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        self.clients.callback(writer.close)
        return reader, writer

    async def send(self, message: bytes) -> bytes:
        """All that comes back until the balancer closes."""
        reader, writer = await self.connect()
        writer.write(message)
        return await asyncio.wait_for(reader.read(), 20)


@asynccontextmanager
async def behind(replica: RawReplica, *, drain_seconds: float = 0.1) -> AsyncIterator[Behind]:
    """A balancer that has seen the replica ready."""
    server = await asyncio.start_server(replica.serve, LOOPBACK, 0)
    balancer = LoadBalancer([f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"])
    port = free_port()
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(AsyncExitStack())
        stack.callback(server.close)
        await stack.enter_async_context(balancer.serving(port, drain_seconds=drain_seconds))

        async def ready() -> bool:
            return balancer.replicas[0].ready

        await until(ready, "the replica is ready", seconds=20)
        yield Behind(clients, balancer, port)


def problem_code(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    return str(json.loads(body)["code"])


@pytest.mark.parametrize(
    "message",
    [
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    ],
    ids=["no HTTP", "two lengths", "length and chunks", "a blank before the colon", "a folded header"],
)
async def test_what_another_parser_might_read_otherwise_reaches_no_replica(message: bytes) -> None:
    replica = RawReplica()
    async with behind(replica) as front:
        assert problem_code(await front.send(message)) == "malformed_request"
    assert replica.messages == []


async def test_heads_and_bodies_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_side, "HEAD_LIMIT", 2000)
    monkeypatch.setattr(client_side, "BODY_LIMIT", 3000)
    replica = RawReplica()
    async with behind(replica) as front:
        long_head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2000
        assert problem_code(await front.send(long_head + b"\r\n\r\n")) == "headers_too_large"
        assert problem_code(await front.send(long_head)) == "headers_too_large", "which has no end"
        too_much = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3001\r\n\r\n" + b"x" * 3001
        assert problem_code(await front.send(too_much)) == "body_too_large"
    assert replica.messages == []


async def test_a_head_that_is_not_whole_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_side, "HEAD_SECONDS", 0.1)
    async with behind(RawReplica()) as front:
        assert problem_code(await front.send(b"GET / HTTP/1.1\r\nHost:")) == "head_timeout"


async def test_a_client_that_asks_for_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_side, "CLIENT_SECONDS", 0.1)
    async with behind(RawReplica()) as front:
        assert await front.send(b"") == b""


async def test_requests_in_one_packet_are_answered_in_their_order() -> None:
    async with behind(RawReplica(echoes_the_path)) as front:
        last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await front.send(b"".join(GET % b"%d" % number for number in range(40)) + last)
    bodies = [part.split(b"HTTP/1.1")[0] for part in answer.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"/%d" % number for number in range(40)] + [b"/last"]


async def test_a_body_in_chunks_goes_on_whole_and_its_trailer_does_not() -> None:
    replica = RawReplica()
    async with behind(replica) as front:
        await front.send(
            b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n1\r\nc\r\n0\r\nIdempotency-Key: smuggled\r\n\r\n"
        )
    (message,) = replica.messages
    assert message == b"POST /a HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabc"


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with behind(RawReplica()) as front:
        reader, writer = await front.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"x")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")


async def test_connections_are_kept_on_both_sides_unless_the_client_speaks_http_1_0() -> None:
    replica = RawReplica()
    async with behind(replica) as front:
        reader, writer = await front.connect()
        for _ in range(3):
            writer.write(GET % b"a")
            assert (await reader.readuntil(b"ok")).endswith(b"\r\n\r\nok")
        assert b"connection: close" in await front.send(b"GET / HTTP/1.0\r\n\r\n")
    assert replica.connections == 1


async def test_bytes_that_were_not_asked_for_answer_no_request() -> None:
    async def says_too_much(
        replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await echoes_the_path(replica, message, reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

    async with behind(RawReplica(says_too_much)) as front:
        for number in range(5):
            reader, writer = await front.connect()
            writer.write(GET % b"%d" % number)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"/%d" % number


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def closes(
        replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        del replica, message, reader
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with behind(RawReplica(closes)) as front:
        answer = await front.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"content-length: 9\r\n" in answer
    assert answer.endswith(b"all of it")


async def test_a_large_answer_reaches_a_client_that_reads_slowly_whole() -> None:
    size = 8 << 20

    async def says_much(
        replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        del replica, message, reader
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    async with behind(RawReplica(says_much)) as front:
        reader, writer = await front.connect()
        writer.write((GET % b"a") * 2)  # the second one waits until the first has been taken
        for _ in range(2):
            assert b"content-length: %d\r\n" % size in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(size) == b"x" * size


async def waits(
    replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers when it is let go; notes where the connection ends before."""
    del message
    gone = asyncio.ensure_future(reader.read(1))
    freed = asyncio.ensure_future(replica.let_go.wait())
    await asyncio.wait([gone, freed], return_when=asyncio.FIRST_COMPLETED)
    if gone.done():
        replica.left.set()
        freed.cancel()
        raise ConnectionResetError
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    writer.write(OK)


async def test_a_client_that_goes_away_takes_its_request_with_it() -> None:
    replica = RawReplica(waits)
    async with behind(replica) as front:
        _, writer = await front.connect()
        writer.write(GET % b"a")

        async def asked() -> bool:
            return bool(replica.messages)

        await until(asked, "the replica is asked", seconds=20)
        writer.close()
        await asyncio.wait_for(replica.left.wait(), 20)


async def test_a_drain_answers_what_is_under_way_and_takes_nothing_more() -> None:
    replica = RawReplica(waits)
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(behind(replica, drain_seconds=20))
        idle_reader, _ = await front.connect()
        reader, writer = await front.connect()
        writer.write(GET % b"a")

        async def asked() -> bool:
            return bool(replica.messages)

        await until(asked, "the replica is asked", seconds=20)
        ending = asyncio.ensure_future(stack.pop_all().aclose())
        assert await asyncio.wait_for(idle_reader.read(), 20) == b"", "idle connections are closed at once"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, front.port)
        replica.let_go.set()
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.endswith(b"connection: close\r\n\r\nok")
        await ending


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n: a\r\n"


@pytest.mark.parametrize("end", ["well", "broken", "drained"])
async def test_an_event_stream_is_passed_on_as_it_comes_and_ends_as_it_ends(end: str) -> None:
    async def streams(
        replica: RawReplica, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        del message, reader
        writer.write(STREAM)
        await replica.let_go.wait()
        if end == "broken":
            raise ConnectionResetError
        writer.write(b"0\r\n\r\n")

    replica = RawReplica(streams)
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(behind(replica, drain_seconds=20))
        reader, writer = await front.connect()
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b": a\r\n"), 20)).endswith(b"\r\n\r\n3\r\n: a\r\n")
        if end == "drained":
            await stack.aclose()
        replica.let_go.set()
        if end == "broken":
            with suppress(ConnectionResetError):  # or an end without the last chunk, which says the same
                assert await asyncio.wait_for(reader.read(), 20) == b""
        else:
            assert await asyncio.wait_for(reader.read(), 20) == b"0\r\n\r\n"
