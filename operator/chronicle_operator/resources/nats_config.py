"""The configuration file of the NATS servers."""

from __future__ import annotations

from collections.abc import Sequence

from chronicle_operator.resources import names, nats_permissions
from chronicle_operator.resources.context import LedgerContext
from chronicle_operator.resources.quantity import quantity

CERTIFICATES = "/etc/nats/certs"
STORE = "/data"
PID_FILE = "/var/run/nats/nats.pid"


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
        _block("authorization", "users: [", *(_user(name) for name in nats_permissions.USERS), "]"),
        *([_tls()] if tls else []),
    ]
    return "\n".join(parts) + "\n"


def password_variable(user: str) -> str:
    """Return the variable of the server's environment that holds the password of a user."""
    return "NATS_PASSWORD" if user == names.NATS_USER else f"NATS_PASSWORD_{user.upper()}"


def _user(name: str) -> str:
    may = nats_permissions.USERS[name]
    publish = f"{{allow: {_list(may.publish)}, deny: {_list(may.deny)}}}" if may.deny else _list(may.publish)
    return "\n".join(
        [
            f'  {{user: "{name}", password: ${password_variable(name)},',
            f"   permissions: {{publish: {publish},",
            f"                 subscribe: {_list(may.subscribe)}}}}}",
        ]
    )


def _list(subjects: Sequence[str]) -> str:
    return f"[{', '.join(f'{chr(34)}{subject}{chr(34)}' for subject in subjects)}]"


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
