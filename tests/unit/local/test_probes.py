"""Which CockroachDB node is hit: the one that holds most leases, and no other where nobody can say."""

from __future__ import annotations

from typing import Any, Self

import psycopg
import pytest

from chronicle_chaos.injectors.injection import InjectionError
from chronicle_chaos.injectors.probes import LEASES, busiest, chosen_for, cockroach_leases

COUNTS: list[tuple[int | None, int]] = [(1, 20), (3, 31), (2, 16), (None, 2)]


class Node:
    """A database node that knows its own id and, unless it is `silent`, everybody's leases."""

    def __init__(self, node: int, counts: list[tuple[int | None, int]]) -> None:
        self.node, self.counts = node, counts
        self._rows: list[tuple[Any, ...]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def execute(self, query: str | bytes) -> Self:
        if query == b"SET allow_unsafe_internals = on":
            raise psycopg.errors.UndefinedObject("unrecognized configuration parameter")  # as 20.1 does
        self._rows = [(str(self.node),)] if query == "SHOW node_id" else list(self.counts)
        assert query in {"SHOW node_id", LEASES}
        return self

    async def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    async def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Node]:
    """By URL; one that is missing refuses connections."""
    there = {f"url-{name}": Node(node, COUNTS) for name, node in (("a", 2), ("b", 3), ("c", 1))}

    async def connect(url: str, **_: object) -> Node:
        if url not in there:
            raise psycopg.OperationalError("connection refused")
        return there[url]

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
    return there


URLS = {name: f"url-{name}" for name in "abc"}


async def test_the_node_with_most_leases_is_found_by_its_name_and_not_by_its_number(nodes: dict[str, Node]) -> None:
    leases = await cockroach_leases(URLS)
    assert leases == {"a": 16, "b": 31, "c": 20}
    assert busiest(leases) == "b"


async def test_where_a_node_cannot_be_asked_none_is_taken_in_its_place(nodes: dict[str, Node]) -> None:
    del nodes["url-b"]
    with pytest.raises(InjectionError, match=r"b does not say which leases it holds .*refused"):
        await cockroach_leases(URLS)


async def test_where_nobody_is_said_to_hold_any_none_is_taken(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        node.counts = [(None, 60)]
    with pytest.raises(InjectionError, match="no CockroachDB node is said to hold a lease"):
        busiest(await cockroach_leases(URLS))


def test_the_counts_are_in_the_evidence_and_another_victim_would_not_do() -> None:
    leases = {"b": 31, "a": 16}
    assert chosen_for(leases, "b").before == "a 16, b 31"
    assert chosen_for(leases, "b").shows_fault
    assert not chosen_for(leases, "a").shows_fault


def test_of_two_with_as_many_the_choice_is_the_same_each_time() -> None:
    assert busiest({"b": 5, "a": 5}) == busiest({"a": 5, "b": 5}) == "a"
