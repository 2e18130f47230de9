"""`make mutants`: how many changes of pure code the unit tests notice, by a seeded sample of each room.

Each change is tried in a process of its own, forked before anything of the project is imported, in which the changed
module is imported in the place of the real one; no file is touched. Why not mutmut or cosmic-ray: docs/mutants.md.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import random
import re
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .changes import Change, changes

ROOT = Path(__file__).parents[2]
KNOWN = ROOT / "docs" / "mutants.md"
PATIENCE = 10
"""How many times as long as without a change the tests may take; then the change counts as noticed: they go round."""

PRELOADED = ("msgspec", "structlog", "yaml", "pydantic", "psycopg", "nats", "fastapi", "aiohttp")
"""Imported once, for all processes."""

_PRELOADED = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"


@dataclass(frozen=True, slots=True)
class Room:
    """Modules and the unit tests that ought to notice their changes; `sample` changes are tried, none of them in the
    functions `without`, which are not pure."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    sample: int
    without: tuple[str, ...] = ()


def _modules(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.py" for name in names)


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/ledger/{name}.py" for name in names)


ROOMS = {
    "domain": Room(
        ("ledger/chronicle_ledger/domain/*.py",),
        _tests("test_names", "test_needs", "test_hashing", "test_canonical", "test_batch", "test_evaluate"),
        60,
    ),
    "posting": Room(
        _modules("ledger/chronicle_ledger/posting", "batch", "clocks", "dispatcher", "lanes", "weight", "work"),
        _tests("test_batch", "test_clocks", "test_dispatcher", "test_lanes"),
        20,
        without=("attempt_batch:", "learn_keys:"),
    ),
    "events": Room(
        _modules("ledger/chronicle_ledger/events", "backoff", "event", "projection", "shares", "sizes"),
        ("tests/unit/events",),
        20,
    ),
    "checkers": Room(("chaos/chronicle_chaos/judge/checkers/*.py",), ("tests/unit/chaos",), 30),
    "resources": Room(
        ("operator/chronicle_operator/resources/*.py",),
        ("tests/unit/operator_resources", "tests/unit/operator_reconcile"),
        30,
    ),
    "day2": Room(
        _modules("operator/chronicle_operator/day2", "decommission", "draining", "operations", "rollout"),
        ("tests/unit/operator_reconcile",),
        20,
    ),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module."""

    module: str
    path: Path
    change: Change

    @property
    def name(self) -> str:
        """What docs/mutants.md calls it."""
        return f"{self.path.relative_to(ROOT)}: {self.change.name}"


def sampled(room: Room, seed: str, count: int) -> list[Mutant]:
    """Some of the room's changes, always the same for one seed and one state of the code."""
    every = []
    for pattern in room.modules:
        for path in sorted(ROOT.glob(pattern)):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])
            every += [
                Mutant(module, path, change)
                for change in changes(path.read_text())
                if not change.name.startswith(room.without)
            ]
    source = random.Random(seed)
    some = source.sample(every, min(count, len(every)))
    return sorted(some, key=lambda mutant: (mutant.path, mutant.change.number))


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the changed module in the place of the real one."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._module = module
        self._tree = tree
        self._path = ""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del target
        if name != self._module:
            return None
        real = importlib.machinery.PathFinder.find_spec(name, path)
        if real is None or real.origin is None:
            raise ImportError(name)
        self._path = real.origin
        return importlib.util.spec_from_file_location(name, real.origin, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        del spec

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(self._tree, self._path, "exec"), module.__dict__)  # noqa: S102 - our own module


class _QuickFirst:
    """Runs the properties last: most changes are noticed by an example before."""

    @staticmethod
    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))


def start(mutant: Mutant | None, tests: tuple[str, ...]) -> int:
    """Run the tests against the change (None: none) in a new process; its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if mutant is not None:
            sys.meta_path.insert(0, _Changed(mutant.module, mutant.change.tree))
        arguments = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--hypothesis-seed=0",
            "-W",
            _PRELOADED,
            *tests,
        ]
        status = int(pytest.main(arguments, plugins=[_QuickFirst()]))
    finally:
        os._exit(status)


def unnoticed(
    mutants: Sequence[Mutant | None], tests: tuple[str, ...], jobs: int, longest: float = math.inf
) -> Iterator[Mutant | None]:
    """Those of `mutants` with which the tests pass, within `longest` seconds each."""
    waiting = list(mutants)
    running: dict[int, tuple[Mutant | None, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop(0)
            running[start(mutant, tests)] = (mutant, time.monotonic() + longest)
        for pid, (mutant, ends) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() < ends:
                continue
            del running[pid]
            if not ended:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            elif os.waitstatus_to_exitcode(status) == 0:
                yield mutant
        time.sleep(0.02)


def main() -> int:
    """Try the sample, with a folder for what hypothesis remembers."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        return _run()


def _run() -> int:
    """Print a table and the changes that went unnoticed; 1 where they are more than one in twenty."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"some of {', '.join(ROOMS)}; default: all")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--sample", type=int, help="how many changes of each room")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    os.chdir(ROOT)
    for name in PRELOADED:
        importlib.import_module(name)
    known = set(re.findall(r"^- `(.+?)`", KNOWN.read_text(), re.MULTILINE)) if KNOWN.exists() else set()
    bad = False
    for name in options.rooms or ROOMS:
        room = ROOMS[name]
        began = time.monotonic()
        if not list(unnoticed([None], room.tests, 1)):
            print(f"{name}: the tests fail without any change; mend them first")
            return 2
        every = sampled(room, f"{options.seed} {name}", options.sample or room.sample)
        mutants = [mutant for mutant in every if mutant.name not in known]
        longest = PATIENCE * (time.monotonic() - began)
        survivors = 0
        for mutant in unnoticed(mutants, room.tests, options.jobs, longest):
            if mutant is not None:
                survivors += 1
                print(f"  line {mutant.change.line} unnoticed\n- `{mutant.name}`", flush=True)
        killed = len(mutants) - survivors
        share = 100.0 * killed / max(1, len(mutants))
        bad |= share < 95
        print(
            f"{name}: {killed} of {len(mutants)} noticed ({share:.1f} %), {len(every) - len(mutants)} known,"
            f" {time.monotonic() - began:.0f} s",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
