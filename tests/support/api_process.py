"""API processes as an operator would start them, and the requests that most tests begin with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

CHRONICLE = Path(sys.executable).with_name("chronicle")


@dataclass(slots=True)
class Api:
    """A running `chronicle serve api`."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    database_url: str

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def resident(self) -> int:
        """The memory of the process, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) << 10

    def client(self, **options: Any) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=20, **options)

    def size(self) -> tuple[int, ...]:
        """How many rows the ledger has, table by table: what a refused request must not change."""
        tables = ("account", "txn", "entry", "hold", "outbox")
        with psycopg.connect(self.database_url) as connection:
            counting = [f"SELECT count(*) FROM {table}" for table in tables]  # noqa: S608  # the names are above
            rows = [connection.execute(query.encode()).fetchone() for query in counting]
        return tuple(row[0] for row in rows if row is not None)


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for a condition; fail with its name."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def environment(database_url: str, **settings: str) -> dict[str, str]:
    """The environment of a process: nothing of the caller's settings, free port, little drain delay."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHRONICLE_")}
    ours = {"DATABASE_URL": database_url, "LISTEN_PORT": "0", "DRAIN_DELAY": "0.1", **settings}
    return {**inherited, **{f"CHRONICLE_{name}": value for name, value in ours.items()}}


class Ledger:
    """The few requests that most tests begin with."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def post(self, path: str, body: Any = None, *, key: str | None = None, **options: Any) -> httpx.Response:
        """POST with a fresh idempotency key, unless one is given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex, **options.pop("headers", {})}
        return self.client.post(path, json=body, headers=headers, **options)

    def open(self, balance: int = 0, **body: Any) -> str:
        """Open an account and put `balance` into it; its id."""
        opened = self.post("/v1/accounts", {"currency": "EUR", **body})
        assert opened.status_code == 201, opened.text
        account: str = opened.json()["id"]
        if balance:
            assert self.post(f"/v1/accounts/{account}/deposits", {"amount": balance}).status_code == 201
        return account

    def balance(self, account: str) -> int:
        """The account's balance now."""
        balance: int = self.client.get(f"/v1/accounts/{account}").json()["balance"]
        return balance
