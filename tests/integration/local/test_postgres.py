"""The local PostgreSQL changes nothing of the machine but its own folders, and says what it needs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chronicle_chaos.local import postgres
from chronicle_chaos.local.binaries import find_postgres
from chronicle_chaos.local.postgres import AccountUnsuitable, PostgresServer
from support.local_ledger import short_temporary_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another account")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may pass through."""
    made = short_temporary_folder()
    yield made
    shutil.rmtree(made)


def changed(*places: Path) -> tuple[dict[Path, tuple[int, int, int]], bytes]:
    """What could be changed of the machine: mode and owner of folders and of those on the way to them; accounts."""
    found = {it: it.stat() for place in places for it in (place, *place.iterdir(), *place.parents)}
    modes = {path: (stat.S_IMODE(it.st_mode), it.st_uid, it.st_gid) for path, it in found.items() if path.name != "s"}
    return modes, Path("/etc/passwd").read_bytes()


async def test_no_folder_that_was_there_and_no_account_is_changed(folder: Path) -> None:
    programs = find_postgres()
    before = changed(folder, programs)
    server = PostgresServer(folder / "s")
    await server.start()
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SHOW dynamic_shared_memory_type").fetchone() == ("mmap",)
    finally:
        await server.stop()
    assert changed(folder, programs) == before
    assert {path.name for path in folder.iterdir()} == {"s"}  # noqa: ASYNC240
    assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o700


@as_root
async def test_programs_that_the_account_cannot_run_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = folder / "closed"
    site.mkdir(mode=0o700)
    package = find_postgres().parents[1]
    for part in (package / "pginstall", package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, site / part.relative_to(package.parent), symlinks=True)
    monkeypatch.setattr(postgres, "find_postgres", lambda: site / package.name / "pginstall" / "bin")
    server = PostgresServer(folder / "s")
    await server.start()
    try:
        assert await server.answers()
    finally:
        await server.stop()
    assert stat.S_IMODE(site.stat().st_mode) == 0o700
    assert (folder / "s" / "programs").is_dir()


@as_root
async def test_a_folder_that_the_account_cannot_enter_is_named_and_left_closed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(AccountUnsuitable, match=rf"cannot enter {closed}; name a data folder elsewhere"):
        await PostgresServer(closed / "s").start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
