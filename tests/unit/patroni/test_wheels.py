"""Where three nodes can run, and what is said where they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from chronicle_chaos.local.cluster import Choice
from chronicle_chaos.local.patroni import wheels
from chronicle_chaos.local.patroni.wheels import PatroniImpossible, find_means
from chronicle_chaos.local.postgres import Account


def _no_cockroach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chronicle_chaos.local.cluster.find_cockroach", lambda: None)


def test_without_a_cockroach_binary_three_nodes_are_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _no_cockroach(monkeypatch)
    choice = Choice.of("auto", tmp_path)
    assert choice.database == "patroni"
    assert "no cockroach binary" in choice.why


def test_where_a_wheel_is_missing_one_postgresql_is_chosen_and_the_reason_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _no_cockroach(monkeypatch)
    monkeypatch.setattr(wheels, "PACKAGES", ("a_wheel_that_is_missing",))
    choice = Choice.of("auto", tmp_path)
    assert choice.database == "postgresql"
    assert "a_wheel_that_is_missing is not installed" in choice.why
    assert "\n" not in choice.why
    with pytest.raises(PatroniImpossible, match="a_wheel_that_is_missing"):
        Choice.of("patroni", tmp_path)


def test_without_namespaces_root_needs_an_account_that_can_run_what_is_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wheels, "namespaces", lambda: "Operation not permitted")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(Account, "for_data", classmethod(lambda _cls, _data: Account("nobody", 65_534, 65_534)))
    monkeypatch.setattr(wheels, "closed_to", lambda path, _user, _group: closed if path == tmp_path / "data" else None)
    with pytest.raises(PatroniImpossible, match=r"Operation not permitted.*nobody.*cannot enter .*closed"):
        find_means(tmp_path / "data")


def test_without_namespaces_an_ordinary_user_goes_on_with_reapers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wheels, "namespaces", lambda: "Operation not permitted")
    monkeypatch.setattr(Account, "for_data", classmethod(lambda _cls, _data: None))
    means = find_means(tmp_path)
    assert (means.namespace, means.account) == (False, None)
