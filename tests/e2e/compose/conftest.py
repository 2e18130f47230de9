"""The compose stack, up for the session on a free port, and gone after it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]
HEALTHY_SECONDS = 180.0
"""The stack is well within 60 s on a machine of its own; this one may be shared."""


@dataclass(frozen=True)
class Stack:
    """A running stack. `healthy_after` is how many seconds it took from `up` to `/health` ok."""

    url: str
    environment: Mapping[str, str]
    healthy_after: float

    def run(self, *command: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, with the stack's environment."""
        return subprocess.run(
            command, cwd=ROOT, env=dict(self.environment), capture_output=True, text=True, timeout=seconds, check=False
        )

    def health(self) -> Mapping[str, Any]:
        """What `/health` says; empty where nobody answers."""
        try:
            return dict(httpx.get(f"{self.url}/health", timeout=5).json())
        except (httpx.HTTPError, ValueError):
            return {}

    def wait_for(self, status: str, seconds: float) -> float:
        """Wait until `/health` says so; returns how long it took."""
        began = time.monotonic()
        last: Mapping[str, Any] = {}
        while time.monotonic() < began + seconds:
            last = self.health()
            if last.get("status") == status:
                return time.monotonic() - began
            time.sleep(0.3)
        raise AssertionError(f"/health did not say {status} within {seconds:g} s; last: {last}")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """`docker compose up -d`; afterwards `down -v`, and a look that nothing is left."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("Docker does not answer")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "CHRONICLE_PORT": str(port)}
    compose = ["docker", "compose"]
    began = time.monotonic()
    made = Stack(f"http://127.0.0.1:{port}", environment, 0.0)
    try:
        up = made.run(*compose, "up", "-d", seconds=600)
        assert up.returncode == 0, up.stderr[-2000:]
        made.wait_for("ok", HEALTHY_SECONDS)
        yield Stack(made.url, environment, time.monotonic() - began)
    finally:
        down = made.run(*compose, "down", "-v", "--timeout", "5", seconds=180)
    assert down.returncode == 0, down.stderr[-2000:]
    for kind in (["ps", "-a", "-q"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        left = made.run("docker", *kind, "--filter", "label=com.docker.compose.project=chronicle")
        assert left.stdout == "", f"docker {kind[0]}: something is left"
