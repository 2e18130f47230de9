"""One user of the bus per process: its own rights, and a password that no other pod has."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from chronicle_ledger.events import permissions
from chronicle_operator.resources import build, names, nats_permissions
from support.ledger_specs import context


def test_the_servers_of_a_ledger_know_the_rights_that_the_processes_were_tested_with() -> None:
    assert {name: asdict(may) for name, may in nats_permissions.USERS.items()} == {
        name: asdict(may) for name, may in permissions.USERS.items()
    }
    assert set(permissions.USERS) == {names.NATS_USER, *names.NATS_ROLES}


@pytest.mark.parametrize("role", names.NATS_ROLES)
def test_a_pod_has_the_password_of_its_own_user_alone(role: str) -> None:
    ledger = context()
    (pods,) = [
        it for it in build(ledger)
        if it["kind"] == "Deployment" and it["metadata"]["labels"]["app.kubernetes.io/component"] == role
    ]  # fmt: skip
    text = json.dumps(pods)
    assert f'{{"name": "CHRONICLE_NATS_USER", "value": "{role}"}}' in text
    for name in names.nats_passwords(ledger.name):
        assert (f'"secretName": "{name}"' in text) == (name == names.nats_password(ledger.name, role))
    template = pods["spec"]["template"]["metadata"]["annotations"]
    assert template[f"ledger.chronicle.dev/hash-nats-auth-{role}"], "a new password replaces the pods"


def test_the_user_of_the_version_before_stays_so_that_its_pods_work_until_they_are_replaced() -> None:
    (config,) = [it for it in build(context()) if it["kind"] == "ConfigMap" and "nats.conf" in it["data"]]
    text = config["data"]["nats.conf"]
    assert '{user: "chronicle", password: $NATS_PASSWORD,' in text
    for role in names.NATS_ROLES:
        assert f'{{user: "{role}", password: $NATS_PASSWORD_{role.upper()},' in text
    assert text.count("STREAM.PURGE") == text.count("MSG.DELETE") == text.count("STREAM.DELETE") == 0
