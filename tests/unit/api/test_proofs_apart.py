"""Proofs in processes of their own: one at a time, paused between, and gone with all their files when they end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from chronicle_ledger.proof import KeptSeals
from chronicle_ledger.proof import __main__ as main
from chronicle_ledger.proof.apart import COMMAND, LARGEST_DOCUMENT, ProofProcesses, ProofUnfinished, TooManyProofs
from chronicle_ledger.settings import Settings
from chronicle_ledger.web.access import Role
from support.event_bench import until

WAITS = """
import pathlib, sys, tempfile
pathlib.Path(tempfile.mkdtemp(), "x").touch()
pathlib.Path(sys.argv[1]).write_text(tempfile.gettempdir())
sys.stdin.read()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_after_a_proof_the_next_one_waits_for_as_long_as_it_took() -> None:
    clock = Clock()
    proofs = ProofProcesses(python("print('{}', end='')"), clock)

    async def slow() -> bytes:
        making = asyncio.create_task(proofs.prove())
        await asyncio.sleep(0)
        with pytest.raises(TooManyProofs) as refused:
            await proofs.prove()
        assert refused.value.seconds == 1
        clock.now += 7.5
        return await making

    assert json.loads(await slow()) == {}
    with pytest.raises(TooManyProofs) as refused:
        await proofs.prove()
    assert refused.value.seconds == 8
    clock.now += 7.5
    assert json.loads(await proofs.prove()) == {}


@pytest.mark.parametrize(
    "code",
    ["import sys; print('{}'); sys.exit(3)", "pass", f"print('x' * {LARGEST_DOCUMENT + 1})"],
    ids=["failed", "silent", "endless"],
)
async def test_what_is_no_proof_is_unfinished_and_the_next_one_may_begin(code: str) -> None:
    clock = Clock()
    proofs = ProofProcesses(python(code), clock)
    for _ in range(2):
        with pytest.raises(ProofUnfinished):
            await proofs.prove()
        clock.now += 1.0


async def test_shutting_down_ends_the_process_and_takes_its_files(tmp_path: Path) -> None:
    told = tmp_path / "told"
    proofs = ProofProcesses([*python(WAITS), str(told)])
    making = asyncio.create_task(proofs.prove())

    async def is_told() -> bool:
        return await asyncio.to_thread(told.exists) and bool(await asyncio.to_thread(told.read_text))

    await until(is_told, "the process works")
    folder = Path(await asyncio.to_thread(told.read_text))
    assert await asyncio.to_thread(folder.exists)
    await proofs.close()
    with pytest.raises(ProofUnfinished):
        await making
    assert not await asyncio.to_thread(folder.exists)


def test_the_process_ends_with_the_one_that_started_it() -> None:
    # Nobody answers at this address, so left alone it would wait for the database.
    settings = {"CHRONICLE_DATABASE_URL": "postgresql://nobody@192.0.2.1:9/none"}
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, env=settings, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (3, b"")


def test_a_role_may_do_what_it_includes_and_no_more() -> None:
    assert {role: {needed for needed in Role if role.includes(needed)} for role in Role} == {
        Role.READER: {Role.READER},
        Role.AUDITOR: {Role.READER, Role.AUDITOR},
        Role.WRITER: {Role.READER, Role.WRITER},
        Role.ADMIN: set(Role),
    }


def test_a_proof_has_a_bound_of_memory_and_of_files_and_gives_way_to_the_service() -> None:
    code = (
        "import json, os, resource\n"
        "from chronicle_ledger.proof import __main__ as proof\n"
        "before = os.nice(0)\n"
        "proof._limit()\n"
        "bounds = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)]\n"
        "print(json.dumps([*bounds, os.nice(0) - before]))\n"
    )
    memory, file, nicer = json.loads(subprocess.check_output(python(code), timeout=30))
    assert 0 < memory <= 1 << 30
    assert 0 < file <= 8 << 30
    assert nicer > 0


async def test_a_proof_accepts_the_seals_of_every_key_that_it_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that was restored, or whose key was changed, has seals of several."""
    old, new = "ab" * 32, "cd" * 32
    told: list[frozenset[str]] = []

    class Closed:
        async def close(self) -> None:
            pass

    async def opened(*_: object, **__: object) -> Closed:
        return Closed()

    async def made(database: object, bus: object, *, kept: KeptSeals) -> str:
        del database, bus
        told.append(kept.trusted)
        return "proof"

    monkeypatch.setattr(main, "open_pool", opened)
    monkeypatch.setattr(main, "prove", made)
    for given, expected in ((f"{old}, {new}", {old, new}), ("", set())):
        monkeypatch.setenv("CHRONICLE_SEAL_PUBLIC_KEYS", given)
        settings = Settings(database_url="postgresql://here/ledger")
        assert str(await main._prove(settings)) == "proof"
        assert told[-1] == expected
    monkeypatch.setenv("CHRONICLE_SEAL_PUBLIC_KEYS", "no key")
    with pytest.raises(ValidationError):
        Settings(database_url="postgresql://here/ledger")
