"""The journal of a run (`journal.json`, schema version 1): phases, evidence, checks and verdicts, as they come.

The file is rewritten whole and renamed into place at each transition, so that a reader never sees half of it and a
run that is killed leaves the truth up to its last transition.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from chronicle_chaos.errors import UnreadableRun
from chronicle_chaos.files import write_whole

SCHEMA_VERSION = 1


def _rename(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join("ID" if part == "id" else part.capitalize() for part in rest)


class FaultWindow(msgspec.Struct, rename=_rename):
    """When the fault was asked for, shown to be at work, and undone (RFC 3339; None where it never was)."""

    injected: str | None = None
    proven: str | None = None
    healed: str | None = None


class PhaseRecord(msgspec.Struct, rename=_rename):
    """One phase. `outcome` is Running, Succeeded, Failed or Cancelled."""

    name: str
    start_time: str
    end_time: str | None = None
    outcome: str = "Running"
    message: str = ""


class CheckRecord(msgspec.Struct, rename=_rename):
    """One check's result."""

    name: str
    result: str
    message: str
    figures: dict[str, Any] = {}


class EvidenceRecord(msgspec.Struct, rename=_rename):
    """One observation about the fault."""

    subject: str
    before: str
    after: str
    shows_fault: bool


class CleanupRecord(msgspec.Struct, rename=_rename):
    """Whether the fault was undone: Clean, CleanupFailed (the message has the command to run) or NotNeeded."""

    result: str = "NotNeeded"
    message: str = ""


class ScenarioRecord(msgspec.Struct, rename=_rename):
    """One scenario, filled in while it runs. Until it is decided it reads as aborted, which is what it will have been
    if this process is killed."""

    name: str
    title: str
    verdict: str = "Aborted"
    reason: str = "NotFinished"
    message: str = "the run ended before this scenario was judged"
    injector: str = ""
    fidelity: str = ""
    fault_confirmed: bool = False
    start_time: str | None = None
    fault_window: FaultWindow | None = None
    steady_time: str | None = None
    completion_time: str | None = None
    longest_gap_milliseconds: int | None = None
    recovery_milliseconds: int | None = None
    acknowledged_writes: int = 0
    lost_writes: int | None = None
    phases: list[PhaseRecord] = []
    checks: list[CheckRecord] = []
    evidence: list[EvidenceRecord] = []
    experiments: list[dict[str, str]] = []
    figures: dict[str, Any] = {}
    cleanup: CleanupRecord = msgspec.field(default_factory=CleanupRecord)
    window_seconds: float | None = None
    recovery_seconds: float | None = None
    stop: str | None = None


class TargetRecord(msgspec.Struct, rename=_rename):
    """What was tested; never its key."""

    kind: str
    database: str
    url: str
    regions: dict[str, list[str]] = {}


class Journal(msgspec.Struct, rename=_rename):
    """A run. `exit_status` is None until the run has ended."""

    run_id: str
    start_time: str
    target: TargetRecord
    seed: int
    rate: float
    versions: dict[str, str] = {}
    sabotage: str | None = None
    exit_status: int | None = None
    completion_time: str | None = None
    scenarios: list[ScenarioRecord] = []
    schema_version: int = SCHEMA_VERSION

    def scenario(self, name: str) -> ScenarioRecord:
        """The record of one scenario. Raises KeyError where it was not part of the run."""
        for record in self.scenarios:
            if record.name == name:
                return record
        raise KeyError(name)


def journal_path(run_dir: Path) -> Path:
    """Where a run keeps its journal."""
    return run_dir / "journal.json"


def write_journal(run_dir: Path, journal: Journal) -> None:
    """Replace the journal on disk, atomically and durably."""
    data = msgspec.json.format(msgspec.json.encode(journal), indent=2) + b"\n"
    write_whole(journal_path(run_dir), data)


def read_journal(run_dir: Path) -> Journal:
    """Read a journal back. Raises UnreadableRun where there is none or it is of another schema."""
    path = journal_path(run_dir)
    try:
        journal = msgspec.json.decode(path.read_bytes(), type=Journal)
    except OSError as error:
        raise UnreadableRun(f"{path} cannot be read ({error.strerror}); is this the folder of a run?") from error
    except msgspec.MsgspecError as error:
        raise UnreadableRun(f"{path} is not a journal of schema version {SCHEMA_VERSION}: {error}") from error
    if journal.schema_version != SCHEMA_VERSION:
        raise UnreadableRun(
            f"{path} has schema version {journal.schema_version}; this program reads version {SCHEMA_VERSION}"
        )
    return journal
