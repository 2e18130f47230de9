"""One operation at a time for a ledger: what was begun is finished first, the database rolls before the bus."""

from __future__ import annotations

from typing import Any

from chronicle_operator.day2.decommission import Begin
from chronicle_operator.day2.operations import Agenda, agenda, hold
from chronicle_operator.day2.rollout import Replace
from chronicle_operator.observe.nodes import Node, Nodes
from chronicle_operator.observe.observe import Observation
from support.operator_objects import NOW, claim, decommission_job, pod, stateful_set

LEDGER: dict[str, Any] = {"metadata": {"name": "main", "namespace": "ns", "uid": "L"}, "spec": {}}
WELL = Nodes({"db-0": Node(1, 0, 0, 40)})


def of(component: str, item: dict[str, Any]) -> dict[str, Any]:
    item["metadata"].setdefault("labels", {})["app.kubernetes.io/component"] = component
    return item


def decide(*, wanted: int, live: int, old: str = "", job: bool = False, nodes: Nodes | None = WELL) -> Agenda:
    """Decide on `live` database nodes of which `wanted` shall be; components named in `old` run an old template."""
    children = [of("cockroachdb", stateful_set("db", live)), of("nats", stateful_set("bus", 3))]
    if job:
        children.append(of("decommission", decommission_job("db-4")))
    database = "old" if "cockroachdb" in old else "new"
    bus = "old" if "nats" in old else "new"
    pods = [of("cockroachdb", pod("db", n, revision=database)) for n in range(live)]
    pods += [of("nats", pod("bus", n, revision=bus)) for n in range(3)]
    claims = tuple(claim(f"db-{n}") for n in range(live))
    seen = Observation(LEDGER, tuple(children), tuple(pods), claims, nodes=nodes)
    manifest = of("cockroachdb", stateful_set("db", wanted))
    return agenda([manifest], seen, NOW, hibernated=False)


def test_nothing_to_do_is_an_empty_agenda() -> None:
    assert decide(wanted=3, live=3) == Agenda({"db": 3})


def test_the_bus_is_rolled_after_the_database() -> None:
    both = decide(wanted=3, live=3, old="cockroachdb nats")
    assert [it.pod for it in both.actions if isinstance(it, Replace)] == ["db-2"]
    assert [it.message for it in both.operations][1] == "waits for the operation in progress"
    alone = decide(wanted=3, live=3, old="nats")
    assert [it.pod for it in alone.actions if isinstance(it, Replace)] == ["bus-2"]


def test_a_new_template_is_rolled_out_before_a_node_is_taken_away() -> None:
    found = decide(wanted=3, live=5, old="cockroachdb")
    assert [type(it) for it in found.actions] == [Replace]
    assert found.replicas == {"db": 5}


def test_no_pod_is_replaced_while_a_node_is_being_decommissioned() -> None:
    assert decide(wanted=3, live=5, old="cockroachdb nats", job=True).actions == ()


def test_nothing_is_begun_while_a_node_does_not_tell_of_its_replicas() -> None:
    silent = Nodes({"db-0": None})
    assert decide(wanted=3, live=5, nodes=silent).actions == ()
    assert decide(wanted=3, live=3, old="cockroachdb", nodes=silent).actions == ()
    assert decide(wanted=3, live=5).actions == (Begin("db-4"),)


def test_replicas_of_the_agenda_replace_those_of_the_spec() -> None:
    manifests = [stateful_set("db", 3), stateful_set("bus", 3)]
    assert [it["spec"]["replicas"] for it in hold(manifests, {"db": 5})] == [5, 3]
    assert manifests[0]["spec"]["replicas"] == 3
