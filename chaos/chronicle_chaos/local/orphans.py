"""Children that end with their parent, whatever ends it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` by which a child asks the kernel for SIGKILL when its parent dies (prctl(2), PR_SET_PDEATHSIG).

    None where the kernel has no such thing; there only an orderly end takes children along. The kernel watches the
    thread that started the child, so start children from a thread that stays, which the main one does.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked, and nobody would tell us any more
            os.kill(os.getpid(), signal.SIGKILL)

    return ask
