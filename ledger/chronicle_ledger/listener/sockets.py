"""The socket that a process listens on."""

from __future__ import annotations

import contextlib
import errno
import socket

BACKLOG = 2048
"""Connections that may wait to be accepted."""

EVERYWHERE = "::"
EVERYWHERE_IPV4 = "0.0.0.0"  # noqa: S104 - what `::` means on a machine without IPv6

_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def bound(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError.

    `::` takes IPv4 and IPv6, and IPv4 alone on a machine without IPv6, so that one setting suits every cluster.
    """
    try:
        return _bound(host, port)
    except OSError as error:
        if host != EVERYWHERE or error.errno not in _NO_IPV6:
            raise
        return _bound(EVERYWHERE_IPV4, port)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with contextlib.ExitStack() as undo:
        listening = undo.enter_context(contextlib.closing(socket.socket(family, socket.SOCK_STREAM)))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == EVERYWHERE:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        listening.listen(BACKLOG)  # from here callers wait instead of being refused
        undo.pop_all()
    return listening
