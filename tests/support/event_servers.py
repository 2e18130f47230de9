"""Three real NATS servers with JetStream, to be killed, started again, and robbed of their data."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from chronicle_chaos.local.binaries import find_nats
from chronicle_chaos.local.ports import free_port
from support.ledger_servers import start

CONFIG = """
server_name: n{number}
listen: 127.0.0.1:{client}
http: 127.0.0.1:{monitor}
jetstream {{ store_dir: "{folder}", sync_interval: always }}
cluster {{ name: tests, listen: 127.0.0.1:{route}, no_advertise: true, routes: [{routes}] }}
"""


class NatsCluster:
    """Three servers; each is a process of its own. `kill` is SIGKILL.

    `own_routes`: each lists its own route too, as it should, and so knows how many they are.
    """

    def __init__(self, *, own_routes: bool = True) -> None:
        self.own_routes = own_routes
        self.folder = Path(tempfile.mkdtemp(prefix="chronicle-nats-"))
        self.clients = [free_port() for _ in range(3)]
        self.monitors = [free_port() for _ in range(3)]
        self._routes = [free_port() for _ in range(3)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients connect."""
        return tuple(f"nats://127.0.0.1:{port}" for port in self.clients)

    def start(self, *numbers: int) -> None:
        """Start servers (default: all)."""
        for number in numbers or range(3):
            others = [it for it in self._routes if self.own_routes or it != self._routes[number]]
            routes = ", ".join(f"nats://127.0.0.1:{port}" for port in others)
            config = self.folder / f"n{number}.conf"
            config.write_text(
                CONFIG.format(
                    number=number, client=self.clients[number], monitor=self.monitors[number],
                    route=self._routes[number], routes=routes, folder=self.folder / f"data{number}",
                )
            )  # fmt: skip
            with (self.folder / f"n{number}.log").open("ab") as log:
                self._processes[number] = start([str(find_nats()), "-c", str(config)], log)

    def kill(self, *numbers: int) -> None:
        """Kill servers (default: all) and wait for their end."""
        for number in numbers or range(3):
            self._processes[number].send_signal(signal.SIGKILL)
        for number in numbers or range(3):
            self._processes[number].wait(10)

    def lose_data(self, *numbers: int) -> None:
        """Delete what JetStream has stored on servers (default: all); they must not run."""
        for number in numbers or range(3):
            shutil.rmtree(self.folder / f"data{number}", ignore_errors=True)

    def wait_ready(self, seconds: float = 30) -> None:
        """Wait until JetStream has a leader and every server says that it is healthy."""
        ends = time.monotonic() + seconds
        while not self._ready():
            if time.monotonic() > ends:
                pytest.fail(f"the NATS servers in {self.folder} are not ready within {seconds:g} s")
            time.sleep(0.05)

    def _ready(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            for port in self.monitors:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
                    if json.load(answer).get("status") != "ok":
                        return False
            return all(self.meta_cluster(number).get("leader") for number in range(3))
        return False

    def meta_cluster(self, number: int) -> dict[str, Any]:
        """What a server says of the cluster of which it takes itself to be a part. Raises OSError, ValueError."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitors[number]}/jsz", timeout=1) as answer:
            said: dict[str, Any] = json.load(answer).get("meta_cluster", {})
            return said

    def number_of(self, name: str) -> int:
        """Which server has this name."""
        return int(name.removeprefix("n"))

    def close(self) -> None:
        """Kill what runs and delete everything."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(10)
        if os.environ.get("CHRONICLE_TEST_KEEP") is None:
            shutil.rmtree(self.folder, ignore_errors=True)
