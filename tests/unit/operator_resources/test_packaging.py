"""CRD, samples, RBAC and chart as they are handed out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from chronicle_operator import crd
from chronicle_operator.crd.spec import ChronicleLedgerSpec, seconds
from chronicle_operator.crd.structural import of_model
from chronicle_operator.packaging import packaging, rbac
from support.kubernetes_schema import problems
from support.ledger_specs import ROOT, SAMPLES

CHART = ROOT / "charts" / "chronicle-operator"


def schema() -> dict[str, Any]:
    found: dict[str, Any] = crd.manifest()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def walk(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(node, dict):
        found.append((path, node))
        for key, value in node.items():
            found += walk(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            found += walk(value, path)
    return found


def test_what_is_committed_is_what_the_code_says() -> None:
    for name, text in packaging.files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} is stale: make generate"


def test_the_schema_is_structural() -> None:
    forbidden = {"$ref", "$defs", "title", "const", "oneOf", "allOf"}
    for path, node in walk(schema()):
        if not path.endswith(".properties"):
            assert not forbidden & set(node), path


def test_every_rule_says_what_to_do_in_a_sentence() -> None:
    rules = [rule for _, node in walk(schema()) for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) >= 10
    assert all(len(rule["message"].split()) >= 5 for rule in rules)


def test_the_schema_has_no_place_for_an_unknown_union() -> None:
    from pydantic import BaseModel

    class Odd(BaseModel):
        value: int | list[str]

    with pytest.raises(TypeError, match="no union of"):
        of_model(Odd)


def test_the_defaults_of_the_crd_are_the_defaults_of_the_code() -> None:
    from_schema: dict[str, Any] = {
        name: field["default"]
        for name, field in schema()["properties"]["spec"]["properties"].items()
        if "default" in field
    }
    assert ChronicleLedgerSpec.model_validate(from_schema) == ChronicleLedgerSpec()


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda it: it.stem)
def test_samples_fit_the_schema_without_an_unknown_field(sample: Path) -> None:
    ledger = yaml.safe_load(sample.read_text())
    closed = json.loads(json.dumps(schema()["properties"]["spec"]))
    for _, node in walk(closed):
        if node.get("type") == "object" and "properties" in node:
            node["additionalProperties"] = False
        if node.get("x-kubernetes-int-or-string"):
            node.pop("pattern")
    jsonschema.validate(ledger["spec"], closed)
    ChronicleLedgerSpec.model_validate(ledger["spec"])


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("1h30m", 5400), ("2m", 120)])
def test_durations_are_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "10", "s", "0s", "5d", "1.5s"])
def test_a_duration_that_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 90s"):
        seconds(text)


def test_no_role_has_a_wildcard_or_opens_a_shell() -> None:
    for rule in [*rbac.namespace_rules(), *rbac.cluster_rules(), *rbac.view_rules(), *rbac.edit_rules()]:
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert "pods/exec" not in rule["resources"]


def assert_nothing_is_made_cluster_wide(documents: list[dict[str, Any]]) -> None:
    """What is bound in every namespace reads no Secret or ConfigMap, and writes a ledger's status and Events alone."""
    bound = {it["roleRef"]["name"] for it in documents if it["kind"] == "ClusterRoleBinding"}
    roles = [it for it in documents if it["kind"] == "ClusterRole" and it["metadata"]["name"] in bound]
    assert len(roles) == len(bound) == 1
    for rule in roles[0]["rules"]:
        assert {"secrets", "configmaps", "pods"}.isdisjoint(rule["resources"])
        if not set(rule["verbs"]) <= {"get", "list", "watch"}:
            assert rule["resources"] in (["chronicleledgers/status"], ["events"])


def test_cluster_wide_nothing_is_made_and_no_secret_is_read() -> None:
    assert_nothing_is_made_cluster_wide(list(yaml.safe_load_all(packaging.files()["manifests/rbac-cluster.yaml"])))


def test_the_roles_of_people_are_added_to_kubernetes_own_and_say_what_a_ledgers_author_is_trusted_with() -> None:
    documents = list(yaml.safe_load_all(packaging.files()["manifests/rbac-people.yaml"]))
    assert [problem for it in documents for problem in problems(it)] == []
    view, edit = documents
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert {it for rule in edit["rules"] for it in rule["resources"]} == {
        "chronicleledgers",
        "chronicleledgers/scale",
        "chronicleledgerbackups",
    }
    for role in documents:
        assert "images of their choice" in role["metadata"]["annotations"]["ledger.chronicle.dev/trust"]


def test_values_and_their_schema_have_the_same_keys() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    described = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(values, described)
    assert set(values) == set(described["properties"]) - {"global"}


def rendered(*options: str, chart: Path = CHART, name: str = "x", namespace: str = "here") -> list[dict[str, Any]]:
    """Return what the chart makes for a release."""
    if shutil.which("helm") is None:
        pytest.skip("helm is not on PATH")
    text = subprocess.run(
        ["helm", "template", name, str(chart), "-n", namespace, "--kube-version", "1.31.0", *options],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [it for it in yaml.safe_load_all(text) if it]


@pytest.mark.helm
@pytest.mark.parametrize(
    "options", [[], ["--set", "watch.allNamespaces=true"], ["--set", "watch.namespaces={one,two}"]], ids=str
)
def test_the_chart_renders_to_manifests_that_kubernetes_knows(options: list[str]) -> None:
    manifests = rendered(*options)
    assert {"Deployment", "CustomResourceDefinition", "RoleBinding", "Pod"} <= {it["kind"] for it in manifests}
    assert [problem for it in manifests for problem in problems(it)] == []
    rules = [rule for it in manifests for rule in it.get("rules", [])]
    assert all("*" not in rule["verbs"] for rule in rules)
    if "watch.allNamespaces=true" in options:
        assert_nothing_is_made_cluster_wide(manifests)


@pytest.mark.helm
@pytest.mark.parametrize("name", ["1e3", "0x1f", "true", "null", "a.b", "chronicle-operator", f"{'a' * 51}.b", "no"])
@pytest.mark.parametrize("wide", [[], ["--set", "watch.allNamespaces=true"]], ids=["some", "all"])
def test_every_name_that_kubernetes_allows_is_a_text_in_what_is_rendered(name: str, wide: list[str]) -> None:
    """YAML takes some names for numbers, truth values or nothing."""
    watched = ["--set-string", "watch.namespaces={1234,on,0x10,y}"]
    manifests = rendered(*wide, *watched, name=name, namespace="123")
    assert [problem for it in manifests for problem in problems(it)] == []
    for path, node in [found for it in manifests for found in walk(it, it["kind"])]:
        if path.startswith("CustomResourceDefinition.spec"):
            continue
        for key in ("name", "namespace", "image", "serviceAccountName", "secretName"):
            assert isinstance(node.get(key, ""), str | dict), f"{path}.{key}"
        for key in ("labels", "matchLabels", "annotations"):
            assert all(isinstance(it, str) for it in node.get(key, {}).values()), f"{path}.{key}"
        assert all(isinstance(it, str) for it in node.get("args", [])), path
    for it in manifests:
        plain = it["metadata"]["name"].rpartition(":")[2]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", plain), plain
    bindings = [it for it in manifests if it["kind"] == "RoleBinding"]
    assert {it["metadata"]["namespace"] for it in bindings} == {"1234", "on", "0x10", "y"}
    assert {it["subjects"][0]["namespace"] for it in bindings} == {"123"}
    (deployment,) = [it for it in manifests if it["kind"] == "Deployment"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert selector["app.kubernetes.io/instance"] == name


@pytest.mark.helm
def test_releases_of_one_name_in_two_namespaces_share_nothing_but_the_definitions() -> None:
    def names(namespace: str) -> set[tuple[str, str, str]]:
        found = rendered("--set", "watch.allNamespaces=true", namespace=namespace)
        return {(it["kind"], it["metadata"].get("namespace", ""), it["metadata"]["name"]) for it in found}

    shared = names("here") & names("there")
    assert {kind for kind, _, _ in shared} == {"CustomResourceDefinition"}
    assert len(shared) == 2, "ledgers and backups"


DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.helm
@pytest.mark.parametrize(
    ("options", "image"),
    [
        ([], "chronicle-ledger:0.1.0"),
        (["image.tag=dev"], "chronicle-ledger:dev"),
        ([f"image.digest={DIGEST}"], f"chronicle-ledger@{DIGEST}"),
        ([f"image.digest={DIGEST}", "image.tag=dev"], f"chronicle-ledger:dev@{DIGEST}"),
    ],
    ids=["default", "tag", "digest", "both"],
)
def test_the_image_is_chosen_by_tag_or_by_digest(options: list[str], image: str) -> None:
    manifests = rendered(*(part for it in options for part in ("--set", it)))
    pods = [it["spec"].get("template", it)["spec"] for it in manifests if it["kind"] in ("Deployment", "Pod")]
    assert {it["containers"][0]["image"] for it in pods} == {image}


@pytest.mark.helm
@pytest.mark.parametrize("bad", ["image.digest=latest", "image.digest=sha256:abc", "watch.namespaces={A}"])
def test_bad_values_are_refused(bad: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        rendered("--set", bad)


PLACES = [
    ([], "here"),
    (["--set", "watch.namespaces={one,two}"], "one"),
    (["--set", "watch.namespaces={one,two}", "--set", "test.namespace=two"], "two"),
    (["--set", "watch.allNamespaces=true"], "here"),
]


@pytest.mark.helm
@pytest.mark.parametrize(("options", "place"), PLACES, ids=str)
def test_the_charts_own_test_runs_where_its_ledger_is(options: list[str], place: str) -> None:
    (pod,) = [it for it in rendered(*options) if it["kind"] == "Pod"]
    assert pod["metadata"]["namespace"] == place
    assert f"https://minimal-api.{place}.svc:8080" in str(pod["spec"]["containers"][0]["env"])


@pytest.mark.helm
@pytest.mark.parametrize(("options", "place"), PLACES, ids=str)
def test_every_command_of_the_notes_names_a_namespace_that_is_served(
    options: list[str], place: str, tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "notes")
    (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes") . | toJson }}\n')
    (notes,) = [it["text"] for it in rendered(*options, chart=chart) if it["kind"] == "Notes"]
    commands = [it.strip() for it in notes.splitlines() if it.strip().startswith(("kubectl", "helm"))]
    assert len(commands) >= 6
    for command in commands:
        wanted = "here" if command.startswith("helm test") else "NAMESPACE" if "rolebinding" in command else place
        assert f"-n {wanted}" in command, command
    assert "image: chronicle-ledger:0.1.0" in notes


def test_there_is_one_operator_and_it_ends_before_the_next_one_begins() -> None:
    for name in ("manifests/operator.yaml", "manifests/operator-all-namespaces.yaml"):
        documents = [it for it in yaml.safe_load_all(packaging.files()[name]) if it]
        (deployment,) = [it for it in documents if it["kind"] == "Deployment"]
        assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    template = "\n".join(it.read_text(encoding="utf-8") for it in (CHART / "templates").glob("*.yaml"))
    assert re.findall(r"^ *replicas: *(.*)$", template, re.MULTILINE) == ["1"], "no value of the chart changes it"
    assert re.findall(r"^ *type: *(Re.*)$", template, re.MULTILINE) == ["Recreate"]
