"""The Jobs of backups: what they run, what they mount, and that Kubernetes knows every field."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from chronicle_cli.backup import backup as command
from chronicle_operator import crd
from chronicle_operator.backups import job as jobs
from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.packaging.packaging import dump
from chronicle_operator.resources import Manifest, build
from support.golden import assert_golden
from support.kubernetes_schema import problems
from support.ledger_specs import context

TO_A_CLAIM = {
    "destination": {"claim": {"claimName": "backups"}},
    "encryptionKeySecretRef": {"name": "backup-key", "key": "backup.key"},
    "retention": {"count": 14, "age": "720h"},
}
TO_A_STORE: dict[str, Any] = {
    "destination": {"url": "s3://bucket/books"},
    "credentialsSecretRef": {"name": "cloud"},
    "verify": "Disabled",
    "rate": 5000,
}
DATABASE = "books-cockroachdb"
KEY, OLD = "ab" * 32, "cd" * 32


def claim_job() -> Manifest:
    return jobs.backup_job(context({"backup": TO_A_CLAIM}), "B1", full=True, former_keys=[KEY, OLD])


def store_job() -> Manifest:
    return jobs.backup_job(
        context({"backup": TO_A_STORE, "tls": {"mode": "Disabled"}}), "B2", full=False, former_keys=[]
    )


def restore_job() -> Manifest:
    place = jobs.Place(claim_name="backups", path="books")
    spec = ChronicleLedgerSpec.model_validate({"backup": TO_A_CLAIM}).backup
    assert spec is not None
    source = jobs.Source(place, "20260131T090000000000Z-1f3a9c04", "2026-01-31T09:00:00Z", [KEY], None,
                         spec.encryption_key_secret_ref)  # fmt: skip
    return jobs.restore_job(context({}), 2, source)


ALL = {"backup-claim": claim_job, "backup-store": store_job, "restore": restore_job}


@pytest.mark.parametrize("case", ALL)
def test_the_jobs_are_those_of_the_golden_file_and_kubernetes_knows_every_field(case: str) -> None:
    manifest = ALL[case]()
    assert_golden(f"job-{case}.yaml", dump(manifest))
    assert problems(manifest) == []


def containers(manifest: Manifest) -> list[Manifest]:
    spec = manifest["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


@pytest.mark.parametrize("case", ALL)
def test_every_step_is_a_command_that_the_command_line_knows_with_these_options(case: str) -> None:
    for container in containers(ALL[case]()):
        name, *arguments = container["args"]
        parsed = command.commands[name].make_context(name, [*arguments, "--json"], resilient_parsing=False)
        assert parsed.params["as_json"]
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


@pytest.mark.parametrize("case", ALL)
def test_each_pod_is_confined_and_bounded(case: str) -> None:
    manifest = ALL[case]()
    pod = manifest["spec"]["template"]["spec"]
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["activeDeadlineSeconds"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    for container in containers(manifest):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


def test_a_restore_only_reads_the_backups_and_sees_no_key_that_signs() -> None:
    pod = restore_job()["spec"]["template"]["spec"]
    (claim,) = [it for it in pod["volumes"] if "persistentVolumeClaim" in it]
    assert claim["persistentVolumeClaim"]["readOnly"]
    assert "seal-key" not in {it["name"] for it in pod["volumes"]}


def test_the_network_lets_these_jobs_through_where_they_are_wanted_and_nowhere_else() -> None:
    plain = {it["metadata"]["name"] for it in build(context())}
    for spec, name in (
        ({"backup": TO_A_CLAIM}, "books-backup"),
        ({"bootstrap": {"restoreFrom": {"backup": "last"}}}, "books-restore"),
    ):
        built = build(context(spec))
        assert {it["metadata"]["name"] for it in built} - plain == {name}
        (policy,) = [it for it in built if (it["kind"], it["metadata"]["name"]) == ("NetworkPolicy", DATABASE)]
        assert f"'{name.removeprefix('books-')}'" in str(policy["spec"]["ingress"][0])
        assert [problem for it in built for problem in problems(it)] == []


def test_an_object_store_can_be_reached_and_a_claim_needs_no_way_out() -> None:
    for spec, types in ((TO_A_CLAIM, ["Ingress", "Egress"]), (TO_A_STORE, ["Ingress"])):
        (policy,) = [it for it in build(context({"backup": spec})) if it["metadata"]["name"] == "books-backup"]
        assert policy["spec"]["policyTypes"] == types


def test_the_definition_of_backups_has_a_short_name_columns_and_a_text_for_each_field() -> None:
    spec = crd.backup_manifest()["spec"]
    assert spec["names"]["shortNames"] == ["clb"]
    (version,) = spec["versions"]
    assert {"Ledger", "Phase", "Verified"} <= {it["name"] for it in version["additionalPrinterColumns"]}
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    for column in version["additionalPrinterColumns"][:6]:
        _, part, field = column["jsonPath"].split(".")[:3]
        assert field in properties[part]["properties"]
    assert properties["spec"]["properties"]["ledgerName"]["description"]
    assert problems(crd.backup_manifest()) == []
