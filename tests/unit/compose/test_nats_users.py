"""The compose stack's servers know a user for each process, with the rights that it was tested with."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from chronicle_chaos.local.binaries import find_nats
from chronicle_ledger.events import permissions

ROOT = Path(__file__).parents[3]
STACK = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def test_each_process_comes_as_its_own_user() -> None:
    users = {
        name: set(re.findall(r"nats://(\w+):", service["environment"]["CHRONICLE_NATS_URLS"]))
        for name, service in STACK.items()
        if service.get("command", [""])[0] == "serve"
    }
    assert users == {
        "chronicle-api-1": {"api"}, "chronicle-api-2": {"api"}, "chronicle-api-3": {"api"},
        "chronicle-relay": {"relay"}, "chronicle-projector": {"projector"},
    }  # fmt: skip


def test_the_servers_take_their_configuration_and_have_every_password() -> None:
    folder = ROOT / "deploy" / "compose"
    assert (folder / "nats-users.conf").read_text(encoding="utf-8") == permissions.configuration()
    passwords = STACK["chronicle-nats-1"]["environment"]
    assert set(passwords) == {permissions.password_variable(user) for user in permissions.USERS}
    given = {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text) for name, text in passwords.items()}
    checked = subprocess.run(
        [str(find_nats()), "-t", "-c", str(folder / "nats.conf"), "--name", "n"],
        env={**os.environ, **given}, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
