"""Each process of the compose stack comes to the database as its own user, and none as the administrator."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from chronicle_contract.database_users import USERS

STACK = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
API = {"chronicle_api", "chronicle_proof", "chronicle_status"}


def users_of(service: str) -> set[str]:
    """The users that the environment of a service names."""
    environment = STACK[service].get("environment", {})
    urls = [text for name, text in environment.items() if name.endswith("DATABASE_URL")]
    return {re.findall(r"postgresql://(\w+)@", url)[0] for url in urls}


def test_each_process_comes_to_the_database_as_its_own_user() -> None:
    serving = {name for name, service in STACK.items() if service.get("command", [""])[0] == "serve"}
    assert {name: users_of(name) for name in serving} == {
        "chronicle-api-1": API, "chronicle-api-2": API, "chronicle-api-3": API,
        "chronicle-relay": {"chronicle_relay"}, "chronicle-projector": {"chronicle_projector"},
    }  # fmt: skip
    assert {user for name in serving for user in users_of(name)} <= set(USERS)


def test_the_migration_alone_is_the_administrator_and_makes_the_users() -> None:
    assert [name for name in STACK if "root" in users_of(name)] == ["chronicle-migrate"]
    assert STACK["chronicle-migrate"]["command"] == ["migrate", "--users"]


def test_a_node_that_is_cut_off_is_the_only_one_that_its_region_asks() -> None:
    urls = [text for name, text in STACK["chronicle-api-3"]["environment"].items() if name.endswith("DATABASE_URL")]
    assert {url.partition("@")[2].partition("/")[0] for url in urls} == {"chronicle-cockroach-3:26257"}
