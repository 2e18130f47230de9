"""What Patroni says, and when that is enough to go on."""

from __future__ import annotations

import pytest

from chronicle_chaos.local.patroni import view
from chronicle_chaos.local.patroni.view import Member, members_in, primary_of
from chronicle_chaos.local.ports import free_port

PRIMARY = Member("postgres-1", "leader", "running")
COUNTED = [Member(f"postgres-{n}", "quorum_standby", "streaming") for n in (2, 3)]


def test_a_cluster_is_whole_when_both_standbys_count() -> None:
    assert view.whole([PRIMARY, *COUNTED], 3)


@pytest.mark.parametrize(
    "third",
    [
        Member("postgres-3", "replica", "streaming"),  # follows, and does not count yet
        Member("postgres-3", "quorum_standby", "stopped"),
        Member("postgres-3", "replica", "creating replica"),
        None,
    ],
)
def test_a_standby_that_does_not_count_is_not_there(third: Member | None) -> None:
    members = [PRIMARY, COUNTED[0], *([third] if third else [])]
    assert not view.whole(members, 3)


def test_a_primary_that_does_not_run_is_none() -> None:
    assert primary_of([Member("postgres-1", "leader", "stopped"), *COUNTED]) is None
    assert not view.whole([Member("postgres-1", "leader", "starting"), *COUNTED], 3)


def test_a_member_without_all_its_facts_is_listed_and_does_not_count() -> None:
    (member,) = members_in({"members": [{"name": "postgres-2"}]})
    assert not member.counts
    assert members_in({}) == []


async def test_a_patroni_that_does_not_answer_knows_nothing() -> None:
    port = free_port()
    assert await view.ask(port) is None
    assert await view.ask_any([port]) == []
