"""The script that lets the status user see the nodes, run by a shell, with a client that plays each version."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from chronicle_contract.database_users import USERS
from chronicle_contract.labels import COMPONENT
from chronicle_ledger.store import roles
from chronicle_operator.resources import build, jobs
from support.ledger_specs import context

CLIENT = """\
#!/bin/sh
for it in "$@"; do said=${it#--execute=}; done
case "$said" in
  SHOW*) [ "$VERSION" = unreachable ] && exit 1; printf 'version\\n%s\\n' "$VERSION" ;;
  *) echo "$said" >> "$LOG"; case "$said" in *"$REFUSED"*) exit 1 ;; esac ;;
esac
"""


def granted(directory: Path, version: str, *, refused: str = "nothing at all") -> tuple[int, str]:
    """Return the script's exit status, and what it had executed."""
    client, log = directory / "client", directory / "log"
    client.write_text(CLIENT)
    client.chmod(0o755)
    log.touch()
    container = jobs.migration(context({"tls": {"mode": "Disabled"}}))["spec"]["template"]["spec"]["containers"][0]
    command = [*container["command"], f"{client} sql", *container["args"][1:]]
    environment = {"PATH": "/usr/bin:/bin", "VERSION": version, "LOG": str(log), "REFUSED": refused}
    done = subprocess.run(command, env=environment, check=False)
    return done.returncode, log.read_text()


@pytest.mark.parametrize("version", ["23.2", "24.1", "24.3-upgrading-to-25.1-step-004", "25.2"])
def test_from_23_2_on_the_status_user_may_look_at_the_cluster_and_nobody_is_admin(tmp_path: Path, version: str) -> None:
    status, executed = granted(tmp_path, version)
    assert status == 0
    assert "GRANT SYSTEM VIEWCLUSTERMETADATA TO chronicle_status; REVOKE admin FROM chronicle_status;" in executed
    assert "REVOKE admin FROM chronicle_api;" in executed
    assert "GRANT admin" not in executed


@pytest.mark.parametrize("version", ["20.1", "22.2", "23.1", "23.1-24"])
def test_before_it_alone_is_a_member_of_admin(tmp_path: Path, version: str) -> None:
    status, executed = granted(tmp_path, version)
    assert status == 0
    assert executed.count("GRANT admin") == 1
    assert "GRANT admin TO chronicle_status; REVOKE admin FROM chronicle_api;" in executed
    assert "SYSTEM" not in executed


@pytest.mark.parametrize("version", ["unreachable", "", "ERROR: no quorum"])
def test_a_version_that_is_not_known_grants_neither_and_fails(tmp_path: Path, version: str) -> None:
    status, executed = granted(tmp_path, version)
    assert status != 0
    assert "admin" not in executed


def test_a_grant_that_is_refused_is_a_failure_and_no_reason_for_a_greater_one(tmp_path: Path) -> None:
    status, executed = granted(tmp_path, "24.2", refused="GRANT SYSTEM")
    assert status != 0
    assert "GRANT admin" not in executed


def test_the_migration_grants_each_process_its_own_role_and_none_the_right_to_change_what_was_posted() -> None:
    job = jobs.migration(context({"tls": {"mode": "Disabled"}}))
    migrate = next(it for it in job["spec"]["template"]["spec"]["initContainers"] if it["name"] == "migrate")
    granted: dict[str, set[str]] = {}
    for it in migrate["args"][1:]:
        role, _, user = it.removeprefix("--grant=").partition("=")
        granted.setdefault(user, set()).add(role)
    assert granted == {user: set(own) for user, own in USERS.items() if own}
    for own in granted.values():
        rights = roles.rights(own)
        assert all(not rights.get(table, set()) & {"UPDATE", "DELETE"} for table in ("txn", "entry", "reversal"))


def test_each_process_comes_as_its_own_user_with_its_own_certificate() -> None:
    ledger = context({})
    deployments = [it for it in build(ledger) if it["kind"] == "Deployment"]
    pods = {it["metadata"]["labels"][COMPONENT]: it["spec"]["template"]["spec"] for it in deployments}
    assert set(pods) == {"api", "relay", "projector"}
    for component, pod in pods.items():
        named = {it["name"]: it["value"] for it in pod["containers"][0]["env"] if "DATABASE_URL" in it["name"]}
        users = {"CHRONICLE_DATABASE_URL": component}
        if component == "api":
            users |= {"CHRONICLE_PROOF_DATABASE_URL": "proof", "CHRONICLE_STATUS_DATABASE_URL": "status"}
        assert set(named) == set(users)
        mounted = {it["mountPath"]: it["name"] for it in pod["containers"][0]["volumeMounts"]}
        secrets = {it["name"]: it["secret"]["secretName"] for it in pod["volumes"] if "secret" in it}
        for variable, user in users.items():
            url = urlsplit(named[variable])
            assert url.username == f"chronicle_{user}"
            folder = parse_qs(url.query)["sslcert"][0].removesuffix("/client.crt")
            assert secrets[mounted[folder]] == f"books-cockroachdb-client-{user}"
        clients = {it for it in secrets.values() if "cockroachdb-client" in it}
        assert clients == {f"books-cockroachdb-client-{user}" for user in users.values()}, component


STDIN_CLIENT = """\
#!/bin/sh
for it in "$@"; do case "$it" in --execute=*) echo "${it#--execute=}" >> "$LOG"; exit 0 ;; esac; done
cat >> "$LOG"
"""


@pytest.mark.parametrize(
    ("content", "status"), [("crl-0-AbC+/=", 0), ("crl-0-AbC+/=\n", 0), ("x'; DROP DATABASE x", 1)]
)
def test_the_licence_is_read_from_its_file_and_reaches_the_client_on_its_standard_input(
    tmp_path: Path, content: str, status: int
) -> None:
    client, log, licence = tmp_path / "client", tmp_path / "log", tmp_path / "licence"
    client.write_text(STDIN_CLIENT)
    client.chmod(0o755)
    licence.write_text(content)
    ledger = context({"tls": {"mode": "Disabled"}, "cockroachdb": {"licenseSecretRef": {"name": "a", "key": "b"}}})
    container = jobs.migration(ledger)["spec"]["template"]["spec"]["initContainers"][0]
    shell, options, script, name = container["command"]
    command = [shell, options, script.replace(f"{jobs.LICENCE}/licence", str(licence)), name]
    done = subprocess.run(
        [*command, f"{client} sql", *container["args"][1:]], env={"PATH": "/usr/bin:/bin", "LOG": str(log)}, check=False
    )
    assert done.returncode == status
    executed = log.read_text()
    assert "CREATE DATABASE" in executed
    said = [it for it in executed.splitlines() if "enterprise.license" in it]
    assert said == ([] if status else ["SET CLUSTER SETTING enterprise.license = 'crl-0-AbC+/=';"])
