"""Notice that a file changed (a rotated Secret), by looking once a second.

Kubernetes swaps a Secret by renaming a symbolic link above the file, which file notifications on the file itself do
not see; the identity and time of what the path leads to show it on every system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from chronicle_ledger import logs, metrics

log = logs.get(__name__)

Mark = tuple[tuple[int, int, int, int] | None, ...]


def mark(paths: Sequence[Path]) -> Mark:
    """What tells one state of the files from another; None for a file that is not there."""
    marks: list[tuple[int, int, int, int] | None] = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(marks)


async def reload_on_change(paths: Sequence[Path], reload: Callable[[], None], *, interval: float = 1.0) -> None:
    """Call `reload` after each change, for ever. What it raises is logged; what was loaded before stays in force."""
    last = mark(paths)
    name = ",".join(path.name for path in paths)
    while True:
        await asyncio.sleep(interval)
        now = mark(paths)
        if now == last:
            continue
        last = now
        try:
            reload()
        except (OSError, ValueError) as error:  # half-written or broken: the next change gets its own try
            metrics.RELOADS.labels(name, "failed").inc()
            log.warning("file not reloaded; the previous content stays in force", file=name, error=str(error))
        else:
            metrics.RELOADS.labels(name, "ok").inc()
            log.info("file reloaded", file=name)
