"""Hostile HTTP/1.1 requests as bytes, drawn from a seeded generator: shapes that no client library sends.

Each family returns one request for one connection. `money` requests among them are honest, so that the ledger under
test is never empty and the proof at the end has something to prove.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from uuid import UUID

PATHS = (
    "/v1/accounts",
    "/v1/transfers",
    "/v1/transactions",
    "/v1/transactions:batch",
    "/v1/holds",
    "/v1/views/trial-balance",
    "/v1/views/balances",
    "/v1/holds/{id}/capture",
    "/v1/transactions/{id}/reversal",
    "/v1/transactions/{id}",
    "/v1/accounts/{id}",
    "/v1/accounts/{id}/deposits",
    "/v1/accounts/{id}/withdrawals",
    "/v1/accounts/{id}/entries",
    "/v1/accounts/{id}/balance",
    "/v1/views/accounts/{id}/statement",
    "/health",
    "/readyz",
    "/docs",
    "/openapi.json",
)
NUMBERS: tuple[object, ...] = (
    0,
    -1,
    1,
    2**31,
    2**53 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**400,
    1.5,
    1e308,
    "1",
    None,
    True,
    [],
    {},
)
TEXTS: tuple[object, ...] = (
    "",
    "\u0000",
    "\ud800",
    "é" * 300,
    "'; DROP TABLE txn; --",
    "{}",
    "%s%n",
    "\u202eeur",
    "EUR ",
    "A" * 5_000,
)


class Hostile:
    """Draws requests. `accounts` are ids that exist; `key` is a bearer key."""

    def __init__(self, random: Random, key: str, accounts: list[str]) -> None:
        self._random = random
        self._key = key
        self._accounts = accounts
        self._families: tuple[Callable[[], bytes], ...] = (
            self.money,
            self.wrong_values,
            self.broken_json,
            self.wide_or_deep_json,
            self.wrong_headers,
            self.wrong_framing,
            self.wrong_query,
            self.wrong_path,
        )

    def draw(self) -> tuple[str, bytes]:
        """Return the family's name and one request."""
        family = self._random.choice(self._families)
        return family.__name__, family()

    def money(self) -> bytes:
        """Return an honest deposit, withdrawal or transfer."""
        first, second = self._random.sample(self._accounts, 2)
        amount = self._random.randint(1, 50)
        kind = self._random.choice(("deposits", "deposits", "withdrawals", "transfer"))
        if kind == "transfer":
            return self._post("/v1/transfers", {"source": first, "destination": second, "amount": amount})
        return self._post(f"/v1/accounts/{first}/{kind}", {"amount": amount, "currency": "EUR"})

    def wrong_values(self) -> bytes:
        """Return a body of the right shape with values that no field takes."""
        value = self._random.choice(NUMBERS + TEXTS)
        body = self._random.choice(
            (
                {"amount": value},
                {"source": self._account(), "destination": value, "amount": 1, "currency": "EUR"},
                {"currency": value, "metadata": {"a": value}},
                {"entries": [{"account_id": self._account(), "amount": value}] * 3},
                {"currency": "EUR", "metadata": {str(value): value}, "floor": value, "unknown": value},
                {"account_id": self._account(), "amount": 1, "expires_in": value, "effective_at": value},
                value,
            )
        )
        return self._post(self._path(), body)

    def broken_json(self) -> bytes:
        """Return a body that is cut, flipped or not JSON at all."""
        text = bytearray(json.dumps({"amount": 5, "metadata": {"note": "é" * 20, "n": [1, 2, {"x": None}]}}).encode())
        for _ in range(self._random.randint(1, 6)):
            text[self._random.randrange(len(text))] = self._random.randrange(256)
        cut = bytes(text[: self._random.randint(0, len(text))])
        body = self._random.choice((cut, bytes(text), b"\xff\xfe{\x00}", b"NaN", b"\xef\xbb\xbf{}", b"[" * 1_000))
        return self._request("POST", self._path(), body, self._keyed())

    def wide_or_deep_json(self) -> bytes:
        """Return up to 200 kB that costs more to read than an honest body: members, depth, escapes, digits."""
        size = self._random.choice((100, 2_000, 10_000))
        body = self._random.choice(
            (
                "{" + ",".join(f'"k{n}":0' for n in range(size)) + ',"k0":0}',
                '{"currency":"EUR","metadata":' + '{"a":' * size + "1" + "}" * size + "}",
                '{"currency":"EUR","metadata":{"a":"' + "\\u0041" * size + '"}}',
                '{"amount":' + "9" * size + "}",
                '{"entries":[' + ",".join(['{"account_id":"x","amount":1}'] * size) + "]}",
                "[" * size + "]" * size,
            )
        )
        return self._request("POST", self._path(), body.encode(), self._keyed())

    def wrong_headers(self) -> bytes:
        """Return a request whose headers are repeated, long, many or malformed."""
        key = self._fresh_key()
        extra = self._random.choice(
            (
                [("Idempotency-Key", key), ("Idempotency-Key", key + "2")],
                [("Authorization", "Bearer nobody")],
                [("If-Match", '"1"'), ("If-Match", '"99"'), ("Idempotency-Key", key)],
                [("Content-Type", "text/plain"), ("Idempotency-Key", key)],
                [("Idempotency-Key", "x" * 300)],
                [("Idempotency-Key", "é")],
                [(f"X-{number}", "a") for number in range(150)],
                [("X-Long", "a" * 40_000)],
                [("Accept-Encoding", "gzip;q=nan"), ("Range", "bytes=0-"), ("Idempotency-Key", key)],
                [("Expect", "100-continue"), ("Idempotency-Key", key)],
                [("If-Match", "1" * 400), ("Idempotency-Key", key)],
            )
        )
        return self._request("POST", f"/v1/accounts/{self._account()}/deposits", b'{"amount":1}', extra)

    def wrong_framing(self) -> bytes:
        """Return bytes whose length, chunks or request line contradict each other."""
        host = f"Host: x\r\nAuthorization: Bearer {self._key}\r\n".encode()
        return self._random.choice(
            (
                b"POST /v1/accounts HTTP/1.1\r\n"
                + host
                + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"POST /v1/accounts HTTP/1.1\r\n" + host + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
                b"POST /v1/accounts HTTP/1.1\r\n" + host + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
                b"POST /v1/accounts HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n",
                b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n",
                b"GET /v1/accounts HTTP/9.9\r\n" + host + b"\r\n",
                b"CONNECT elsewhere:443 HTTP/1.1\r\n" + host + b"\r\n",
                b"TRACE /v1/accounts HTTP/1.1\r\n" + host + b"\r\n",
                b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n",
                b"GET /v1/accounts HTTP/1.1\r\n" + host + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self._random.randbytes(200),
                self._random.randbytes(self._random.randint(1, 400)) + b"\r\n\r\n",
            )
        )

    def wrong_query(self) -> bytes:
        """Return a read whose query has values that its parameters do not take."""
        name = self._random.choice(("cursor", "limit", "at", "from", "to", "min_version", "currency", "kind", "status"))
        value = self._random.choice(
            ("", "%00", "%ff", "-1", "9" * 400, "nan", "2026-W05-6T09:00:00Z", "%27", "A" * 20_000, "1&limit=2", "%")
        )
        return self._request("GET", f"{self._path()}?{name}={value}", b"", [])

    def wrong_path(self) -> bytes:
        """Return a path that is no operation's."""
        path = self._random.choice(
            (
                "/docs/..%2fv1/accounts",
                "//127.0.0.1:9/livez",
                "http://127.0.0.1:9/v1/accounts",
                "@127.0.0.1:9/livez",
                "/v1/accounts/%00",
                "/v1/accounts/" + "a" * 40_000,
                f"/v1/accounts/{UUID(int=0)}/entries",
                "/v1/accounts/" + "0" * 36,
                "/livez;x/../v1/accounts",
                "/" + "../" * 200,
            )
        )
        return self._request(self._random.choice(("GET", "HEAD", "PUT", "DELETE", "PATCH")), path, b"", [])

    def _path(self) -> str:
        return self._random.choice(PATHS).replace("{id}", self._account())

    def _account(self) -> str:
        return self._random.choice(self._accounts)

    def _fresh_key(self) -> str:
        return f"fuzz-{self._random.getrandbits(96):024x}"

    def _keyed(self) -> list[tuple[str, str]]:
        return [("Content-Type", "application/json"), ("Idempotency-Key", self._fresh_key())]

    def _post(self, path: str, body: object) -> bytes:
        return self._request("POST", path, json.dumps(body, ensure_ascii=True).encode(), self._keyed())

    def _request(self, method: str, path: str, body: bytes, headers: list[tuple[str, str]]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self._key}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(body)}")
        lines.append("Connection: close")
        return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body
