"""Hold connections, and say what becomes of them: `hold`, `settle` and `ask` as lines, answers as lines of JSON.

The first argument is JSON: for each port, in hexadecimal, what a client says first and what it asks later. The others
are HOST:PORT. An answer that came once after a cut counts for good.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

CONNECT_SECONDS = 3.0
SETTLE_SECONDS = 0.1
ASK_SECONDS = 1.5


class Connections:
    """Connections to some addresses."""

    def __init__(self, protocols: Mapping[str, Sequence[str]]) -> None:
        self._protocols = {int(port): [bytes.fromhex(it) for it in said] for port, said in protocols.items()}
        self._held: dict[str, socket.socket] = {}
        self._answered: set[str] = set()

    def hold(self, address: str) -> str:
        """Connect and be answered once; what went wrong, or nothing."""
        host, port = address.rsplit(":", 1)
        try:
            connection = socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS)
            connection.sendall(self._protocols[int(port)][0])
            if not connection.recv(65_536):
                return "closed"
        except OSError as error:
            return str(error) or type(error).__name__
        self._held[address] = connection
        return ""

    def settle(self, address: str) -> str:
        """Take what came before off the line."""
        self._held[address].settimeout(SETTLE_SECONDS)
        try:
            while self._held[address].recv(65_536):
                pass
        except OSError:
            pass
        return ""

    def ask(self, address: str) -> str:
        """Return what comes of the question now."""
        if address in self._answered:
            return "answers"
        connection = self._held[address]
        connection.settimeout(ASK_SECONDS)
        try:
            connection.sendall(self._protocols[int(address.rsplit(":", 1)[1])][1])
            if not connection.recv(1):
                return "closed"
        except TimeoutError:
            return "timed out"
        except OSError as error:
            return str(error) or type(error).__name__
        self._answered.add(address)
        return "answers"

    def close(self) -> None:
        """Let go of all."""
        for connection in self._held.values():
            connection.close()


def converse(protocols: str, addresses: Sequence[str], lines: Iterable[str]) -> Iterator[str]:
    """Yield the answer to each line."""
    connections = Connections(json.loads(protocols))
    steps = {"hold": connections.hold, "settle": connections.settle, "ask": connections.ask}
    try:
        with ThreadPoolExecutor(8) as pool:
            for line in lines:
                yield json.dumps(list(pool.map(steps[line.strip()], addresses)))
    finally:
        connections.close()


if __name__ == "__main__":
    for answer in converse(sys.argv[1], sys.argv[2:], sys.stdin):
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
