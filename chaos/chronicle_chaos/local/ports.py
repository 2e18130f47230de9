"""Free ports of the loopback interface, of those that no outgoing connection is given.

The system takes the near end of each outgoing connection from its ephemeral ports. A server that listens on one of
those can lose it: before it has started, or while it is down, some client's connection may be given the same number.
Ephemeral ports begin at 32768 on Linux (`ip_local_port_range` in the kernel's ip-sysctl documentation) and at 49152
where a system keeps to RFC 6335.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST = 10_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def candidates() -> range:
    """The ports to choose from: below the ephemeral ones, unless a machine leaves too few there."""
    try:
        first_ephemeral = int(EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        first_ephemeral = 32_768
    return range(FIRST, first_ephemeral) if first_ephemeral >= FIRST + 1_000 else range(FIRST, 65_536)


def free_ports(number: int) -> list[int]:
    """`number` different ports that nobody listens on now, chosen at random (whatever seeds a run).

    All are held at once and then let go, so they differ; between here and the server's start another program may
    still choose the same one, which the server then reports. Raises RuntimeError where there are not so many.
    """
    with ExitStack() as stack:
        held: list[int] = []
        for port in random.SystemRandom().sample(candidates(), k=min(1_000, len(candidates()))):
            if len(held) == number:
                break
            free = stack.enter_context(socket.socket())
            try:
                free.bind((LOOPBACK, port))
            except OSError:
                continue
            held.append(port)
        if len(held) < number:
            raise RuntimeError(f"{LOOPBACK} has fewer than {number} free ports; end some of what listens there")
        return held


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
