"""What a person may choose about a run, and where its files go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from chronicle_chaos.load.logical import Patience


@dataclass(frozen=True, slots=True)
class Timing:
    """Overrides for one scenario, in seconds; None leaves what the scenario says."""

    window: float | None = None
    recovery: float | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`rate` is requests a second. `timing` applies to every scenario, `scenario_timing` to the one it names and wins.

    The default rate leaves three CockroachDB nodes on a two-core machine room to recover in: at twice of it they are
    busy before anything is broken.

    `seed` decides the workload and the moments of random faults; the same seed draws the same requests.
    """

    seed: int
    rate: float = 30.0
    timing: Timing = Timing()
    scenario_timing: Mapping[str, Timing] = field(default_factory=dict)
    sabotage: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    accounts: int = 60

    def window(self, scenario: str, default: float) -> float:
        """How long the fault is to last, in seconds."""
        own = self.scenario_timing.get(scenario, Timing()).window
        return own or self.timing.window or default

    def recovery(self, scenario: str, default: float) -> float:
        """How long recovery may take, in seconds."""
        own = self.scenario_timing.get(scenario, Timing()).recovery
        return own or self.timing.recovery or default


class Progress(Protocol):
    """Told what a run is doing, for a person to watch. Must not raise and must not block."""

    def __call__(self, scenario: str, phase: str, message: str) -> None:
        """`phase` is a phase's name, or `verdict` at a scenario's end."""


def silent(scenario: str, phase: str, message: str) -> None:
    """A `Progress` for when nobody watches."""
    del scenario, phase, message


def new_run(root: Path, moment: datetime | None = None) -> Path:
    """Make the folder of a new run under `root`. Its name is the run's id. Raises OSError where that is impossible.

    Ids begin with the time, so that they sort; a few random characters keep two runs of one second apart.
    """
    stamp = (moment or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    run_dir = root / f"{stamp}-{os.urandom(3).hex()}"
    run_dir.mkdir(parents=True)
    return run_dir


def point_latest(run_dir: Path) -> None:
    """Point `latest`, beside a run's folder, at it. Raises OSError where that is impossible."""
    draft = run_dir.with_name(f".latest-{run_dir.name}")
    draft.symlink_to(run_dir.name)
    draft.replace(run_dir.with_name("latest"))
