"""A CockroachDB node goes away in steps that any restart of the operator can be between."""

from __future__ import annotations

from typing import Any

from chronicle_operator.day2.decommission import Begin, DeleteClaim, Finish, Plan, plan
from support.operator_objects import claim, decommission_job, pod, stateful_set

FIVE = [pod("db", n) for n in range(5)]
CLAIMS = [claim(f"db-{n}") for n in range(5)]


def decide(
    wanted: int,
    live: int,
    *,
    pods: list[dict[str, Any]] | None = None,
    claims: list[dict[str, Any]] | None = None,
    jobs: list[dict[str, Any]] | None = None,
    calm: bool = True,
) -> Plan:
    return plan(
        {"db": wanted},
        [stateful_set("db", live)],
        FIVE if pods is None else pods,
        CLAIMS if claims is None else claims,
        jobs or [],
        calm=calm,
    )


def test_more_nodes_are_simply_started() -> None:
    assert decide(5, 3, claims=CLAIMS[:3]) == Plan({"db": 5})


def test_a_cluster_that_slept_wakes_with_every_node_that_holds_data_though_fewer_are_wanted() -> None:
    woken = decide(3, 0, pods=[])
    assert woken.replicas == {"db": 5}
    assert woken.action is None
    again = plan({"db": 3}, [stateful_set("db", 3)], FIVE[:3], CLAIMS, [], calm=True)
    assert again.replicas == {"db": 5}, "two nodes with data were left out"


def test_volumes_of_another_stateful_set_are_not_counted() -> None:
    others = [claim("db-x-7"), claim("other-5")]
    assert decide(3, 3, pods=FIVE[:3], claims=[*CLAIMS[:3], *others]) == Plan({"db": 3})


def test_the_first_creation_is_no_operation() -> None:
    assert plan({"db": 3}, [], [], [], [], calm=False) == Plan({"db": 3})


def test_the_highest_node_is_decommissioned_first_and_its_pod_stays_meanwhile() -> None:
    begun = decide(3, 5)
    assert begun.action == Begin("db-4")
    assert begun.replicas == {"db": 5}
    running = decide(3, 5, jobs=[decommission_job("db-4")])
    assert running.action is None
    assert running.replicas == {"db": 5}


def test_progress_is_told_in_replicas_that_are_left_and_without_a_figure_where_the_node_does_not_say() -> None:
    at_work = [decommission_job("db-4")]
    told = plan({"db": 3}, [stateful_set("db", 5)], FIVE, CLAIMS, at_work, calm=True, replicas={"db-4": 12})
    assert told.message == "decommissioning db-4: moving its replicas to other nodes, 12 left"
    assert decide(3, 5, jobs=at_work).message == "decommissioning db-4: moving its replicas to other nodes"


def test_it_does_not_begin_while_ranges_lack_replicas() -> None:
    waiting = decide(3, 5, calm=False)
    assert waiting.action is None
    assert waiting.replicas == {"db": 5}
    assert waiting.busy


def test_it_does_not_begin_on_a_pod_that_is_down() -> None:
    pods = [*FIVE[:4], pod("db", 4, ready=False)]
    assert decide(3, 5, pods=pods).action is None


def test_the_pod_goes_when_its_data_is_gone() -> None:
    done = [decommission_job("db-4", condition="Complete")]
    assert decide(3, 5, jobs=done).replicas == {"db": 4}
    assert decide(3, 4, jobs=done).action is None, "the pod is still stopping"
    assert decide(3, 4, jobs=done).replicas == {"db": 4}


def test_the_volume_goes_after_the_pod_and_then_the_job() -> None:
    done = [decommission_job("db-4", condition="Complete")]
    assert decide(3, 4, pods=FIVE[:4], jobs=done).action == DeleteClaim("data-db-4")
    last = decide(3, 4, pods=FIVE[:4], claims=CLAIMS[:4], jobs=done)
    assert last.action == Finish("decommission-db-4", "uid-job-db-4")


def test_one_node_after_the_other() -> None:
    assert decide(3, 4, pods=FIVE[:4], claims=CLAIMS[:4]).action == Begin("db-3")


def test_a_change_of_mind_waits_for_the_end_of_what_was_begun() -> None:
    running = decide(5, 5, jobs=[decommission_job("db-4")])
    assert running.busy
    leaving = decide(5, 5, jobs=[decommission_job("db-4", condition="Complete")])
    assert leaving.replicas == {"db": 4}


def test_a_failed_job_stops_everything_and_names_itself() -> None:
    failed = decide(3, 5, jobs=[decommission_job("db-4", condition="Failed")])
    assert failed.action is None
    assert failed.replicas == {"db": 5}
    assert "decommission-db-4" in failed.message


def test_three_nodes_are_never_made_two() -> None:
    sets = [stateful_set("a", 2), stateful_set("b", 1)]
    pods = [pod("a", 0), pod("a", 1), pod("b", 0)]
    refused = plan({"a": 1, "b": 1}, sets, pods, [], [], calm=True)
    assert refused.action is None
    assert refused.replicas == {"a": 2, "b": 1}
    assert "must stay" in refused.message


def test_with_regions_the_new_nodes_come_before_the_old_ones_go() -> None:
    sets = [stateful_set("a", 2), stateful_set("b", 1)]
    pods = [pod("a", 0), pod("a", 1), pod("b", 0)]
    moved = plan({"a": 1, "b": 2}, sets, pods, [], [], calm=True)
    assert moved.replicas == {"a": 2, "b": 2}
