"""Which `Host` an open ledger answers to: the defence against DNS rebinding.

Without keys, each caller is an administrator. A web page can make its reader's browser reach 127.0.0.1 by a public name
of its own that resolves to it. The browser then sends that name as `Host`. So an open ledger answers only to hosts that
no stranger can own: IP addresses, names of one label, and names under suffixes that public DNS does not have (RFC 6761,
RFC 8375, ICANN's `internal`, Kubernetes' `svc`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

PRIVATE_SUFFIXES = ("localhost", "local", "internal", "test", "svc", "home.arpa")
_HOST = re.compile(r"(?P<address>\[[0-9A-Fa-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


def private(host: str, listed: Collection[str] = ()) -> bool:
    """Whether `host`, as in the header, can only be this ledger's own name. `listed`: further names, without ports."""
    match = _HOST.fullmatch(host.strip().lower())
    if match is None:
        return False
    name = match["address"].strip("[]").removesuffix(".")
    if name in listed or ("." not in name and ":" not in name):
        return True
    if name.endswith(tuple(f".{suffix}" for suffix in PRIVATE_SUFFIXES)):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
