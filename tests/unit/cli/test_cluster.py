"""`kubectl chronicle run` and `report`: the verdicts of the run that was asked for, or none and why."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import Status

from chronicle_cli import cluster, cluster_follow

Object = dict[str, Any]


def status(run_id: str, state: str, *verdicts: str, **run: Any) -> Object:
    return {
        "run": {"runID": run_id, "state": state, "requestedRunID": run_id, **run},
        "scenarios": [{"name": f"s{place}", "verdict": it} for place, it in enumerate(verdicts)],
        "scenarioSummary": f"{sum(it == 'Passed' for it in verdicts)}/{len(verdicts)} Passed",
    }


def refusal(code: int, message: str) -> ApiError:
    return ApiError(status=Status(code=code, message=message))


class Cluster:
    """A cluster whose ledger has these statuses one after the other, the last one for good; errors are raised."""

    def __init__(self, statuses: Sequence[Object | Exception]) -> None:
        self.statuses = list(statuses)
        self.asked: list[Object] = []
        self.reports: dict[str, Any] = {}

    async def get(self, kind: Any, name: str) -> Any:
        if kind.__name__ == "ConfigMap":
            return self.reports[name]
        found = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(found, Exception):
            raise found
        return {"metadata": {"name": name}, "status": found}

    async def patch(self, kind: Any, name: str, body: Object, **how: Any) -> None:
        del kind, name, how
        self.asked.append(body)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_follow, "POLL_SECONDS", 0.001)


def command(monkeypatch: pytest.MonkeyPatch, fake: Cluster, *arguments: str) -> Result:
    monkeypatch.setattr(cluster._Cluster, "_client", lambda _self: fake)
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
    [refusal(503, "etcd is busy"), refusal(429, "too many requests"), httpx2.ConnectError("reset"), OSError("reset")],
    ids=str,
)
def test_an_api_server_that_does_not_answer_for_a_moment_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    done = run(monkeypatch, error, error, status("mine", "Finished", "Passed"))
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("asking again") == 1


def test_an_api_server_that_answers_no_more_leaves_the_run_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, httpx2.ConnectError("refused"))
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
    assert fake.asked == []


def test_a_run_that_is_going_is_followed_by_asking_for_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Cluster([status("mine", "Running", "Running"), status("mine", "Finished", "Passed")])
    assert command(monkeypatch, fake, "run", "--run-id", "mine").exit_code == 0


def test_without_waiting_a_run_is_only_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Cluster([{}])
    assert command(monkeypatch, fake, "run", "--run-id", "mine", "--no-wait").exit_code == 0
    assert fake.asked == [{"spec": {"resilience": {"runID": "mine"}}}]


def test_a_report_is_unpacked_into_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo("undo.jsonl"), io.BytesIO())
    fake = Cluster([status("mine", "Finished", reportName="books-report-1")])
    text = base64.b64encode(packed.getvalue()).decode()
    fake.reports["books-report-1"] = SimpleNamespace(binaryData={"report.tar.xz": text})
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
    fake.reports["r"] = SimpleNamespace(binaryData=None)
    done = command(monkeypatch, fake, "report", "-o", str(tmp_path))
    assert done.exit_code == 1
    assert words in done.stderr
