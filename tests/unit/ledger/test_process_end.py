"""A process that was told to end ends, whatever a thread of it is still waiting for."""

from __future__ import annotations

import signal
import subprocess
import sys

LOOKING_UP_SECONDS = 60
ROLE = f"""
import asyncio, sys, time
from chronicle_ledger import logs, process
from chronicle_ledger.settings import Settings

class Role:
    name = "looks-up"
    ending = asyncio.Event()
    async def start(self):
        # As a look-up in a thread of the loop, while the name server is silent.
        asyncio.get_running_loop().run_in_executor(None, time.sleep, {LOOKING_UP_SECONDS})
    async def run(self):
        print("running", flush=True)
        await self.ending.wait()
        if "--fail" in sys.argv:
            raise RuntimeError("the role has failed")
    async def ready(self): return None
    async def drain(self, seconds): self.ending.set()
    async def stop(self): print("stopped")  # into a pipe, so it is still in the buffer when the process ends

async def app(scope, receive, send): ...

logs.configure()
settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing", listen_port=0)
process.run(settings, Role(), app, process.Lifecycle())
"""


def ended(*arguments: str) -> tuple[int, str]:
    """The exit status of a role that was told to end, and what it printed. Fails where it does not end."""
    with subprocess.Popen(
        [sys.executable, "-c", ROLE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGTERM)
        try:
            said, _ = process.communicate(timeout=LOOKING_UP_SECONDS / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, said


def test_a_thread_that_waits_for_a_name_server_does_not_keep_a_process_from_ending() -> None:
    status, said = ended()
    assert status == 0
    assert "stopped" in said


def test_a_failed_role_ends_with_status_1_all_the_same() -> None:
    status, said = ended("--fail")
    assert status == 1
    assert "stopped" in said
