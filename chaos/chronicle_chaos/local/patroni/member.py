"""Patroni as one node runs it: it reaches some of the others by other ports than etcd names.

Run as `python -m chronicle_chaos.local.patroni.member FILE`. LOCAL_CROSSINGS is JSON: ports of others, each with
the port of the proxy that leads there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

VARIABLE = "LOCAL_CROSSINGS"
ADDRESSES = ("conn_url", "api_url")
"""Of what a member says of itself, what leads to it."""


def crossed(url: str, crossings: Mapping[int, int]) -> str:
    """Return an address with the port by which it is reached from here."""
    parts = urlsplit(url)
    crossing = None if parts.port is None else crossings.get(parts.port)
    if crossing is None:
        return url
    before, _, _ = parts.netloc.rpartition(":")
    return str(urlunsplit(parts._replace(netloc=f"{before}:{crossing}")))


def main() -> None:
    """Be Patroni. It re-executes itself by `sys.argv`, which leads here again."""
    from patroni import dcs
    from patroni.__main__ import main as run

    crossings = {int(port): int(crossing) for port, crossing in json.loads(os.environ[VARIABLE]).items()}
    plain = dcs.Member.from_node

    def from_node(version: int | str, name: str, session: str | float | None, value: str) -> Any:
        member = plain(version, name, session, value)
        for address in ADDRESSES:
            if url := member.data.get(address):
                member.data[address] = crossed(str(url), crossings)
        return member

    dcs.Member.from_node = staticmethod(from_node)
    run()


if __name__ == "__main__":
    main()
