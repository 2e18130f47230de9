"""Following one run on a ledger of a cluster: whose verdicts the status holds, and what goes on meanwhile.

A status tells of the latest run only, which need not be the one that was asked for: verdicts are handed out when the
status says that they are that run's, and that it has finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Item = dict[str, Any]
POLL_SECONDS = 2.0


class Unanswered(Exception):
    """The cluster did not answer this once; asking again may help."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its scenarios, or why there are none to show."""

    scenarios: tuple[Item, ...] = ()
    why_not: str = ""


def outcome(ledger: Mapping[str, Any], run_id: str) -> Outcome:
    """Return the run's scenarios if the status has them, decided; else why not."""
    status: Mapping[str, Any] = ledger.get("status") or {}
    current: Mapping[str, Any] = status.get("run") or {}
    if current.get("runID") != run_id:
        latest = f"the latest run is {current['runID']} ({current['state']})" if current else "there has been no run"
        return Outcome(why_not=f"run {run_id} has not begun: {latest}; {_waits_for(status)}")
    if current.get("state") != "Finished":
        return Outcome(why_not=f"run {run_id} has not finished: {progress(status, run_id)}")
    return Outcome(tuple(status.get("scenarios") or ()))


def finished_before(ledger: Mapping[str, Any], run_id: str) -> bool:
    """Whether asking for `run_id` would start nothing, since a run of that name is over."""
    current = (ledger.get("status") or {}).get("run") or {}
    if current.get("runID") == run_id:
        return bool(current.get("state") == "Finished")
    return bool(current.get("requestedRunID") == run_id)


def progress(status: Mapping[str, Any], run_id: str) -> str:
    """Return a line about what goes on."""
    if (status.get("run") or {}).get("runID") != run_id:
        return f"waiting: {_waits_for(status)}"
    running = [it for it in status.get("scenarios") or () if it["verdict"] == "Running"]
    at = f" {running[0]['name']}: {running[0].get('phase', 'starting')}" if running else ""
    said = (status.get("run") or {}).get("message")
    return f"{status.get('scenarioSummary', '')}{at}{f' ({said})' if said else ''}".strip()


async def follow(
    read: Callable[[], Awaitable[Item]], run_id: str, seconds: float, tell: Callable[[str], None]
) -> Outcome:
    """Return the run's outcome once it has finished or `seconds` have passed; tell each change.

    `read` returns the ledger. A read that is Unanswered is repeated, and told once; any other error passes through.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    found, told = Outcome(why_not=f"run {run_id}: the cluster has not answered"), ""
    while True:
        try:
            ledger = await read()
            now = progress(ledger.get("status") or {}, run_id)
            found = outcome(ledger, run_id)
        except Unanswered as error:
            now = f"asking again: {error}"
        if now != told:
            tell(now)
            told = now
        if not found.why_not or loop.time() >= until:
            return found
        await asyncio.sleep(min(POLL_SECONDS, max(0.0, until - loop.time())))


def _waits_for(status: Mapping[str, Any]) -> str:
    conditions = status.get("conditions") or ()
    by_type: Mapping[str, Mapping[str, Any]] = {it["type"]: it for it in conditions}
    if by_type.get("ReconciliationPaused", {}).get("status") == "True":
        return f"the ledger is paused: {by_type['ReconciliationPaused']['message']}"
    return str(by_type.get("ResilienceVerified", {}).get("message", "the operator has not answered yet"))
