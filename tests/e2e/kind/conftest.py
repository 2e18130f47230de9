"""One kind cluster for the whole session: made, filled, shared by the tests in file order, and taken down.

`KEEP=1` keeps it. When a test fails, everything worth reading is collected at once in `runs/e2e/<test>/`, before later
tests change what there is to see.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from .evidence import collect
from .machine import Kubectl, run, until
from .resilience import workers
from .world import CHAOS_MESH_CHART, CLUSTER, IMAGE, NODE_IMAGE, OPERATOR_NAMESPACE, ROOT, SABOTAGED, Ledger, World

NODES = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
  labels: {topology.kubernetes.io/region: region-a, topology.kubernetes.io/zone: region-a-1}
- role: worker
  labels: {topology.kubernetes.io/region: region-a, topology.kubernetes.io/zone: region-a-2}
- role: worker
  labels: {topology.kubernetes.io/region: region-b, topology.kubernetes.io/zone: region-b-1}
"""
NEEDED = ("docker", "kind", "kubectl", "helm")
COLLECTED_AT_MOST = 4
"""Failures whose evidence is collected: each takes its time, and the later ones mostly follow from the first."""


@dataclass
class _Session:
    """The cluster of this session, once there is one, and how many failures have been looked at."""

    tool: Kubectl | None = None
    collected: int = 0


_session = _Session()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the evidence of a failure while it can be seen."""
    if report.failed and _session.tool is not None and _session.collected < COLLECTED_AT_MOST:
        _session.collected += 1
        test = report.nodeid.rpartition("::")[2].partition("[")[0]
        # The timer of a test runs on here. What it raises would end the session, and the tests after this one.
        with contextlib.suppress(pytest.fail.Exception):
            collect(_session.tool, ROOT / "runs" / "e2e" / test)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that the documentation quotes."""
    figures = World.figures
    if figures:
        terminalreporter.section("figures of this run")
        for key, value in figures.items():
            terminalreporter.write_line(f"{key:45} {value}")


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Return a cluster with the project's image and Chaos Mesh in it."""
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        pytest.exit(f"`make e2e` needs {', '.join(missing)} on PATH", returncode=2)
    kept = os.environ.get("CHRONICLE_E2E_KUBECONFIG")
    if kept:  # a cluster that somebody keeps for development
        tool = Kubectl(Path(kept))
        yield tool
        tool.close()
        return
    directory = tmp_path_factory.mktemp("kind")
    (directory / "nodes.yaml").write_text(NODES)
    tool = Kubectl(directory / "kubeconfig")
    image = ["--image", NODE_IMAGE] if NODE_IMAGE else []
    began = time.monotonic()
    build_sabotaged(directory)
    run("kind", "delete", "cluster", "--name", CLUSTER)
    run(
        *("kind", "create", "cluster", "--name", CLUSTER, "--config", str(directory / "nodes.yaml"), *image),
        *("--kubeconfig", str(tool.kubeconfig), "--wait", "180s"),
        seconds=420,
    )
    _session.tool = tool
    try:
        with ThreadPoolExecutor() as both:
            for done in [both.submit(install_chaos_mesh, tool), both.submit(load_images)]:
                done.result()
        World.figures["cluster with Chaos Mesh, s"] = f"{time.monotonic() - began:.0f}"
        yield tool
    except BaseException:
        collect(tool, ROOT / "runs" / "e2e" / "setup")
        raise
    finally:
        _session.tool = None
        tool.close()
        if not os.environ.get("KEEP"):
            run("kind", "delete", "cluster", "--name", CLUSTER)


def build_sabotaged(directory: Path) -> None:
    """Build the image for the negative control, a layer on top of the one under test."""
    (directory / "Dockerfile").write_text(
        f"FROM {IMAGE}\nENV CHRONICLE_SABOTAGE=idempotency CHRONICLE_SABOTAGE_ALLOWED=yes-this-ledger-is-a-test\n"
    )
    run("docker", "build", "--tag", SABOTAGED, str(directory))


def load_images() -> None:
    """Copy the images to the workers; the control plane runs none of our pods, and a copy takes its time."""
    images = (IMAGE, SABOTAGED)  # together, so that the layers which they share travel once
    run("kind", "load", "docker-image", *images, "--name", CLUSTER, "--nodes", ",".join(workers()), seconds=400)


def install_chaos_mesh(tool: Kubectl) -> None:
    """Install Chaos Mesh for containerd, without what the scenarios do not use."""
    source = [CHAOS_MESH_CHART] if Path(CHAOS_MESH_CHART).exists() else ["chaos-mesh", "--repo", CHAOS_MESH_CHART]
    settings = (
        "chaosDaemon.runtime=containerd,chaosDaemon.socketPath=/run/containerd/containerd.sock,"
        "dashboard.create=false,dnsServer.create=false,controllerManager.replicaCount=1"
    )
    tool.helm("install", "chaos-mesh", *source, "-n", "chaos-mesh", "--create-namespace", "--set", settings)


@pytest.fixture(scope="session")
def world(kubectl: Kubectl) -> World:
    """Return the operator, installed by its chart, and a namespace for the first ledger."""
    world = World(kubectl)
    if os.environ.get("CHRONICLE_E2E_OPERATOR") == "present":  # development: somebody runs it by other means
        return world
    world.install_operator()
    until(
        "the operator is available",
        lambda: kubectl(
            "-n", OPERATOR_NAMESPACE, "wait", "deploy", "--all", "--for=condition=Available", "--timeout=90s"
        ),
        seconds=120,
    )
    return world


@pytest.fixture
def first(world: World) -> Ledger:
    """Return the two-regions ledger that `test_1_ready` applies; fails at once when it is not there."""
    ledger = Ledger("ledger-a", "two-regions", world.kubectl)
    ledger.object()
    return ledger


@pytest.fixture
def second(world: World) -> Ledger:
    """Return the minimal ledger that `test_6_neighbours` applies."""
    ledger = Ledger("ledger-b", "minimal", world.kubectl)
    ledger.object()
    return ledger
