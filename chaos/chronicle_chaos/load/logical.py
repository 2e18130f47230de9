"""A logical client: one request at a time, retried with the same idempotency key until the answer is final."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

from chronicle_chaos.load.client import Answer, LedgerClient
from chronicle_chaos.load.operations import Request
from chronicle_chaos.record.history import Outcome, Recorder


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits, in seconds: for one attempt, and in all.

    Pauses between attempts double from the first to the longest, with jitter, so that clients that failed together do
    not come back together. `attempts` None means as many as fit.
    """

    attempt: float = 10.0
    total: float = 30.0
    first_pause: float = 0.05
    longest_pause: float = 1.0
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class LogicalClient:
    """`name` is its process in the history."""

    name: str
    client: LedgerClient
    recorder: Recorder
    rng: Random
    patience: Patience

    async def perform(
        self, request: Request, url: str, target: str, intended_ns: int
    ) -> tuple[Outcome, dict[str, Any]]:
        """Do it, record how it ended, and return that with what the history keeps of the answer.

        `info` means that this client must not be used again: what it asked for
        may still happen later, concurrently with whatever it would do next (Jepsen retires such a process too)."""
        self.recorder.record(
            self.name, "invoke", request.f, key=request.key, value=request.value, target=target,
            intended_ns=intended_ns,
        )  # fmt: skip
        try:
            answer, attempts, doubt = await self._attempts(request, url)
        except asyncio.CancelledError:
            self.recorder.record(self.name, "info", request.f, key=request.key, target=target, error="load was stopped")
            raise
        outcome = _outcome(answer, doubt)
        value = summary(answer.body) if answer.kind == "ok" else refusal(answer)
        value["attempts"] = attempts
        if answer.forwarded_attempts > 1:
            value["forwarded_attempts"] = answer.forwarded_attempts
        if answer.replayed:
            value["replayed"] = True
        self.recorder.record(
            self.name, outcome, request.f, key=request.key, value=value, target=target, status=answer.status,
            code="not_sent" if answer.kind == "not-sent" and not doubt else answer.code,
            intended_ns=intended_ns, error=answer.error or _detail(answer),
        )  # fmt: skip
        return outcome, value

    async def _attempts(self, request: Request, url: str) -> tuple[Answer, int, bool]:
        """Returns the last answer, the number of attempts, and whether an earlier one may have happened."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.patience.total
        pause = self.patience.first_pause
        attempts = 0
        doubt = False
        while True:
            attempts += 1
            answer = await self.client.request(
                request.method, url + request.path, body=request.body, key=request.key,
                timeout=max(0.1, min(self.patience.attempt, until - loop.time())),
            )  # fmt: skip
            if answer.kind in {"ok", "refused"}:
                return answer, attempts, doubt or answer.forwarded_attempts > 1
            doubt = doubt or answer.kind == "unknown"
            if attempts == self.patience.attempts:
                return answer, attempts, doubt
            wait = max(pause, min(answer.retry_after or 0.0, self.patience.longest_pause))
            wait *= 0.5 + self.rng.random()
            if loop.time() + wait >= until:
                return answer, attempts, doubt
            await asyncio.sleep(wait)
            pause = min(self.patience.longest_pause, pause * 2)


def _outcome(answer: Answer, doubt: bool) -> Outcome:
    if answer.kind == "ok":
        return "ok"
    # Even a refusal is no proof after an attempt that nobody saw end: that attempt may be committed later.
    return "info" if doubt else "fail"


def _detail(answer: Answer) -> str | None:
    if answer.kind == "ok" or not isinstance(answer.body, dict):
        return None
    return answer.body.get("detail") or answer.body.get("title")


def summary(body: Any) -> dict[str, Any]:
    """What the history keeps of a successful answer: ids, and per entry what the checkers look at."""
    if not isinstance(body, dict):
        return {}
    kept: dict[str, Any] = {}
    transaction = body.get("transaction") if isinstance(body.get("transaction"), dict) else body
    if isinstance(transaction, dict) and "entries" in transaction:
        kept["transaction_id"] = transaction["id"]
        kept["entries"] = [entry_summary(e) for e in transaction["entries"]]
    if "state" in body:
        kept["hold_id"] = body["id"]
    if "balance" in body:
        kept["account_id"] = body["id"]
        kept.update({name: body[name] for name in ("balance", "held", "floor", "version") if name in body})
    return kept


REFUSAL = ("account_id", "available", "required", "floor", "version", "expected_version", "hold_id", "state")


def refusal(answer: Answer) -> dict[str, Any]:
    """What the history keeps of a refusal beside its code: the figures of the state that the ledger says it saw."""
    if answer.kind != "refused" or not isinstance(answer.body, dict):
        return {}
    figures = {name: answer.body[name] for name in REFUSAL if name in answer.body}
    return {"refusal": figures} if figures else {}


def entry_summary(entry: dict[str, Any]) -> dict[str, Any]:
    """One entry, without what is the same everywhere."""
    names = ("account_id", "version", "amount", "held", "balance_after", "held_after")
    return {name: entry[name] for name in names}
