"""CRD, samples, RBAC and chart as they are handed out."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from chronicle_operator import crd, packaging, rbac
from chronicle_operator.crd.structural import of_model
from chronicle_operator.spec import ChronicleLedgerSpec, seconds
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
    for rule in [*rbac.rules(), *rbac.secret_rules()]:
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert "pods/exec" not in rule["resources"]


def test_cluster_wide_there_are_no_secrets() -> None:
    documents = list(yaml.safe_load_all(packaging.files()["manifests/rbac-cluster.yaml"]))
    bound = {it["roleRef"]["name"] for it in documents if it["kind"] == "ClusterRoleBinding"}
    for role in documents:
        if role["kind"] == "ClusterRole" and role["metadata"]["name"] in bound:
            assert all("secrets" not in rule["resources"] for rule in role["rules"])


def test_values_and_their_schema_have_the_same_keys() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    described = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(values, described)
    assert set(values) == set(described["properties"]) - {"global"}


def rendered(*options: str, chart: Path = CHART) -> list[dict[str, Any]]:
    """Return what the chart makes for a release in the namespace `here`."""
    if shutil.which("helm") is None:
        pytest.skip("helm is not on PATH")
    text = subprocess.run(
        ["helm", "template", "x", str(chart), "-n", "here", "--kube-version", "1.31.0", *options],
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
        bound = {it["roleRef"]["name"] for it in manifests if it["kind"] == "ClusterRoleBinding"}
        wide = [it for it in manifests if it["kind"] == "ClusterRole" and it["metadata"]["name"] in bound]
        assert all("secrets" not in rule["resources"] for it in wide for rule in it["rules"])


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
