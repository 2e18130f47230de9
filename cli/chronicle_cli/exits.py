"""With which status commands end; what a verdict says is in `judge.verdict.exit_status` of `chronicle_chaos`.

A program that crashed has said nothing about a ledger, so its status is none of a verdict's (0, 1, 3).
"""

from __future__ import annotations

import signal

USAGE = 2
INCONCLUSIVE = 3
DEFECT = 70
"""EX_SOFTWARE of sysexits(3)."""
INTERRUPTED = 128 + signal.SIGINT
UNREAD = 128 + signal.SIGPIPE
"""Whoever read the output has gone, so that it may not have been read to its end."""
