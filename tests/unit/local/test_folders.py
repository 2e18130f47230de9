"""A folder belongs to one process, remembers what it holds, and goes when its owner was killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from chronicle_chaos.local.binaries import BinaryMissing
from chronicle_chaos.local.cluster import Choice, LocalCluster, LocalSpec, OtherDatabase
from chronicle_chaos.local.folders import (
    FolderTaken,
    FolderUnusable,
    HeldFolder,
    closed_to,
    folder_for_sockets,
    sweep,
)
from chronicle_chaos.local.nats import quoted
from chronicle_chaos.local.postgres import PostgresServer

HOLDER = """
import sys, pathlib
from chronicle_chaos.local.folders import HeldFolder
folder = HeldFolder.named(pathlib.Path(sys.argv[1])) if sys.argv[1:] else HeldFolder.new()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files go below the folder of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    return tmp_path / "t"


def holder(*arguments: str) -> subprocess.Popen[str]:
    """Another process that holds a folder; it has said which."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": tempfile.gettempdir()},
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_holder_is_refused_with_the_pid_of_the_first_and_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    with holder(str(folder)) as first:
        assert said(first) == str(folder)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(FolderTaken, match=f"process {first.pid}"):
            HeldFolder.named(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        first.kill()
        first.wait()
    HeldFolder.named(folder).release()


def test_a_new_folder_is_its_owners_alone_and_an_open_one_of_somebody_is_left_open(tmp_path: Path) -> None:
    made = HeldFolder.named(tmp_path / "new" / "d")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    assert not made.shown_to_others
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    found = HeldFolder.named(there)
    assert stat.S_IMODE(there.stat().st_mode) == 0o755
    assert found.shown_to_others
    for held in (made, found):
        held.release()


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(FolderUnusable, match=r"holds other things \(t, thesis\.txt\)"):
        HeldFolder.named(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t", "thesis.txt"]


@pytest.mark.parametrize("name", ["two\nlines", "bell\a", "bytes\udcff"])
def test_a_name_that_no_configuration_can_spell_is_refused_with_its_character(tmp_path: Path, name: str) -> None:
    with pytest.raises(FolderUnusable, match="character"):
        HeldFolder.named(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(temporary: Path) -> None:
    with holder() as killed, holder() as living:
        gone, stays = Path(said(killed)), Path(said(living))
        kept = HeldFolder.new()
        kept.keep()
        kept.release()
        (temporary / "chronicle-of-a-death").mkdir()
        killed.kill()
        killed.wait()
        assert sweep([temporary]) == [gone]
        assert not gone.exists()
        assert stays.exists()
        assert kept.path.exists(), "its logs are to be read"
        assert (temporary / "chronicle-of-a-death").exists(), "somebody else's"
        living.kill()


def test_sockets_go_elsewhere_where_a_name_would_be_too_long_or_have_a_comma(tmp_path: Path) -> None:
    short = Path(tempfile.mkdtemp(prefix="cf-", dir="/tmp"))
    for name in ("x" * 90, "with,comma"):
        folder = HeldFolder.named(short / name)
        sockets = folder_for_sockets(folder)
        assert sockets.path != folder.path
        assert len(os.fsencode(sockets.path / "postgres/.s.PGSQL.5432")) <= 103
        sockets.release()
        assert not sockets.path.exists()
        folder.release()
    plain = HeldFolder.named(short / "ä plain %")
    assert folder_for_sockets(plain) is plain
    plain.release()
    subprocess.run(["rm", "-r", str(short)], check=True)


def test_a_url_and_a_configuration_spell_any_name() -> None:
    server = PostgresServer(Path("/d"), Path('/a "b" \\c ä %41'))
    assert server.database_url("x") == "postgresql://postgres@/x?host=/a%20%22b%22%20%5Cc%20%C3%A4%20%2541"
    assert quoted('a "b" \\c') == '"a \\"b\\" \\\\c"'


def test_the_first_folder_that_keeps_an_account_out_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    owner = tmp_path.stat().st_uid
    inner.parent.chmod(0o700)
    assert closed_to(inner, owner, 0) is None
    closed = closed_to(inner, 123_456, 123_456)
    assert closed is not None
    assert closed in inner.parents
    assert not closed.stat().st_mode & stat.S_IXOTH


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(
    ("asked", "held", "other", "wrong"),
    [("cockroach", "postgresql", "CockroachDB", OtherDatabase),
     ("postgres", "cockroachdb", "PostgreSQL", OtherDatabase),
     ("patroni", "postgresql", "one PostgreSQL, not on PostgreSQL under Patroni", OtherDatabase),
     ("auto", "cockroachdb", "no cockroach binary was found", BinaryMissing)],
)  # fmt: skip
async def test_a_folder_stays_with_the_database_that_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *,
    asked: str, held: str, other: str, wrong: type[Exception], remembered: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("chronicle_chaos.local.cluster.find_cockroach", lambda: None)
    folder = tmp_path / "d"
    made = HeldFolder.named(folder)
    if remembered:
        made.remember(database=held)
    elif held == "postgresql":  # as a release left it that had no memory
        (folder / "postgres/data").mkdir(parents=True)
        (folder / "postgres/data/PG_VERSION").write_text("18\n")
    else:
        (folder / "cockroach-1/data").mkdir(parents=True)
    made.release()
    with pytest.raises(wrong, match=other) as refusal:
        await LocalCluster(LocalSpec(asked, folder)).__aenter__()
    assert str(folder) in str(refusal.value)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        {"ledger.json", *([] if remembered else ["postgres" if held == "postgresql" else "cockroach-1"])}
    )


async def test_a_cockroach_binary_that_appears_later_does_not_replace_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chronicle_chaos.local.cluster.find_cockroach", lambda: Path("/bin/cockroach"))
    cluster = LocalCluster(LocalSpec("auto", tmp_path / "d"))
    cluster._held = HeldFolder.named(tmp_path / "d")
    assert cluster._choose() == Choice("cockroachdb", cockroach=Path("/bin/cockroach"))
    cluster._held.remember(database="postgresql")
    assert cluster._choose() == Choice("postgresql", why=" (as before in this folder)")
    cluster._held.release()
