"""Free ports of the loopback interface."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(number: int) -> list[int]:
    """`number` different ports that nobody listens on now.

    All are held at once and then let go, so they differ; between here and the server's start somebody else may still
    take one, which the server then reports.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for held in sockets:
            held.bind((LOOPBACK, 0))
        return [int(held.getsockname()[1]) for held in sockets]


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
