"""`kubectl chronicle run` and `report`: the verdicts of the run that was asked for, or none and why."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chronicle_cli import cluster, cluster_follow
from chronicle_kube import client
from chronicle_kube.errors import KubeError, Unreachable, of_status
from chronicle_kube.kind import CONFIG_MAP, Kind
from chronicle_operator.kube.kinds import BACKUP, LEDGER
from support.memory_kube import MemoryKube

Object = dict[str, Any]


def status(run_id: str, state: str, *verdicts: str, **run: Any) -> Object:
    return {
        "run": {"runID": run_id, "state": state, "requestedRunID": run_id, **run},
        "scenarios": [{"name": f"s{place}", "verdict": it} for place, it in enumerate(verdicts)],
        "scenarioSummary": f"{sum(it == 'Passed' for it in verdicts)}/{len(verdicts)} Passed",
    }


def refusal(code: int, message: str) -> KubeError:
    return of_status("get ChronicleLedger books", code, message)


def silence(message: str) -> KubeError:
    return Unreachable("get ChronicleLedger books", message)


class Cluster(MemoryKube):
    """A cluster whose ledger has these statuses one after the other, the last one for good; errors are raised."""

    def __init__(self, statuses: Sequence[Object | Exception]) -> None:
        meta = {"name": "books", "namespace": "ns"}
        super().__init__({"apiVersion": LEDGER.api_version, "kind": LEDGER.kind, "metadata": meta, "spec": {}})
        self.statuses = list(statuses)

    @property
    def asked(self) -> str | None:
        """The run that was asked for."""
        run: str | None = self.find(LEDGER, "books")["spec"].get("resilience", {}).get("runID")
        return run

    def report(self, name: str, data: Object | None) -> None:
        meta = {"name": name, "namespace": "ns"}
        self.put(CONFIG_MAP, {"metadata": meta, **({} if data is None else {"binaryData": data})})

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        item = await super().get(kind, namespace, name)
        if kind != LEDGER or item is None:
            return item
        latest = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(latest, Exception):
            raise latest
        return {**item, "status": latest}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_follow, "POLL_SECONDS", 0.001)


def command(monkeypatch: pytest.MonkeyPatch, fake: MemoryKube, *arguments: str) -> Result:
    async def connect(*_: object, **__: object) -> tuple[MemoryKube, str]:
        return fake, "ns"

    monkeypatch.setattr(client, "connect", connect)
    name, *options = arguments
    return CliRunner().invoke(getattr(cluster, name), ["books", *options])


def run(monkeypatch: pytest.MonkeyPatch, *statuses: Object | Exception, more: Sequence[str] = ()) -> Result:
    fake = Cluster([{}, *statuses])
    return command(monkeypatch, fake, "run", "--run-id", "mine", "--timeout", "0.2", "--json", *more)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["Passed", "NotApplicable"], 0),
        (["Passed", "Failed", "Inconclusive"], 1),
        (["Passed", "Inconclusive"], 3),
        (["Aborted"], 3),
        ([], 3),
    ],
)
def test_the_exit_status_is_that_of_the_worst_verdict(
    monkeypatch: pytest.MonkeyPatch, verdicts: list[str], expected: int
) -> None:
    done = run(monkeypatch, status("mine", "Running", "Running"), status("mine", "Finished", *verdicts))
    assert done.exit_code == expected
    assert [it["verdict"] for it in json.loads(done.stdout)] == verdicts


def test_another_runs_verdicts_are_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, status("theirs", "Finished", "Passed", "Passed"))
    assert (done.exit_code, done.stdout) == (3, "")
    assert "run mine has not begun: the latest run is theirs (Finished)" in done.stderr


def test_a_run_that_is_still_going_has_no_verdicts_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, status("mine", "Running", "Passed", "Passed"))
    assert (done.exit_code, done.stdout) == (3, "")
    assert "run mine has not finished: 2/2 Passed" in done.stderr


def test_what_a_run_waits_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = {"conditions": [{"type": "ResilienceVerified", "message": "run mine waits until the ledger is Ready"}]}
    done = run(monkeypatch, waiting)
    assert done.exit_code == 3
    assert "run mine waits until the ledger is Ready" in done.stderr


def test_a_paused_ledger_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = {"conditions": [{"type": "ReconciliationPaused", "status": "True", "message": "set it to Active"}]}
    assert "the ledger is paused: set it to Active" in run(monkeypatch, paused).stderr


@pytest.mark.parametrize(
    "error",
    [refusal(503, "etcd is busy"), refusal(429, "too many requests"), silence("reset")],
    ids=str,
)
def test_an_api_server_that_does_not_answer_for_a_moment_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    done = run(monkeypatch, error, error, status("mine", "Finished", "Passed"))
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("asking again") == 1


def test_an_api_server_that_answers_no_more_leaves_the_run_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, silence("refused"))
    assert done.exit_code == 3
    assert "has not answered" in done.stderr


def test_a_right_that_is_missing_ends_the_command_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, refusal(403, "forbidden: you may not"))
    assert done.exit_code == 2
    assert "you may not" in done.stderr


@pytest.mark.parametrize(
    "before", [status("mine", "Finished", "Passed"), status("cron-1", "Finished", "Passed", requestedRunID="mine")]
)
def test_a_name_that_a_run_has_had_is_refused_since_nothing_would_start(
    monkeypatch: pytest.MonkeyPatch, before: Object
) -> None:
    fake = Cluster([before])
    done = command(monkeypatch, fake, "run", "--run-id", "mine")
    assert done.exit_code == 2
    assert "choose another --run-id" in done.stderr
    assert fake.asked is None


def test_a_run_that_is_going_is_followed_by_asking_for_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Cluster([status("mine", "Running", "Running"), status("mine", "Finished", "Passed")])
    assert command(monkeypatch, fake, "run", "--run-id", "mine").exit_code == 0


def test_without_waiting_a_run_is_only_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Cluster([{}])
    assert command(monkeypatch, fake, "run", "--run-id", "mine", "--no-wait").exit_code == 0
    assert fake.asked == "mine"


def test_an_interrupt_says_that_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster_follow, "follow", interrupted)
    done = run(monkeypatch, status("mine", "Running"))
    assert done.exit_code == 130
    assert "the run mine goes on: kubectl chronicle status books" in done.stderr


def test_a_report_is_unpacked_into_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo("undo.jsonl"), io.BytesIO())
    fake = Cluster([status("mine", "Finished", reportName="books-report-1")])
    text = base64.b64encode(packed.getvalue()).decode()
    fake.report("books-report-1", {"report.tar.xz": text})
    done = command(monkeypatch, fake, "report", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out" / "undo.jsonl").exists()


@pytest.mark.parametrize(
    ("latest", "words"), [({}, "no run on books yet"), (status("mine", "Running", reportName="r"), "holds no report")]
)
def test_a_report_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, latest: Object, words: str
) -> None:
    fake = Cluster([latest])
    fake.report("r", None)
    done = command(monkeypatch, fake, "report", "-o", str(tmp_path))
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_ledger_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Cluster([{}])
    fake.objects.clear()
    done = command(monkeypatch, fake, "status")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no ChronicleLedger books in namespace ns" in done.stderr


def test_the_ledgers_of_a_namespace_or_of_all_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Cluster([{}])
    fake.put(LEDGER, {"metadata": {"name": "other", "namespace": "elsewhere"}, "spec": {}})

    async def connect(*_: object, **__: object) -> tuple[Cluster, str]:
        return fake, "ns"

    monkeypatch.setattr(client, "connect", connect)
    here = CliRunner().invoke(cluster.status, ["--json"])
    there = CliRunner().invoke(cluster.status, ["--json", "-n", "elsewhere"])
    everywhere = CliRunner().invoke(cluster.status, ["--json", "-A"])
    names = [[item["metadata"]["name"] for item in json.loads(done.stdout)] for done in (here, there, everywhere)]
    assert names == [["books"], ["other"], ["books", "other"]]


class Keeping(MemoryKube):
    """A cluster whose backups have this status as soon as they are looked at."""

    def __init__(self, status: Object, **spec: Any) -> None:
        meta = {"name": "books", "namespace": "ns"}
        super().__init__({"apiVersion": LEDGER.api_version, "kind": LEDGER.kind, "metadata": meta, "spec": spec})
        self.status = status

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        item = await super().get(kind, namespace, name)
        return item if kind != BACKUP or item is None else {**item, "status": self.status}


MADE = {
    "phase": "Succeeded", "id": "20260131T090000000000Z-1f3a9c04", "kind": "Full", "ledgerTransactions": 1200,
    "sizeBytes": 4096, "verified": True, "head": "ab" * 32,
}  # fmt: skip
REFUSED = {"phase": "Failed", "reason": "WrongKey", "message": "another key", "decided": True}
UNDECIDED = {"phase": "Failed", "reason": "JobLost", "message": "its pod is gone", "decided": False}


@pytest.mark.parametrize(
    ("status", "expected", "words"),
    [
        (MADE, 0, "1,200 transactions"),
        (REFUSED, 1, "WrongKey: another key"),
        (UNDECIDED, 3, "JobLost"),
        ({"phase": "Creating"}, 3, "still Creating"),
    ],
    ids=["made", "refused", "undecided", "late"],
)
def test_a_backup_is_asked_for_and_its_outcome_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, status: Object, expected: int, words: str
) -> None:
    fake = Keeping(status, backup={"destination": {"url": "s3://b/x"}})
    done = command(monkeypatch, fake, "backup", "--full", "--timeout", "0")
    assert done.exit_code == expected, done.output
    assert words in done.output
    (asked,) = fake.of(BACKUP)
    assert asked["spec"] == {"ledgerName": "books", "full": True}
    assert asked["metadata"]["name"].startswith("books-manual-")


def test_a_ledger_that_does_not_say_where_to_is_not_backed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Keeping({})
    done = command(monkeypatch, fake, "backup")
    assert done.exit_code == 2
    assert "no spec.backup" in done.output
    assert fake.of(BACKUP) == []
