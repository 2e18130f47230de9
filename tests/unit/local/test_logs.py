"""The logs of a run that did not pass outlive its processes."""

from __future__ import annotations

from pathlib import Path

from chronicle_chaos.local.logs import keep_logs
from chronicle_chaos.target import Target


def _target(folder: Path, kind: str = "local") -> Target:
    return Target(kind, "http://127.0.0.1:1", {}, "postgresql", details={"folder": str(folder)})  # type: ignore[arg-type]


def test_every_log_is_kept_under_the_name_of_its_process(tmp_path: Path) -> None:
    (tmp_path / "home/nats-1").mkdir(parents=True)
    (tmp_path / "home/api-1.log").write_text("api")
    (tmp_path / "home/nats-1/nats.log").write_text("nats")
    (tmp_path / "home/nats-1/data").write_text("no log")
    kept = keep_logs(_target(tmp_path / "home"), tmp_path / "kept")
    assert kept == tmp_path / "kept"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"api-1.log": "api", "nats-1-nats.log": "nats"}


def test_where_there_is_none_nothing_is_made(tmp_path: Path) -> None:
    assert keep_logs(_target(tmp_path), tmp_path / "kept") is None
    (tmp_path / "api-1.log").write_text("api")
    assert keep_logs(_target(tmp_path, "compose"), tmp_path / "kept") is None
    assert not (tmp_path / "kept").exists()
