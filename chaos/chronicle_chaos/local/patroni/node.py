"""One node, which lives and dies as a whole: a member of etcd, Patroni, and the PostgreSQL that Patroni keeps.

Run as `python -m chronicle_chaos.local.patroni.node FILE`, where FILE is JSON (see `Orders`). Where the system allows
it, all are in a PID namespace that ends with this process. Elsewhere a reaper ends what this process leaves behind.
Little is imported here: there are three of these, beside each other for as long as the ledger is up.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypedDict

LOOPBACK = "127.0.0.1"
PAUSE = 0.05
ASK_SECONDS = 1.0
CHANGE_SUBREAPER = 36
PARTS = ("etcd", "patroni.yml", "data")
"""Of the files in the home, those that the commands of etcd, Patroni and PostgreSQL name as an argument."""


class Orders(TypedDict):
    """What to run. `home` holds the node's data, `client` is the port of its etcd."""

    home: str
    client: int
    namespace: bool
    etcd: Sequence[str]
    patroni: Sequence[str]
    etcd_environment: Mapping[str, str]
    patroni_environment: Mapping[str, str]


class Stopped(BaseException):
    """SIGTERM came. What is on disk is safe, so the end needs no order."""


def main() -> None:
    """Run the node of the file that the first argument names, until it is told to stop or a part of it ends."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs a megabyte, as others here do
        orders: Orders = json.load(file)
    if orders["namespace"]:
        from chronicle_chaos.local.patroni.namespace import fork_inside

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        if child := fork_inside():
            _follow(child)
    else:
        _leave_a_reaper(orders)
    sys.exit(_run(orders))


def _follow(child: int) -> None:
    """Pass SIGTERM on, and end as the child does."""
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _, status = os.waitpid(child, 0)
    os._exit(max(0, os.waitstatus_to_exitcode(status)))


def _run(orders: Orders) -> int:
    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # The whole node died before this one began: no server is left whose file this could be.
    with suppress(FileNotFoundError):
        os.unlink(f"{orders['home']}/data/postmaster.pid")  # noqa: PTH108 - as above
    children: list[subprocess.Popen[bytes]] = []
    try:
        etcd = _start(orders["etcd"], orders["etcd_environment"], f"{orders['home']}/etcd.log")
        children.append(etcd)
        # Patroni ends for good where the version of the cluster is not decided yet.
        while not _decided(orders["client"]):
            if etcd.poll() is not None:
                return _ended("etcd", etcd)
            time.sleep(PAUSE)
        patroni = _start(orders["patroni"], orders["patroni_environment"], f"{orders['home']}/patroni.log")
        children.append(patroni)
        return _until_one_ends({"etcd": etcd, "patroni": patroni})
    except Stopped:
        return 0
    finally:
        for child in children:
            child.kill()


def _start(arguments: Sequence[str], environment: Mapping[str, str], log: str) -> subprocess.Popen[bytes]:
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        return subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, close_fds=True
        )


def _until_one_ends(parts: dict[str, subprocess.Popen[bytes]]) -> int:
    """Wait for the end of a part, and meanwhile for that of PostgreSQL's orphans, which are adopted here."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return 1
        for name, part in parts.items():
            if part.pid == pid:
                part.returncode = os.waitstatus_to_exitcode(status)
                return _ended(name, part)


def _ended(name: str, part: subprocess.Popen[bytes]) -> int:
    print(f"{name} ended with {part.returncode}; its log is beside this one", file=sys.stderr, flush=True)  # noqa: T201
    return 1


def _decided(port: int) -> bool:
    question = b"GET /version HTTP/1.0\r\n\r\n"
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ASK_SECONDS) as connection:
            connection.sendall(question)
            answer = b"".join(iter(lambda: connection.recv(1 << 12), b""))
    except OSError:
        return False
    return b'"etcdcluster"' in answer and b"not_decided" not in answer


def _leave_a_reaper(orders: Orders) -> None:
    """Fork a process that kills what this one leaves behind. It holds the node's lock, so a successor waits for it."""
    lock = os.open(f"{orders['home']}/node.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    alive, end = os.pipe()
    if os.fork():
        os.close(alive)
        os.close(lock)
        if sys.platform.startswith("linux"):
            import ctypes

            ctypes.CDLL(None).prctl(CHANGE_SUBREAPER, 1)
        return
    os.setsid()
    os.close(end)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _reap(orders, alive)
    os._exit(0)


def _reap(orders: Orders, alive: int) -> None:
    """Wait until the node has died, then kill its parts. An orphan cannot be told by its parent any more, so what
    belongs to the node is told by its command, of which one argument is a file or folder of the node."""
    os.read(alive, 1)  # nothing is ever written: this is the end of the node
    import psutil

    files = {f"{orders['home']}/{name}" for name in PARTS}
    while True:
        ours: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if not files.isdisjoint(process.cmdline()):
                    ours += [process, *process.children(recursive=True)]
        ours = [process for process in ours if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        if not ours:
            return
        for process in ours:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
