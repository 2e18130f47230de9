"""Refused keys leave a trace, and no flood of them floods the log."""

from __future__ import annotations

from typing import Any

import pytest

from chronicle_ledger import metrics
from chronicle_ledger.web import refused
from chronicle_ledger.web.refused import LINES, WINDOW_SECONDS, RefusedAccess


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is logged."""
    found: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **figures: Any) -> None:
            found.append({"event": event, **figures})

    monkeypatch.setattr(refused, "log", Log())
    return found


def counted() -> float:
    return float(metrics.REFUSED_ACCESS.labels(401)._value.get())


def test_a_flood_of_refusals_is_counted_whole_and_logged_in_part(lines: list[dict[str, Any]]) -> None:
    now = [100.0]
    access = RefusedAccess(clock=lambda: now[0])
    before = counted()
    for _ in range(1000):
        access.note(401, client="192.0.2.1", principal="unknown", path="/v1/accounts")
    assert (len(lines), WINDOW_SECONDS) == (LINES, 10) == (10, 10)
    assert lines[0] == {
        "event": "access refused", "status": 401, "client": "192.0.2.1", "principal": "unknown",
        "not_logged_before": 0, "path": "/v1/accounts",
    }  # fmt: skip
    now[0] += WINDOW_SECONDS
    access.note(401, client="192.0.2.1", principal="unknown")
    access.note(401, client="192.0.2.1", principal="unknown")
    assert [line["not_logged_before"] for line in lines[LINES:]] == [1000 - LINES, 0]
    assert counted() - before == 1002
