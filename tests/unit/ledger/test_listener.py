"""The listener bounds what comes before a request, and ends connections that hold something and move nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chronicle_chaos.local.waiting import until
from chronicle_ledger.listener import protocol, server, sockets
from chronicle_ledger.listener.certificates import Certificates
from chronicle_ledger.listener.protocol import HEAD_BYTES, HEADERS, REFUSALS, URL_BYTES, BoundedProtocol
from chronicle_ledger.listener.server import Listener
from chronicle_ledger.settings import Settings
from chronicle_ledger.web.problems import CATALOGUE, Problem
from support.certificates import write_pair

READY = b"HTTP/1.1 200 OK"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, without reading the body; `/large` with 4 MiB."""
    body = b"x" * (4 << 20 if scope["path"] == "/large" else 2)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Answers nothing until the caller goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.asynccontextmanager
async def listening(app: Any = answering, **settings: Any) -> AsyncIterator[tuple[int, Listener]]:
    """A listener on a free port."""
    configured = Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing", listen_port=0, **settings)
    listener = Listener(server.configuration(configured, app))
    bound = sockets.bound("127.0.0.1", 0)
    served = asyncio.create_task(listener.serve(sockets=[bound]))
    try:
        yield bound.getsockname()[1], listener
    finally:
        listener.should_exit = listener.force_exit = True
        await served


async def ask(port: int, *pieces: bytes, seconds: float = 5) -> bytes:
    """Send the pieces and return all that comes back until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        async with asyncio.timeout(seconds):
            answer = b""
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    answer += data
            return answer
    finally:
        writer.close()


async def _some(listener: Listener) -> bool:
    return bool(listener.server_state.connections)


async def _none(listener: Listener) -> bool:
    return not listener.server_state.connections


def head(*lines: bytes, path: bytes = b"/") -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *lines, b"", b""])


def code(answer: bytes) -> str:
    """The problem's code, after a look at whether status, type and length are right."""
    top, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert top.startswith(b"HTTP/1.1 %d " % problem["status"])
    assert b"application/problem+json" in top
    assert b"connection: close" in top
    found: str = problem["code"]
    return found


def test_what_the_listener_refuses_is_in_the_catalogue_word_for_word() -> None:
    for name in REFUSALS:
        assert CATALOGUE[name].status == REFUSALS[name][0]
    for name in set(REFUSALS) - {"malformed_request"}:
        assert protocol.document(name, "id") == Problem(name).document("id")


async def test_a_request_within_the_bounds_is_answered() -> None:
    async with listening() as (port, _):
        lines = [b"X-%03d: %s" % (number, b"a" * 250) for number in range(HEADERS - 2)]
        assert (await ask(port, head(*lines))).startswith(READY)
        assert (await ask(port, head(path=b"/" + b"a" * (URL_BYTES - 1)))).startswith(READY)
        assert (await ask(port, head(b"X-A: " + b"a" * (HEAD_BYTES - 200)))).startswith(READY)


@pytest.mark.parametrize(
    ("what", "pieces", "expected"),
    [
        ("too many headers", [head(*[b"X-%03d: a" % n for n in range(HEADERS)])], "headers_too_large"),
        ("headers that are too long", [head(*[b"X-%03d: %s" % (n, b"a" * 900) for n in range(40)])],
         "headers_too_large"),
        ("one header that is too long", [head(b"X-A: " + b"a" * HEAD_BYTES)], "headers_too_large"),
        ("a header without end", [b"GET / HTTP/1.1\r\nX-A: ", *[b"a" * 4096] * 100], "headers_too_large"),
        ("a name without end", [b"GET / HTTP/1.1\r\n", *[b"a" * 4096] * 100], "headers_too_large"),
        ("a URL that is too long", [head(path=b"/" + b"a" * URL_BYTES)], "url_too_long"),
        ("a URL without end", [b"GET /", *[b"a" * 4096] * 100], "url_too_long"),
        ("a query that is too long", [head(path=b"/?a=" + b"a" * URL_BYTES)], "url_too_long"),
        ("no HTTP", [b"\x16\x03\x01 hello\r\n\r\n"], "malformed_request"),
    ],
)  # fmt: skip
async def test_a_head_past_the_bounds_is_refused_before_any_key_is_looked_at(
    what: str, pieces: list[bytes], expected: str
) -> None:
    async with listening(silent) as (port, _):
        assert code(await ask(port, *pieces)) == expected


async def test_trailers_and_extensions_of_chunks_are_bounded_too() -> None:
    begin = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = {
        "trailers": [begin + b"0\r\n", *[b"".join(b"X-%03d: a\r\n" % n for n in range(200))] * 20],
        "one trailer": [begin + b"0\r\nX-A: ", *[b"a" * 4096] * 1000],
        "an extension": [begin + b"1;", *[b"a" * 4096] * 1000],
    }
    async with listening(silent) as (port, _):
        for what, pieces in endless.items():
            assert await ask(port, *pieces) == b"", f"{what}: closed, since the request is being answered"


async def test_a_body_of_any_size_is_none_of_the_listeners_business() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})

    whole = head(b"Content-Length: 1000000").replace(b"GET", b"POST")
    async with listening(echo) as (port, _):
        assert b"1000000" in await ask(port, whole, *[b"a" * 1000] * 1000)


async def test_requests_in_a_pipeline_are_bounded_in_number() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with listening() as (port, _):
        answers = await ask(port, request * protocol.PIPELINED, head())
        assert answers.count(READY) == protocol.PIPELINED + 1
    async with listening(silent) as (port, _):
        assert await ask(port, request * 1000) == b""


HELD: dict[str, list[bytes]] = {
    "nothing": [],
    "half a request line": [b"GET /li"],
    "half a head": [b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "],
    "a line break": [b"\r\n"],
    "a line break after a request": [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"],
    "half a head after a request": [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT"],
    "half a body that nobody reads": [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"{"],
}


@pytest.mark.parametrize("what", HELD)
async def test_a_connection_that_sends_no_whole_head_in_time_is_closed(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with listening() as (port, listener):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in HELD[what]:
            writer.write(piece)
            await asyncio.sleep(0.05)  # a packet of its own
        async with asyncio.timeout(5):
            answers = await reader.read()
        if what.startswith("half a head") or what == "half a request line":
            assert b"408" in answers
        await until(lambda: _none(listener), "the connection is forgotten", seconds=5)
        writer.close()


async def test_a_connection_that_waits_for_its_next_request_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    async with listening() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"xx")).startswith(READY)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(1)
        writer.close()


async def test_a_tls_handshake_that_goes_on_nowhere_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    certificate, key = write_pair(tmp_path)
    async with listening(tls_cert_file=certificate, tls_key_file=key) as (port, _):
        assert await ask(port) == b""
        assert await ask(port, b"\x16\x03\x01\x02\x00") == b""


async def test_a_caller_that_takes_nothing_of_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED_SECONDS", 0.2)
    async with listening() as (port, listener):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        raw.sendall(head(path=b"/large"))
        await until(lambda: _some(listener), "it is connected", seconds=5)
        await until(lambda: _none(listener), "it is cut off", seconds=5)
        raw.close()


async def test_a_caller_that_is_slow_gets_its_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED_SECONDS", 0.2)
    async with listening() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(head(path=b"/large"))
        size = 0
        while data := await reader.read(1 << 17):
            size += len(data)
            await asyncio.sleep(0.02)
        assert size > 4 << 20
        writer.close()


async def test_idle_connections_make_room_for_new_ones_and_busy_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 64)
    async with listening() as (port, listener):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(80)]
        assert (await ask(port, head())).startswith(READY)
        assert len(listener.server_state.connections) <= 64
        for _, writer in idle:
            writer.close()
    async with listening(silent) as (port, listener):
        busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(64)]
        for _, writer in busy:
            writer.write(head())

        async def all_busy() -> bool:
            return len(listener.server_state.tasks) == len(busy)

        await until(all_busy, "every connection has a request", seconds=5)
        assert code(await ask(port)) == "too_many_connections"
        for _, writer in busy:
            writer.close()


def test_the_bound_leaves_room_for_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, room in ((1024, 824), (20, 64), (1 << 20, 4096), (resource.RLIM_INFINITY, 4096)):
        monkeypatch.setattr("resource.getrlimit", lambda _, files=files: (files, files))
        assert server.connections() == room


def test_two_colons_listen_on_both_families() -> None:
    with contextlib.closing(sockets.bound("::", 0)) as listening_socket:
        port = listening_socket.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        if listening_socket.family == socket.AF_INET6:
            socket.create_connection(("::1", port), timeout=5).close()


def test_two_colons_mean_ipv4_on_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    made = sockets._bound

    def without_ipv6(host: str, port: int) -> socket.socket:
        if ":" in host:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return made(host, port)

    monkeypatch.setattr(sockets, "_bound", without_ipv6)
    with contextlib.closing(sockets.bound("::", 0)) as listening_socket:
        assert listening_socket.family == socket.AF_INET
    with pytest.raises(OSError, match="Address family"):
        sockets.bound("::1", 0)


async def test_a_renewed_pair_is_used_and_one_that_does_not_fit_is_not(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, name="first")
    async with listening(tls_cert_file=certificate, tls_key_file=key) as (port, listener):
        assert listener.config.ssl is not None
        current = Certificates(listener.config.ssl, certificate, key)
        assert await presented(port) == certificate.read_text()
        first = certificate.read_text()
        write_pair(tmp_path / "other", name="second")
        certificate.write_bytes((tmp_path / "other" / certificate.name).read_bytes())
        with pytest.raises(ssl.SSLError, match=r"(?i)mismatch"):
            current.load()
        assert await presented(port) == first, "the pair that fits stays in force"
        key.write_bytes((tmp_path / "other" / key.name).read_bytes())
        current.load()
        assert await presented(port) == certificate.read_text()


async def presented(port: int) -> str:
    """The certificate that a new connection is shown."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port), timeout=5)


def test_the_default_bounds_are_what_the_documents_say() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    for said in ("32 KiB", "100 headers", "16 KiB", "10 seconds", "20 seconds"):
        assert said in text
    assert (HEAD_BYTES, HEADERS, URL_BYTES) == (32 << 10, 100, 16 << 10)
    assert (protocol.HEAD_SECONDS, protocol.STALLED_SECONDS) == (10.0, 20.0)
    assert BoundedProtocol.connections_limit > 0
