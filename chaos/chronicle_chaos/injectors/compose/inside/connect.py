"""Try to connect to each HOST:PORT; print a list of what went wrong as JSON, empty words where nothing did.

A connection that is refused and one that stays silent both count as not made.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

SECONDS = 1.5


def reached(address: str) -> str:
    """Return what went wrong with a connection; nothing: it was made."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


if __name__ == "__main__":
    with ThreadPoolExecutor(8) as pool:
        sys.stdout.write(json.dumps(list(pool.map(reached, sys.argv[1:]))) + "\n")
