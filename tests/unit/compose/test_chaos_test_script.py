"""`scripts/chaos-test.sh` says what is missing, and hands every signal on to the engine, which heals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("bash", "sh", "env", "dirname", "mktemp", "mkdir", "rm", "sed", "tail", "cat")

DOCKER = """#!/bin/sh
case "$1 $2" in
  "compose config")
    [ -n "${CHRONICLE_PORT-}" ] || [ ! -e .env ] || . ./.env
    echo '{"name": "'${COMPOSE_PROJECT_NAME:-chronicle}'", "services": {"chronicle-lb": {"ports":'
    echo '[{"host_ip": "127.0.0.1", "published": "'${CHRONICLE_PORT:-8080}'"}]}}}' ;;
  "compose --profile") [ ! -e "$STATE/no-build" ] || { echo "no network" >&2; exit 1; }; : > "$STATE/helper" ;;
  "image inspect") [ -e "$STATE/helper" ] ;;
  "ps --all")
    [ ! -e "$STATE/no-stack" ] || exit 0
    case "$*" in *"project=${COMPOSE_PROJECT_NAME:-chronicle} "*) ;; *) exit 0 ;; esac
    for it in cockroach-1 cockroach-2 cockroach-3 nats-1 nats-2 nats-3 api-1 api-2 api-3 relay projector; do
      echo "chronicle-$it ${COMPOSE_PROJECT_NAME:-chronicle}-$it"
    done ;;
  "info "*) [ ! -e "$STATE/daemon-dead" ] ;;
  "version "*) echo 27.0 ;;
  "container inspect")
    [ ! -e "$STATE/no-stack" ] || { echo "no such container" >&2; exit 1; }
    if [ -e "$STATE/created-$3" ]; then running=false; status=created; rm "$STATE/created-$3"
    elif [ -e "$STATE/exited-$3" ]; then running=false; status=exited
    else running=true; status=running; fi
    echo '[{"State": {"Running": '$running', "Paused": false, "Status": "'$status'", "Pid": 1, "StartedAt": "then"},'
    echo '"NetworkSettings": {"Networks": {}}}]' ;;
  *) echo "nobody expected docker $*" >&2; exit 1 ;;
esac
"""

# Takes signals as the engine does: healing takes its time, and a second signal does not cut it short.
# What it is asked before the run is asked of the real one.
FIRST = """
if [ "$1" = compose-target ]; then exec {python} -c 'from chronicle_cli.main import main; main()' "$@"; fi
"""

ENGINE = """
import asyncio, signal, sys
async def main():
    heard, asked = [], asyncio.Event()
    def stop(number):
        heard.append(signal.Signals(number).name)
        asked.set()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    print("broken", *sys.argv[1:3], flush=True)
    await asyncio.wait_for(asked.wait(), 20)
    await asyncio.sleep(0.5)
    print("healed after", *heard, flush=True)
    sys.exit(1)
asyncio.run(main())
"""


class Health(BaseHTTPRequestHandler):
    """A load balancer whose ledger is well."""

    def do_GET(self) -> None:
        content = json.dumps({"status": "ok"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Where `/health` says ok."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


class Checkout:
    """A checkout with the script, a Docker and an engine that only say what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin, self.state = folder / "bin", folder / "state"
        venv = folder / ".venv/bin"
        for made in (self.bin, self.state, venv, folder / "scripts"):
            made.mkdir(parents=True)
        shutil.copy(ROOT / "scripts/chaos-test.sh", folder / "scripts")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.program(self.bin / "docker", DOCKER)
        self.program(venv / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        self.engine("exec {python} - \"$@\" 3<&0 <<'END'" + ENGINE + "END\n")

    def program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def engine(self, text: str) -> None:
        """Have a run do this."""
        whole = "#!/bin/sh" + FIRST + text
        self.program(self.folder / ".venv/bin/chronicle", whole.replace("{python}", sys.executable))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        def as_typed() -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)  # whatever these tests were started with

        return subprocess.Popen(
            [str(self.folder / "scripts/chaos-test.sh"), *arguments],
            env={"PATH": str(self.bin), "STATE": str(self.state), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=as_typed,  # noqa: PLW1509 - it takes no lock that a thread may hold
        )  # fmt: skip

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        script = self.start(*arguments, **environment)
        out, error = script.communicate(timeout=60)
        return script.returncode, out + error


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """In a temporary folder."""
    return Checkout(tmp_path)


def test_without_docker_it_says_what_to_install(checkout: Checkout) -> None:
    (checkout.bin / "docker").unlink()
    status, said = checkout.run()
    assert status == 2
    assert "install Docker, or run `make demo`" in said


def test_without_a_daemon_it_says_what_to_start(checkout: Checkout) -> None:
    (checkout.state / "daemon-dead").touch()
    status, said = checkout.run()
    assert status == 2
    assert "the Docker daemon does not answer; start it" in said


def test_without_a_stack_it_says_how_to_get_one(checkout: Checkout) -> None:
    (checkout.state / "no-stack").touch()
    status, said = checkout.run()
    assert status == 2
    assert "run: docker compose up -d" in said


def test_a_container_that_has_ended_is_named_at_once(checkout: Checkout) -> None:
    (checkout.state / "exited-chronicle-nats-1").touch()
    status, said = checkout.run()
    assert status == 2
    assert "chronicle-nats-1 does not run; run: docker compose up -d" in said


@pytest.mark.parametrize(
    "line", ["CHRONICLE_PORT={}", "export CHRONICLE_PORT='{}' # mine", 'OTHER=1\nCHRONICLE_PORT="{}"\nLAST=1']
)
def test_the_port_is_the_one_that_compose_takes_from_the_same_file(checkout: Checkout, port: int, line: str) -> None:
    (checkout.folder / ".env").write_text(line.format(port) + "\n")
    (checkout.state / "created-chronicle-api-3").touch()  # whose turn comes in a moment
    (checkout.state / "helper").touch()
    checkout.engine('cat "$4"\n')
    status, said = checkout.run()
    assert status == 0, said
    assert json.loads(said)["url"] == f"http://127.0.0.1:{port}"


def test_the_environment_goes_before_the_file(checkout: Checkout, port: int) -> None:
    (checkout.folder / ".env").write_text("CHRONICLE_PORT=1\n")
    checkout.engine("exit 3\n")
    (checkout.state / "helper").touch()
    assert checkout.run(CHRONICLE_PORT=str(port)) == (3, "")


def test_the_project_is_the_one_that_compose_is_told(checkout: Checkout, port: int) -> None:
    checkout.engine('cat "$4"\n')
    (checkout.state / "helper").touch()
    status, said = checkout.run(CHRONICLE_PORT=str(port), COMPOSE_PROJECT_NAME="second")
    assert status == 0, said
    assert json.loads(said)["details"] == {"project": "second"}


def test_what_cuts_regions_apart_is_built_before_anything_is_broken(checkout: Checkout, port: int) -> None:
    checkout.engine('cat "$4"\n')
    (checkout.state / "no-build").touch()
    status, said = checkout.run(CHRONICLE_PORT=str(port))
    assert status == 2
    assert "chronicle-cut:dev cannot be built (no network); run `make image`" in said
    (checkout.state / "no-build").unlink()
    status, said = checkout.run(CHRONICLE_PORT=str(port))
    assert status == 0, said
    assert said.count("building chronicle-cut:dev") == 1


SIGNALS: dict[str, Callable[[int], None]] = {
    "Ctrl-C in its terminal": lambda pid: os.killpg(pid, signal.SIGINT),
    "SIGINT": lambda pid: os.kill(pid, signal.SIGINT),
    "SIGTERM": lambda pid: os.kill(pid, signal.SIGTERM),
    "SIGHUP": lambda pid: os.kill(pid, signal.SIGHUP),
}


@pytest.mark.parametrize("how", SIGNALS)
def test_it_waits_until_the_engine_has_healed_however_it_is_stopped(checkout: Checkout, port: int, how: str) -> None:
    script = checkout.start("api-crash", CHRONICLE_PORT=str(port))
    assert script.stdout is not None
    assert script.stdout.readline() == "broken scenario run\n"
    SIGNALS[how](script.pid)
    out, error = script.communicate(timeout=30)
    name = how if how.startswith("SIG") else "SIGINT"
    assert out == f"healed after {name}\n", error
    assert script.returncode == 1, "the engine's own exit status"
    assert list((checkout.folder / "runs").iterdir()) == []


def test_asking_twice_to_stop_does_not_cut_the_healing_short(checkout: Checkout, port: int) -> None:
    script = checkout.start(CHRONICLE_PORT=str(port))
    assert script.stdout is not None
    script.stdout.readline()
    script.send_signal(signal.SIGTERM)
    time.sleep(0.1)  # apart, or bash makes one signal of them
    script.send_signal(signal.SIGINT)
    out, _ = script.communicate(timeout=30)
    assert set(out.split()) == {"healed", "after", "SIGTERM", "SIGINT"}
    assert script.returncode == 1


def test_stopped_before_anything_was_broken_it_is_aborted(checkout: Checkout) -> None:
    checkout.program(
        checkout.folder / ".venv/bin/chronicle",
        f'#!/bin/sh\necho waiting\nexec {sys.executable} -c "import time; time.sleep(30)"\n',
    )
    script = checkout.start()
    assert script.stdout is not None
    script.stdout.readline()
    script.send_signal(signal.SIGTERM)
    out, _ = script.communicate(timeout=30)
    assert (script.returncode, out) == (3, "")
    assert list((checkout.folder / "runs").iterdir()) == []
