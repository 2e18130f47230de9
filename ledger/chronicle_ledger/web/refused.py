"""The log of callers who were not let in: a line for each, up to a rate, because anybody can be refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from chronicle_ledger import logs, metrics

log = logs.get(__name__)

WINDOW_SECONDS = 10.0
LINES = 10
"""Lines in a window. What comes on top is counted, and said with the first line of a later window."""


class RefusedAccess:
    """Counts every refusal and logs some of them. No key is in a line, whether right or wrong."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = float("-inf")
        self._lines = 0
        self._left_out = 0

    def note(self, status: int, *, client: str | None, principal: str, **request: Any) -> None:
        """Note an answer 401 or 403: who asked from which address, and what `request` it was."""
        metrics.REFUSED_ACCESS.labels(status).inc()
        now = self._clock()
        if now >= self._ends:
            self._ends, self._lines = now + WINDOW_SECONDS, 0
        if self._lines >= LINES:
            self._left_out += 1
            return
        self._lines += 1
        left_out, self._left_out = self._left_out, 0
        log.warning(
            "access refused", status=status, client=client, principal=principal, not_logged_before=left_out, **request
        )
