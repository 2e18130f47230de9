"""The database nodes say themselves whether every range has all its replicas; who is silent leaves it open."""

from __future__ import annotations

from chronicle_operator.observe.nodes import Node, Nodes, parse

PAGE = """\
# HELP ranges_underreplicated Number of ranges with fewer live replicas than the replication target
# TYPE ranges_underreplicated gauge
ranges_underreplicated{store="1"} 3
ranges_underreplicated{store="2"} 4
ranges_unavailable{store="1"} 0
ranges_unavailable_total_of_another_name{store="1"} 9
replicas{store="1"} 20
replicas{store="2"} 21
replicas_leaders{store="1"} 9
node_id{advertise_addr="db-0:26257",http_addr="db-0:8080",sql_addr="db-0:26257"} 5
"""
WELL = Node(1, 0, 0, 40)


def test_a_page_gives_the_id_and_the_sum_over_stores() -> None:
    assert parse(PAGE) == Node(5, 7, 0, 41)


def test_a_page_of_something_else_gives_no_id() -> None:
    assert parse("<html>login</html>").node_id is None


def test_replication_is_whole_only_when_every_node_says_so() -> None:
    assert Nodes({"a": WELL, "b": WELL}).whole is True
    assert Nodes({"a": WELL, "b": Node(2, 1, 0, 40)}).whole is False
    assert Nodes({"a": WELL, "b": Node(2, 0, 1, 40)}).whole is False
    assert Nodes({"a": WELL, "b": None}).whole is None
    assert Nodes({}).whole is None


def test_lost_quorums_are_reported_though_a_node_is_silent() -> None:
    assert Nodes({"a": Node(1, 0, 2, 40), "b": None}).unavailable == 2
