"""What anybody who reaches the port can do to a process: nothing that lasts, and little that costs."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.api_process import Api, Ledger

MIB = 1 << 20
LIMIT = 150 * MIB
"""Bytes of memory that a process stays below."""


def connected(api: Api) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])), timeout=10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def poured(api: Api, begin: bytes, piece: bytes, size: int) -> int:
    """Send `begin` and then `piece` again and again on one connection, until it ends; how many bytes went out."""
    sent = 0
    with contextlib.closing(connected(api)) as connection, contextlib.suppress(OSError):
        connection.sendall(begin)
        while sent < size:
            sent += connection.send(piece)
    return sent


@pytest.mark.parametrize(
    ("what", "begin", "piece"),
    [
        ("headers", b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"".join(b"X-%04x: a\r\n" % n for n in range(8192))),
        ("one header", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 65_536),
        ("a URL", b"GET /", b"a" * 65_536),
        ("requests in a pipeline", b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2000),
    ],
)
def test_no_amount_of_what_comes_before_a_key_takes_memory(api: Api, what: str, begin: bytes, piece: bytes) -> None:
    sent, most = 0, 0
    ends = time.monotonic() + 60
    while sent < 200 * MIB:
        sent += poured(api, begin, piece, 200 * MIB)
        most = max(most, api.resident())
        assert time.monotonic() < ends, f"{sent} bytes sent"
    assert most < LIMIT, f"{most / MIB:.0f} MiB"
    assert httpx.get(f"{api.url}/livez").status_code == 200


@pytest.fixture
def account(api: Api) -> Iterator[str]:
    with api.client() as client:
        yield Ledger(client).open(100)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Idempotency-Key", ("KEY", "another")),
        ("If-Match", ('"2"', '"99"')),
        ("Authorization", ("Bearer a", "Bearer b")),
        ("Content-Type", ("application/json", "text/plain")),
        ("X-Request-Id", ("one", "two")),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_header_of_which_one_value_counts_is_refused_where_there_are_two(
    api: Api, account: str, name: str, values: tuple[str, str], turned: bool
) -> None:
    key = uuid.uuid4().hex
    once: dict[str, str] = {"Idempotency-Key": key, "Content-Type": "application/json"}
    once.pop(name, None)
    twice = [(name, value.replace("KEY", key)) for value in (reversed(values) if turned else values)]
    before = api.size()
    answer = httpx.post(
        f"{api.url}/v1/accounts/{account}/deposits", content=b'{"amount":1}', headers=[*once.items(), *twice]
    )
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (400, "duplicate_header", name)
    assert api.size() == before
