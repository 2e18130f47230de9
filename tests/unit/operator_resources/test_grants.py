"""The script that grants the API's user its rights, run by a shell, with a client that plays each version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chronicle_operator.resources import jobs
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
    container = jobs.migration(context({"tls": {"mode": "Disabled"}}))["spec"]["template"]["spec"]["containers"][0]
    command = [*container["command"], f"{client} sql", *container["args"][1:]]
    environment = {"PATH": "/usr/bin:/bin", "VERSION": version, "LOG": str(log), "REFUSED": refused}
    done = subprocess.run(command, env=environment, check=False)
    return done.returncode, log.read_text()


@pytest.mark.parametrize("version", ["22.2", "23.1", "24.3-upgrading-to-25.1-step-004", "25.2"])
def test_from_22_2_on_the_api_may_look_at_the_cluster_and_is_no_admin_any_longer(tmp_path: Path, version: str) -> None:
    status, executed = granted(tmp_path, version)
    assert status == 0
    assert "GRANT SYSTEM VIEWCLUSTERMETADATA TO chronicle_api; REVOKE admin FROM chronicle_api;" in executed
    assert "GRANT admin" not in executed


@pytest.mark.parametrize("version", ["20.1", "21.2", "22.1", "22.1-24"])
def test_before_it_is_a_member_of_admin(tmp_path: Path, version: str) -> None:
    status, executed = granted(tmp_path, version)
    assert status == 0
    assert "GRANT admin TO chronicle_api;" in executed
    assert "SYSTEM" not in executed


@pytest.mark.parametrize("version", ["unreachable", "", "ERROR: no quorum"])
def test_a_version_that_is_not_known_grants_neither_and_fails(tmp_path: Path, version: str) -> None:
    status, executed = granted(tmp_path, version)
    assert status != 0
    assert "admin" not in executed


@pytest.mark.parametrize("refused", ["GRANT SYSTEM", "GRANT SELECT"])
def test_a_grant_that_is_refused_is_a_failure_and_no_reason_for_a_greater_one(tmp_path: Path, refused: str) -> None:
    status, executed = granted(tmp_path, "24.2", refused=refused)
    assert status != 0
    assert "GRANT admin" not in executed
