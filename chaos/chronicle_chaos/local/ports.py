"""Free ports of the loopback interface, of those that no outgoing connection is given.

The system takes the near end of each outgoing connection from its ephemeral ports. A server that listens on one of
those can lose it: before it has started, or while it is down, some client's connection may be given the same number.
Ephemeral ports begin at 32768 on Linux (`ip_local_port_range` in the kernel's ip-sysctl documentation) and at 49152
where a system keeps to RFC 6335.

Between the choice of a port and the start of its server (and while a killed server is down) the port is free again,
and a second cluster that starts beside this one could choose it too. So the UDP port of the same number is kept
bound: it is what another process that chooses ports here looks at, and the system frees it when this one ends,
however it ends.
"""

from __future__ import annotations

import os
import random
import socket
from collections import deque
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST = 10_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Bounded, because each is an open file: a cluster has some forty ports, and a file limit of 256 is common.
RESERVATIONS = 120
_reservations: deque[int] = deque()


def candidates() -> range:
    """The ports to choose from: below the ephemeral ones, unless a machine leaves too few there."""
    try:
        first_ephemeral = int(EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        first_ephemeral = 32_768
    return range(FIRST, first_ephemeral) if first_ephemeral >= FIRST + 1_000 else range(FIRST, 65_536)


def free_ports(number: int) -> list[int]:
    """`number` different ports that nobody listens on now, chosen at random (whatever seeds a run).

    They stay reserved against other callers, in this process and in others, until this process ends or has asked for
    a hundred more. A program that does not choose its ports here may still take one before the server starts, which
    the server then reports. Raises RuntimeError where there are not so many.
    """
    with ExitStack() as stack:
        found: dict[int, socket.socket] = {}
        for port in random.SystemRandom().sample(candidates(), k=min(1_000, len(candidates()))):
            if len(found) == number:
                break
            free = stack.enter_context(socket.socket())
            reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                free.bind((LOOPBACK, port))
                reservation.bind((LOOPBACK, port))
            except OSError:
                reservation.close()
                continue
            found[port] = reservation
        if len(found) < number:
            for reservation in found.values():
                reservation.close()
            raise RuntimeError(f"{LOOPBACK} has fewer than {number} free ports; end some of what listens there")
        _reservations.extend(reservation.detach() for reservation in found.values())
        while len(_reservations) > max(RESERVATIONS, number):
            os.close(_reservations.popleft())
        return list(found)


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
