"""What Prometheus is told of figures that nobody measured."""

from __future__ import annotations

from chronicle_ledger import metrics


def exported(name: str) -> list[str]:
    """The samples of `name` in the exposition."""
    return [line for line in metrics.exposition().decode().splitlines() if line.startswith(f"{name} ")]


def test_a_figure_is_absent_until_it_was_measured_and_while_it_cannot_be() -> None:
    name = "chronicle_outbox_backlog_events"
    metrics.OUTBOX_BACKLOG.forget()
    assert exported(name) == []
    metrics.OUTBOX_BACKLOG.set(7)
    assert exported(name) == [f"{name} 7.0"]
    metrics.OUTBOX_BACKLOG.set(0)
    assert exported(name) == [f"{name} 0.0"], "measured, and nothing waits"
    metrics.OUTBOX_BACKLOG.forget()
    assert exported(name) == []
