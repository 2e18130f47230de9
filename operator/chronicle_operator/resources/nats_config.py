"""The configuration file of the NATS servers."""

from __future__ import annotations

import re
from decimal import Decimal

from chronicle_operator.resources import names
from chronicle_operator.resources.context import LedgerContext

CERTIFICATES = "/etc/nats/certs"
STORE = "/data"
PID_FILE = "/var/run/nats/nats.pid"

UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def quantity(text: str) -> int:
    """Return a Kubernetes quantity of bytes as a number. Raises ValueError where it is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(|[kMGTPE]|[KMGTPE]i)", text)
    if not match:
        raise ValueError(f"{text!r} is no number of bytes: write it as 10Gi or 500M")
    return int(Decimal(match[1]) * UNITS[match[2]])


def text(ledger: LedgerContext, region: str | None, routes: list[str]) -> str:
    """Return the file for the servers of one region. `$NAME` is read by NATS from its environment."""
    tls = ledger.spec.tls_managed
    # A formatted volume holds less than its size says.
    store_bytes = quantity(ledger.spec.nats.storage.size) * 9 // 10
    parts = [
        "server_name: $POD_NAME",
        f"port: {names.NATS_PORT}",
        f"http_port: {names.NATS_MONITOR_PORT}",
        f'pid_file: "{PID_FILE}"',
        'lame_duck_grace_period: "5s"',
        'lame_duck_duration: "30s"',
        *([f'server_tags: ["region:{region}"]'] if region else []),
        # Every acknowledged event is on disk: NATS' own default writes once in two minutes.
        _block("jetstream", f'store_dir: "{STORE}"', f"max_file_store: {store_bytes}", "sync_interval: always"),
        _block(
            "cluster",
            f'name: "{ledger.name}"',
            f"port: {names.NATS_ROUTE_PORT}",
            "no_advertise: true",
            f"routes: [{', '.join(f'{chr(34)}{it}{chr(34)}' for it in routes)}]",
            # Servers know each other by certificates of the ledger's own authority; without TLS not at all: a password
            # would have to stand in each route's URL, and such a ledger is for trials.
            *([_tls("verify: true")] if tls else []),
        ),
        _block(
            "authorization",
            "users: [{",
            f'  user: "{names.NATS_USER}"',
            "  password: $NATS_PASSWORD",
            "  permissions: {",
            '    publish: ["chronicle.>", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "_INBOX.>"]',
            '    subscribe: ["chronicle.>", "_INBOX.>"]',
            "  }",
            "}]",
        ),
        *([_tls()] if tls else []),
    ]
    return "\n".join(parts) + "\n"


def _tls(*more: str) -> str:
    return _block(
        "tls",
        f'cert_file: "{CERTIFICATES}/tls.crt"',
        f'key_file: "{CERTIFICATES}/tls.key"',
        f'ca_file: "{CERTIFICATES}/ca.crt"',
        "timeout: 5",
        *more,
    )


def _block(name: str, *lines: str) -> str:
    inner = "\n".join(f"  {line}" for text in lines for line in text.splitlines())
    return f"{name} {{\n{inner}\n}}"
