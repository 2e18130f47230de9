"""A terminal that closes ends a command in order, unless `nohup` was to keep it."""

from __future__ import annotations

import signal

from chronicle_cli.signals import ending_signals


def test_a_closing_terminal_is_heard_unless_nohup_was_asked_for() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert set(ending_signals()) == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert set(ending_signals()) == {signal.SIGINT, signal.SIGTERM}
    finally:
        signal.signal(signal.SIGHUP, before)
