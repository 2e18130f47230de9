# ruff: noqa: ARG002 - the injector below keeps the signatures of the protocol
"""A ledger in memory behind the real HTTP API's shapes, with faults and with bugs: for tests of the engine alone.

It proves nothing about ChronicleLedger. It shows that the engine sees what it should: a correct ledger passes, and
each bug is found by the check that is there for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from aiohttp import web

from chronicle_chaos.faults.fault import Fault
from chronicle_chaos.injectors.injection import Evidence, Fidelity, Injection, Observation, UndoLog
from chronicle_chaos.target import Target

Entry = dict[str, Any]


@dataclass
class Row:
    """An account."""

    id: str
    floor: int | None
    entries: list[Entry] = field(default_factory=list)

    @property
    def state(self) -> tuple[int, int]:
        """(balance, held)."""
        return (self.entries[-1]["balance_after"], self.entries[-1]["held_after"]) if self.entries else (0, 0)

    def json(self) -> dict[str, Any]:
        """As the API shows it."""
        balance, held = self.state
        return {"id": self.id, "balance": balance, "held": held, "floor": self.floor, "version": len(self.entries),
                "currency": "XTS", "status": "open"}  # fmt: skip


class Refused(Exception):
    """A business refusal: (status, code)."""


@dataclass
class MemoryLedger:
    """`bugs` turn guarantees off: idempotency, balance-floor, version-check, forgets, loses-account, stale-reads,
    split-brain (region-b has a write of its own), wrong-view, silent-health, blames-another (component
    for the fault). `broken` makes every request but /health
    fail as it says: `refuse` (503) or `hang`."""

    bugs: frozenset[str] = frozenset()
    broken: str | None = None
    accounts: dict[str, Row] = field(default_factory=dict)
    transactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    holds: dict[str, dict[str, Any]] = field(default_factory=dict)
    posted: int = 0

    def __post_init__(self) -> None:
        self.world = Row("world", None)
        self.accounts["world"] = self.world

    # ---- posting -------------------------------------------------------------------------------------------------

    def post(self, kind: str, key: str, path: str, legs: Sequence[tuple[Row, int, int]], body: Mapping[str, Any],
             extra: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], bool]:  # fmt: skip
        """Post legs (account, amount, held); returns the transaction and whether it is a replay."""
        identity = str(uuid5(NAMESPACE_URL, f"{path} {key}"))
        if identity in self.transactions and "idempotency" not in self.bugs:
            return self.transactions[identity], True
        if identity in self.transactions:
            identity = str(uuid4())
        for row, amount, held in legs:
            balance, already = row.state
            available = balance + amount - already - held
            if row.floor is not None and available < row.floor and "balance-floor" not in self.bugs:
                raise Refused(409, "insufficient_funds")
        expected = body.get("expected_version")
        if expected is not None and expected != len(legs[0][0].entries) and "version-check" not in self.bugs:
            raise Refused(409, "version_conflict")
        entries = []
        self.posted += 1
        forget = "forgets" in self.bugs and kind == "transfer" and self.posted % 25 == 0
        for row, amount, held in legs:
            balance, already = row.state
            entry = {"transaction_id": identity, "account_id": row.id, "currency": "XTS",
                     "version": len(row.entries) + 1, "amount": amount, "held": held,
                     "balance_after": balance + amount, "held_after": already + held}  # fmt: skip
            entries.append(entry)
            if not forget:
                row.entries.append(entry)
        transaction = {"id": identity, "kind": kind, "metadata": body.get("metadata", {}), "entries": entries,
                       **(extra or {})}  # fmt: skip
        if not forget:
            self.transactions[identity] = transaction
        return transaction, False

    # ---- HTTP ----------------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request, region: str = "region-a") -> web.Response:
        """Every route, by an instance of `region`."""
        path = request.path
        if path == "/health":
            return self._health()
        if self.broken == "hang":
            await asyncio.sleep(30)
        if self.broken:
            return web.json_response({"code": "database_unavailable"}, status=503)
        await asyncio.sleep(0.001)
        try:
            if request.method == "GET":
                found = self._read(path, request.query)
                if "split-brain" in self.bugs and region == "region-b" and "balance" in found:
                    found |= {"version": found["version"] + 1, "balance": found["balance"] + 5}
                return web.json_response(found)
            body = await request.json()
            answer, replayed = self._write(path, request.headers["Idempotency-Key"], body)
            return web.json_response(answer, status=201, headers={"Idempotent-Replayed": "true"} if replayed else {})
        except Refused as refused:
            status, code = refused.args
            return web.json_response({"code": code, "title": code}, status=status)

    def _health(self) -> web.Response:
        bad = self.broken is not None and "silent-health" not in self.bugs
        if bad and "blames-another" in self.bugs:
            components = {"database": {"status": "ok"}, "nats": {"status": "down"}}
            return web.json_response({"status": "degraded", "components": components})
        status = "degraded" if bad else "ok"
        body = {"status": status,
                "components": {"database": {"status": status, "nodes_live": 2 if bad else 3, "nodes_total": 3,
                                            "ranges_underreplicated": 7 if bad else 0},
                               "read_model": {"lag_events": 5 if bad else 0, "lag_seconds": 0},
                               "relay": {"backlog": 0}}}  # fmt: skip
        return web.json_response(body)

    def _read(self, path: str, query: Mapping[str, str]) -> Any:
        parts = path.strip("/").split("/")[1:]
        match parts:
            case ["accounts"]:
                return {"accounts": [row.json() for row in self.accounts.values()], "next_cursor": None}
            case ["accounts", account]:
                shown = self._row(account).json()
                if "stale-reads" in self.bugs and (row := self._row(account)).entries[3:]:
                    old = row.entries[2]
                    shown |= {"version": 3, "balance": old["balance_after"], "held": old["held_after"]}
                return shown
            case ["accounts", account, "entries"]:
                start, size = int(query.get("cursor", "0")), int(query["limit"])
                rows = self._row(account).entries
                following = start + size
                return {"entries": rows[start:following],
                        "next_cursor": str(following) if following < len(rows) else None}  # fmt: skip
            case ["transactions", transaction] if transaction in self.transactions:
                return self.transactions[transaction]
            case ["proof"]:
                good = "wrong-view" not in self.bugs
                found = "Passed" if good else "Failed"
                checks = [{"name": "stream", "result": "Passed", "compared": 9, "message": "as said"},
                          {"name": "view", "result": found, "compared": 9, "message": "as said"}]  # fmt: skip
                return {"result": found, "checks": checks}
            case _:
                raise Refused(404, "not_found")

    def _row(self, account: str) -> Row:
        lost = "loses-account" in self.bugs and self.posted > 200 and account == list(self.accounts)[1]
        if lost or account not in self.accounts:
            raise Refused(404, "account_not_found")
        return self.accounts[account]

    def _write(self, path: str, key: str, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        parts = path.strip("/").split("/")[1:]
        match parts:
            case ["accounts"]:
                row = Row(str(uuid5(NAMESPACE_URL, key)), 0)
                self.accounts[row.id] = row
                self.post("account_opened", key, path, [(row, 0, 0)], body)
                return row.json(), False
            case ["transfers"]:
                source, destination = self._row(body["source"]), self._row(body["destination"])
                return self.post("transfer", key, path, [(source, -body["amount"], 0),
                                                         (destination, body["amount"], 0)], body)  # fmt: skip
            case ["accounts", account, "deposits" | "withdrawals" as kind]:
                amount = body["amount"] if kind == "deposits" else -body["amount"]
                legs = [(self._row(account), amount, 0), (self.world, -amount, 0)]
                return self.post(kind[:-1], key, path, legs, body)
            case ["holds"]:
                hold = {"id": str(uuid5(NAMESPACE_URL, key)), **body, "state": "pending"}
                transaction, replayed = self.post("hold", key, path, [(self._row(body["account_id"]), 0,
                                                                       body["amount"])], body)  # fmt: skip
                self.holds[str(hold["id"])] = hold
                return {**hold, "transaction": transaction}, replayed
            case ["holds", hold_id, "capture" | "release" as verb]:
                held = self.holds.get(hold_id)
                if held is None or held.setdefault("settled_by", key) != key:  # a retry of what settled it is answered
                    raise Refused(409, "hold_not_pending")
                row, amount = self._row(held["account_id"]), held["amount"]
                if verb == "release":
                    return self.post("release", key, path, [(row, 0, -amount)], body)
                target = self._row(held["destination_id"])
                return self.post("capture", key, path, [(row, -amount, -amount), (target, amount, 0)], body)
            case _:
                raise Refused(404, "not_found")


@asynccontextmanager
async def serving(ledger: MemoryLedger, regions: Sequence[str] = ("region-a",)) -> AsyncIterator[Target]:
    """Serve on free loopback ports, one a region; the first one is the load balancer too."""
    async with AsyncExitStack() as stack:
        urls = {region: await _serve(ledger, region, stack) for region in regions}
        yield Target("local", urls[regions[0]], {region: (url,) for region, url in urls.items()}, "cockroachdb")


async def _serve(ledger: MemoryLedger, region: str, stack: AsyncExitStack) -> str:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", partial(ledger.handle, region=region))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


@dataclass
class MemoryInjector:
    """Breaks a `MemoryLedger`. `works` False makes it the injector that does nothing."""

    ledger: MemoryLedger
    how: str = "refuse"
    works: bool = True
    name: str = "Memory"
    fidelity: Fidelity = "process"
    calls: list[str] = field(default_factory=list)
    looked_after_healing: int = 0

    async def preflight(self, fault: Fault) -> None:
        self.calls.append("preflight")

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        self.calls.append("inject")
        undo.record("set broken to None", {"broken": None})
        if self.works:
            self.ledger.broken = self.how
        return Injection(fault, ("memory",))

    async def evidence(self, injection: Injection) -> Evidence:
        return Evidence((Observation("broken", "None", str(self.ledger.broken), self.ledger.broken is not None),))

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        self.calls.append("during")
        await asyncio.sleep(seconds)
        return ()

    async def heal(self, injection: Injection) -> None:
        self.calls.append("heal")
        self.ledger.broken = None

    async def healed(self, injection: Injection) -> Evidence:
        self.looked_after_healing += 1
        return Evidence((Observation("broken", self.how, str(self.ledger.broken), self.ledger.broken is None),))
