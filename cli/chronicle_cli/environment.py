"""Variables that look like settings and are none."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping

PREFIX = "CHRONICLE_"
OTHERS = frozenset({
    "CHRONICLE_CONFIG_FILE", "CHRONICLE_SABOTAGE", "CHRONICLE_SABOTAGE_ALLOWED", "CHRONICLE_COCKROACH",
    "CHRONICLE_COCKROACH_BASE_URL", "CHRONICLE_API_KEY", "CHRONICLE_CA_FILE", "CHRONICLE_PROFILE",
    "CHRONICLE_URL", "CHRONICLE_RUN", "CHRONICLE_PORT",
    "CHRONICLE_OPERATOR_NAMESPACES", "CHRONICLE_OPERATOR_ALL_NAMESPACES", "CHRONICLE_OPERATOR_PORT",
    "CHRONICLE_OPERATOR_RESYNC",
})  # fmt: skip
"""What is read beside the service's settings (a test compares with the code)."""
SERVICE = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
"""What Kubernetes tells a pod about each Service of its namespace (its documentation, "Service", "Discovering")."""
SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


def complaints(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield a line for each variable that looks like a setting, and is none, with the nearest that is one."""
    odd = [name for name in environment if name.startswith(PREFIX) and name not in OTHERS]
    odd = [it for it in odd if not SERVICE.search(it) and not SERVICE_URL.match(environment[it])]
    if not odd:
        return
    from chronicle_ledger.settings import Settings  # not before it is needed: help comes at once

    known = {name.removeprefix(PREFIX) for name in OTHERS} | {field.upper() for field in Settings.model_fields}
    for name in sorted(odd):
        short = name.removeprefix(PREFIX)
        if short in known:
            continue
        nearest = difflib.get_close_matches(short, known, n=1, cutoff=0.7)
        ask = f"did you mean {PREFIX}{nearest[0]}?" if nearest else "see docs/api.md for the settings"
        yield f"{name} is no setting and has no effect; {ask}"
