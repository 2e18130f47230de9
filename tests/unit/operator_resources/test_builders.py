"""Properties that hold for every object the builders make, and rules about how specs become objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chronicle_contract.database_users import API
from chronicle_contract.labels import DOMAIN
from chronicle_operator.day2.decommission_job import decommission_job
from chronicle_operator.resources import LedgerContext, build, names, placement, service_pod
from chronicle_operator.resources.labels import selector, version
from chronicle_operator.resources.quantity import quantity
from chronicle_operator.scenarios import job as scenarios
from chronicle_operator.seals import job as seals
from support.ledger_specs import EVERYTHING, context, regions

SPECS: dict[str, dict[str, Any]] = {
    "smallest": {},
    "two regions": {"regions": regions(2, 1)},
    "everything": EVERYTHING,
    "trial": {"tls": {"mode": "Disabled"}, "networkPolicy": "Disabled"},
}


@pytest.fixture(params=SPECS)
def ledger(request: pytest.FixtureRequest) -> LedgerContext:
    """A ledger of each kind."""
    return context(SPECS[request.param])


def pods(ledger: LedgerContext) -> Iterator[tuple[str, dict[str, Any]]]:
    for it in build(ledger):
        if it["kind"] in ("StatefulSet", "Deployment", "Job"):
            yield it["metadata"]["name"], it["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def find(ledger: LedgerContext, kind: str, name: str) -> dict[str, Any]:
    return next(it for it in build(ledger) if it["kind"] == kind and it["metadata"]["name"] == name)


def test_every_object_is_owned_by_its_ledger_and_bears_the_recommended_labels(ledger: LedgerContext) -> None:
    for it in build(ledger):
        (owner,) = it["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (ledger.uid, True)
        labels = it["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == ledger.name
        assert labels["app.kubernetes.io/managed-by"] == "chronicle-operator"
        assert {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of"} <= set(labels)


def test_the_version_is_on_every_object_and_in_no_template_selector_or_claim(ledger: LedgerContext) -> None:
    for it in build(ledger):
        assert it["metadata"]["labels"]["app.kubernetes.io/version"] == "dev"
        assert "app.kubernetes.io/version" not in str(it.get("spec")), it["metadata"]["name"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("chronicle-ledger:0.1.0", "0.1.0"),
        ("registry:5000/team/chronicle-ledger:1.2_rc-3", "1.2_rc-3"),
        ("registry:5000/chronicle-ledger", ""),
        ("chronicle-ledger@sha256:abcdef", ""),
        ("chronicle-ledger:1.0@sha256:abcdef", "1.0"),
        (f"x:_{'a' * 70}", "a" * 62),
    ],
)
def test_the_version_is_the_tag_of_our_image_as_far_as_a_label_can_hold_it(image: str, expected: str) -> None:
    assert version(image) == expected


def test_every_kind_of_pod_is_behind_a_policy() -> None:
    ledger = context(SPECS["two regions"])
    policies = {
        it["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: it["spec"]
        for it in build(ledger)
        if it["kind"] == "NetworkPolicy"
    }
    made = {it["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] for it in workloads(ledger)}
    assert set(policies) == made | {"decommission"}
    assert policies["scenarios"] == {
        "podSelector": {"matchLabels": selector(ledger, "scenarios")},
        "policyTypes": ["Ingress"],
        "ingress": [],
    }


def workloads(ledger: LedgerContext) -> list[dict[str, Any]]:
    """Return everything that makes pods, a run of the scenarios and a seal included."""
    built = [it for it in build(ledger) if it["kind"] in ("StatefulSet", "Deployment", "Job")]
    return [*built, scenarios.job(ledger, "run", 0), seals.job(ledger, "slot", last_root=None, public_keys=[])]


def test_no_two_objects_of_a_kind_have_the_same_name(ledger: LedgerContext) -> None:
    found = [(it["kind"], it["metadata"]["name"]) for it in build(ledger)]
    assert len(found) == len(set(found))


def test_every_pod_keeps_the_restricted_profile(ledger: LedgerContext) -> None:
    for name, pod in pods(ledger):
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] >= 1000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name


def test_every_container_asks_for_resources_and_no_pod_gets_a_token(ledger: LedgerContext) -> None:
    for name, pod in pods(ledger):
        assert pod["automountServiceAccountToken"] is False, name
        assert all(it["resources"]["requests"] for it in containers(pod)), name


@pytest.mark.parametrize("spec", ["smallest", "two regions", "trial"])
def test_a_quota_that_wants_limits_lets_every_pod_pass(spec: str) -> None:
    """Kubernetes refuses a pod under such a quota where any container, of initialisation too, lacks one of the four."""
    ledger = context(SPECS[spec])
    moved = decommission_job(ledger, "books-cockroachdb-3", 4)
    for workload in [*workloads(ledger), moved]:
        name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        for container in containers(pod):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(requests) & set(limits), f"{name}/{container['name']}"
            assert quantity(requests["memory"]) <= quantity(limits["memory"]), name


def test_no_temporary_directory_can_fill_a_machine(ledger: LedgerContext) -> None:
    for workload in workloads(ledger):
        name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        for volume in pod["volumes"]:
            if "emptyDir" in volume:
                assert quantity(volume["emptyDir"]["sizeLimit"]) <= 4 * 2**30, name
                if volume["emptyDir"].get("medium") == "Memory":
                    least = min(quantity(it["resources"]["limits"]["memory"]) for it in containers(pod))
                    assert quantity(volume["emptyDir"]["sizeLimit"]) * 4 <= least, name


@pytest.mark.parametrize(
    ("cache", "limits", "expected"),
    [
        ("25%", {"memory": "2Gi"}, "512MiB"),
        (".12", {"memory": "8Gi", "cpu": 2}, "983MiB"),
        ("25%", {"memory": 4294967296}, "1024MiB"),
        ("256MiB", {"memory": "2Gi"}, "256MiB"),
        ("25%", {"cpu": "2"}, "25%"),
        ("25%", None, "25%"),
    ],
)
def test_the_cache_of_a_node_is_a_share_of_its_limit_where_there_is_one(
    cache: str, limits: dict[str, Any] | None, expected: str
) -> None:
    spec = {"cockroachdb": {"cache": cache, "maxSqlMemory": cache, "resources": {"limits": limits} if limits else {}}}
    for name, pod in pods(context(spec)):
        if name == "books-cockroachdb":
            arguments = pod["containers"][0]["args"]
            assert {f"--cache={expected}", f"--max-sql-memory={expected}"} <= set(arguments)


def test_the_licence_is_a_file_of_the_one_container_that_sets_it_and_nowhere_else() -> None:
    ledger = context(SPECS["everything"])
    for name, pod in pods(ledger):
        having = [it["name"] for it in containers(pod) if "licence" in {use["name"] for use in it["volumeMounts"]}]
        assert having == (["users"] if "-migration-" in name else []), name
        volumes = [it for it in pod["volumes"] if it["name"] == "licence"]
        assert len(volumes) == len(having)
        for container in containers(pod):
            assert "LICENCE" not in str(container["env"]), name
            assert all(it["name"].startswith("NATS_PASSWORD") for it in container["env"] if "secretKeyRef" in str(it))


def test_another_licence_is_set_by_another_job_and_none_leaves_no_trace() -> None:
    def migration(licence: str | None) -> dict[str, Any]:
        ledger = replace(context(SPECS["everything"]), licence=licence)
        return next(it for it in build(ledger) if "-migration-" in it["metadata"]["name"])

    first, second, none = (migration(it) for it in ("one", "two", None))
    assert len({it["metadata"]["name"] for it in (first, second, none)}) == 3
    assert "licence" not in str(none["spec"])


def test_regions_whose_services_would_be_one_are_refused_by_name() -> None:
    twice = [{**it, "name": name} for it, name in zip(regions(2, 1), ("eu", "eu-instances"), strict=True)]
    with pytest.raises(ValueError, match="Service books-api-eu-instances would be made twice"):
        build(context({"regions": twice}))


def test_every_account_that_a_pod_names_is_built(ledger: LedgerContext) -> None:
    built = {it["metadata"]["name"] for it in build(ledger) if it["kind"] == "ServiceAccount"}
    assert {pod["serviceAccountName"] for _, pod in pods(ledger)} <= built


def test_every_secret_that_a_pod_reads_is_made_by_credentials(ledger: LedgerContext) -> None:
    from datetime import UTC, datetime

    from chronicle_operator.secrets.credentials import ensure

    made = ensure(ledger.name, ledger.namespace, ledger.uid, ledger.spec, {}, datetime.now(UTC)).hashes
    for name, pod in pods(ledger):
        read = {it["secret"]["secretName"] for it in pod["volumes"] if "secret" in it}
        assert read - ({"licence"} if "-migration-" in name else set()) <= set(made), name


def test_liveness_never_asks_about_peers(ledger: LedgerContext) -> None:
    allowed = {"/health", "/livez", "/healthz?js-enabled-only=true"}
    for name, pod in pods(ledger):
        for container in pod["containers"]:
            if "livenessProbe" in container:
                assert container["livenessProbe"]["httpGet"]["path"] in allowed, name


def test_a_budget_lets_one_database_node_of_all_regions_go() -> None:
    budgets = [it for it in build(context(SPECS["two regions"])) if it["kind"] == "PodDisruptionBudget"]
    cockroach = next(it for it in budgets if it["metadata"]["name"] == "books-cockroachdb")
    assert cockroach["spec"]["maxUnavailable"] == 1
    assert DOMAIN + "/region" not in cockroach["spec"]["selector"]["matchLabels"]


def test_scaling_changes_no_pod_of_the_database_or_the_bus() -> None:
    def templates(spec: dict[str, Any]) -> dict[str, Any]:
        sets = [it for it in build(context(spec)) if it["kind"] == "StatefulSet"]
        return {it["metadata"]["name"]: it["spec"]["template"] for it in sets}

    assert templates({}) == templates({"cockroachdb": {"replicas": 5}, "nats": {"replicas": 5}})
    assert templates({"regions": regions(2, 1)}) == templates({"regions": regions(3, 2)})


def test_a_changed_secret_rolls_exactly_what_reads_it_once() -> None:
    before = context(SPECS["two regions"])
    after = LedgerContext(
        before.name, before.namespace, before.uid, before.spec, {**before.secret_hashes, "books-nats-tls": "renewed"}
    )
    templates = [
        {
            it["metadata"]["name"]: it["spec"]["template"]
            for it in build(ledger)
            if it["kind"] != "Job" and "template" in it.get("spec", {})
        }
        for ledger in (before, after)
    ]
    changed = {name for name, template in templates[0].items() if templates[1][name] != template}
    assert changed == {"books-nats-region-a", "books-nats-region-b"}


def test_an_upgrade_of_the_database_makes_no_second_init_job_and_one_of_ours_a_new_migration() -> None:
    def jobs(spec: dict[str, Any]) -> dict[str, str]:
        found = [it for it in build(context(spec)) if it["kind"] == "Job"]
        return {it["metadata"]["labels"]["app.kubernetes.io/component"]: it["metadata"]["name"] for it in found}

    plain = jobs({})
    assert jobs({"cockroachdb": {"image": "cockroach:next"}})["init"] == plain["init"]
    assert jobs({"api": {"image": "chronicle:next"}})["migration"] != plain["migration"]


def test_a_hibernated_ledger_has_no_pods_and_no_jobs_but_all_its_services() -> None:
    awake, asleep = build(context({})), build(context({"reconciliation": "Hibernated"}))
    assert not [it for it in asleep if it["kind"] == "Job"]
    assert {it["spec"]["replicas"] for it in asleep if it["kind"] in ("StatefulSet", "Deployment")} == {0}
    services = [it["metadata"]["name"] for it in awake if it["kind"] == "Service"]
    assert services == [it["metadata"]["name"] for it in asleep if it["kind"] == "Service"]


def test_with_autoscaling_the_operator_leaves_the_replicas_alone() -> None:
    found = [it for it in build(context(EVERYTHING)) if it["kind"] == "Deployment"]
    assert all("replicas" not in it["spec"] for it in found if "-api" in it["metadata"]["name"])
    assert len([it for it in build(context(EVERYTHING)) if it["kind"] == "HorizontalPodAutoscaler"]) == 2


def test_the_claims_stay_or_go_as_the_deletion_policy_says_and_always_stay_when_scaled() -> None:
    for policy in ("Retain", "Delete"):
        sets = [it for it in build(context({"deletionPolicy": policy})) if it["kind"] == "StatefulSet"]
        assert len(sets) == 2
        for it in sets:
            kept = it["spec"]["persistentVolumeClaimRetentionPolicy"]
            assert kept == {"whenDeleted": policy, "whenScaled": "Retain"}


def test_a_region_asks_its_own_database_nodes_first() -> None:
    url = service_pod.database_url(context(SPECS["two regions"]), API, "region-b")
    hosts = url.removeprefix("postgresql://chronicle_api@").partition("/")[0].split(",")
    assert hosts == [
        "books-cockroachdb-region-b-public.finance.svc:26257",
        "books-cockroachdb-public.finance.svc:26257",
    ]


def test_the_api_does_not_connect_as_root() -> None:
    for name, pod in pods(context({})):
        for container in containers(pod):
            for it in container["env"]:
                if it["name"] == "CHRONICLE_DATABASE_URL":
                    assert "//root@" not in it["value"], name
        if "init" not in name and "migration" not in name:
            assert "books-cockroachdb-client-root" not in str(pod), name


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [(3, [2, 1], [2, 1]), (5, [2, 1], [3, 2]), (1, [1, 1], [1, 0]), (0, [2, 1], [0, 0]), (7, [2, 2, 1], [3, 3, 1])],
)
def test_api_replicas_are_shared_out_in_proportion(total: int, shares: list[int], expected: list[int]) -> None:
    assert placement.share_out(total, shares) == expected


def test_relay_and_projector_are_of_no_region_so_that_no_cut_between_regions_reaches_them() -> None:
    label = DOMAIN + "/region"
    deployments = [it for it in build(context(SPECS["two regions"])) if it["kind"] == "Deployment"]
    bearing = {it["metadata"]["name"]: label in it["spec"]["template"]["metadata"]["labels"] for it in deployments}
    assert bearing == {
        "books-api-region-a": True, "books-api-region-b": True, "books-relay": False, "books-projector": False,
    }  # fmt: skip


def test_the_seeds_are_the_first_pods_of_each_region() -> None:
    assert placement.seeds([("a", 2), ("b", 1)]) == ["a-0", "b-0", "a-1"]
    assert placement.seeds([("only", 5)]) == ["only-0", "only-1", "only-2"]
    assert placement.seeds([("a", 1), ("b", 1), ("c", 3)]) == ["a-0", "b-0", "c-0"]


def test_jetstream_leaves_a_tenth_of_its_volume_free() -> None:
    config = find(context({}), "ConfigMap", "books-nats")["data"]["nats.conf"]
    assert f"max_file_store: {5 * 2**30 * 9 // 10}" in config
    assert "sync_interval: always" in config


SIZES = {
    "7": 7, "1.5Ki": 1536,
    "1k": 10**3, "500M": 500 * 10**6, "2G": 2 * 10**9, "1T": 10**12, "1P": 10**15, "1E": 10**18,
    "3Mi": 3 * 2**20, "5Gi": 5 * 2**30, "1Ti": 2**40, "1Pi": 2**50, "1Ei": 2**60,
}  # fmt: skip


@pytest.mark.parametrize(("text", "number"), SIZES.items())
def test_quantities_are_bytes(text: str, number: int) -> None:
    assert quantity(text) == number


def test_a_quantity_that_is_none_says_how_to_write_one() -> None:
    with pytest.raises(ValueError, match="write it as 10Gi or 500M"):
        quantity("lots")


def test_the_longest_names_fit_into_a_dns_label() -> None:
    longest = "l" * names.LONGEST_LEDGER_NAME
    spec = {"regions": [{**it, "name": f"r{'x' * 13}{place}"} for place, it in enumerate(regions(2, 1))]}
    for it in build(context(spec, name=longest)):
        # The label with a StatefulSet's revision is its name, a hyphen and ten letters.
        limit = 52 if it["kind"] == "StatefulSet" else 63
        assert len(it["metadata"]["name"]) <= limit, it["metadata"]["name"]


@pytest.mark.parametrize("component", ["cockroachdb", "nats", "api", "relay", "projector"])
def test_pods_of_a_component_are_spread_over_machines_and_leave_one_at_a_time(component: str) -> None:
    ledger = context({})
    name = f"books-{component}"
    wanted = selector(ledger, component)
    budget = find(ledger, "PodDisruptionBudget", name)
    assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": wanted}}
    kind = "StatefulSet" if component in ("cockroachdb", "nats") else "Deployment"
    spread = find(ledger, kind, name)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [it["topologyKey"] for it in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for it in spread:
        assert (it["maxSkew"], it["labelSelector"]["matchLabels"]) == (1, wanted)
        # The pods of a rollout are spread among themselves, not among those that are about to go.
        assert it.get("matchLabelKeys") == (["pod-template-hash"] if kind == "Deployment" else None)


@pytest.mark.parametrize(("tls", "scheme"), [(True, "https"), (False, "http")])
def test_the_api_is_called_as_it_listens(tls: bool, scheme: str) -> None:
    assert names.api_url("books", "finance", tls=tls) == f"{scheme}://books-api.finance.svc:8080"
    assert names.api_url("books", "finance", tls=tls, region="eu") == f"{scheme}://books-api-eu.finance.svc:8080"
