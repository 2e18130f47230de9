"""The original two commands, on the real stack: up, the five scenarios, and what must not pass."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from chronicle_chaos.injectors.compose.docker import Docker
from chronicle_chaos.injectors.compose.injector import ComposeInjector
from chronicle_chaos.injectors.compose.names import compose_target
from chronicle_chaos.run.engine import run_all
from chronicle_chaos.run.options import RunOptions, new_run
from chronicle_chaos.scenarios.catalogue import NAMES
from chronicle_chaos.scenarios.cockroach_node_failure import SCENARIO as NODE_FAILURE
from chronicle_chaos.scenarios.scenario import Deadlines

from .conftest import Stack

pytestmark = pytest.mark.timeout(1500)
COMPOSE_MD = Path(__file__).parents[3] / "docs/compose.md"
BYSTANDER = "chronicle-bystander"


def test_only_the_load_balancer_is_published_and_only_on_loopback(stack: Stack) -> None:
    names = stack.run("docker", "ps", "--filter", "label=com.docker.compose.project=chronicle", "--format",
                      "{{.Names}} {{.Ports}}").stdout.splitlines()  # fmt: skip
    published = [line for line in names if "->" in line]
    assert len(published) == 1
    assert published[0].startswith("chronicle-lb 127.0.0.1:")


def test_the_images_processes_are_not_root_and_cannot_write(stack: Stack) -> None:
    ids = stack.run("docker", "exec", "chronicle-api-1", "id", "-u")
    assert ids.stdout.strip() == "10001"
    written = stack.run("docker", "exec", "chronicle-api-1", "python", "-c", "open('/opt/chronicle/x', 'w')")
    assert "Read-only file system" in written.stderr


def test_the_load_balancer_leads_to_each_instance(stack: Stack) -> None:
    for number, region in ((1, "region-a"), (2, "region-a"), (3, "region-b")):
        told = httpx.get(f"{stack.url}/instances/chronicle-api-{number}/health", timeout=10).json()
        assert (told["instance"], told["region"]) == (f"chronicle-api-{number}", region)


def test_a_database_node_stopped_by_hand_shows_in_health(stack: Stack) -> None:
    stack.wait_for("ok", 120)
    stack.run("docker", "stop", "--time", "5", "chronicle-cockroach-2")
    try:
        stack.wait_for("degraded", 60)
    finally:
        stack.run("docker", "start", "chronicle-cockroach-2")
    stack.wait_for("ok", 180)


def test_an_instance_that_is_dead_is_502_by_itself_and_unnoticed_through_the_balancer(stack: Stack) -> None:
    stack.run("docker", "kill", "chronicle-api-1")
    try:
        dead = httpx.get(f"{stack.url}/instances/chronicle-api-1/livez", timeout=10)
        assert (dead.status_code, dead.json()["code"]) == (502, "instance_unreachable")
        for _ in range(20):
            assert httpx.get(f"{stack.url}/health", timeout=10).status_code == 200
    finally:
        stack.run("docker", "start", "chronicle-api-1")
    stack.wait_for("ok", 60)


def test_the_commands_of_the_documents_table_do_what_it_says(stack: Stack) -> None:
    stack.wait_for("ok", 120)
    rows = re.findall(r"^\| `docker \w+ [\w-]+` \| `(docker [^`]+)` \| `(\w+)`", COMPOSE_MD.read_text(), re.MULTILINE)
    assert len(rows) == 6
    try:
        for command, says in rows:
            done = stack.run(*command.split())
            assert done.returncode == 0, f"{command}: {done.stderr}"
            stack.wait_for(says, 180)
    finally:
        stack.run("docker", "compose", "start")


def test_a_second_stack_has_no_name_in_common_with_the_first(stack: Stack) -> None:
    names = {"COMPOSE_PROJECT_NAME": "chronicle-second", "CHRONICLE_PORT": "0"}
    second = replace(stack, environment={**stack.environment, **names})
    try:
        up = second.run("docker", "compose", "up", "-d", "chronicle-nats-1")
        assert up.returncode == 0, up.stderr
        both = second.run("docker", "ps", "--format", "{{.Names}}").stdout.split()
        assert {"chronicle-nats-1", "chronicle-second-nats-1"} <= set(both)
    finally:
        down = second.run("docker", "compose", "down", "-v", "--timeout", "5")
    assert down.returncode == 0, down.stderr
    assert stack.health().get("status") == "ok"


def test_the_five_scenarios_pass(stack: Stack, tmp_path: Path) -> None:
    done = stack.run("./scripts/chaos-test.sh", "--seed", "7", "--runs", str(tmp_path), seconds=1200)
    journal = json.loads((tmp_path / "latest" / "journal.json").read_text())
    verdicts = {s["name"]: (s["verdict"], s["message"]) for s in journal["scenarios"]}
    assert {name: verdict for name, (verdict, _) in verdicts.items()} == dict.fromkeys(NAMES, "Passed"), verdicts
    assert all(s["faultConfirmed"] and s["evidence"] for s in journal["scenarios"])
    assert all(s["cleanup"]["result"] == "Clean" for s in journal["scenarios"])
    assert done.returncode == 0
    assert (tmp_path / "latest" / "report.html").exists()


class PausesABystander(Docker):
    """Pauses a container that has nothing to do with the ledger, instead of killing a database node."""

    async def do(self, service: str, *command: str) -> None:
        if command[0] == "kill":
            await self.call("pause", BYSTANDER)
        else:
            await Docker.do(self, service, *command)


async def test_a_pause_that_hits_nothing_is_inconclusive(stack: Stack, tmp_path: Path) -> None:
    await asyncio.to_thread(stack.wait_for, "ok", 120.0)
    image = stack.environment.get("IMAGE", "chronicle-ledger:dev")
    made = stack.run("docker", "run", "-d", "--rm", "--name", BYSTANDER, "--entrypoint", "python", image, "-c",
                     "import time; time.sleep(600)")  # fmt: skip
    assert made.returncode == 0, made.stderr
    try:
        scenario = replace(NODE_FAILURE, deadlines=Deadlines(prove=6.0))
        journal = await run_all(
            compose_target(stack.url),
            ComposeInjector(PausesABystander()),
            [scenario],
            RunOptions(seed=7, rate=20),
            new_run(tmp_path),
        )
    finally:
        stack.run("docker", "rm", "-f", BYSTANDER)
    record = journal.scenarios[0]
    assert (record.verdict, record.reason) == ("Inconclusive", "FaultUnproven"), record.message
    assert not record.fault_confirmed
    assert journal.exit_status == 3
