"""Free ports: different, free, and never those of outgoing connections."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chronicle_chaos.local import ports


def test_ports_differ_and_may_be_listened_on() -> None:
    found = ports.free_ports(30)
    assert len(set(found)) == 30
    for port in found:
        with socket.socket() as server:
            server.bind((ports.LOOPBACK, port))


def test_no_port_is_one_that_an_outgoing_connection_may_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "ip_local_port_range"
    settings.write_text("20000\t60999\n")
    monkeypatch.setattr(ports, "EPHEMERAL_RANGE", settings)
    assert max(ports.free_ports(100)) < 20_000
    settings.write_text("1024\t60999\n")
    assert len(ports.candidates()) > 30_000, "a machine that leaves none below still gets ports"


def test_a_port_that_is_taken_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "candidates", lambda: range(port, port + 1))
        with pytest.raises(RuntimeError, match="fewer than 1 free"):
            ports.free_port()


def test_a_port_chosen_by_another_process_is_not_chosen_while_that_process_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import sys; from chronicle_chaos.local import ports; print(ports.free_port(), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        port = int(other.stdout.readline())
        monkeypatch.setattr(ports, "candidates", lambda: range(port, port + 1))
        with pytest.raises(RuntimeError, match="fewer than 1 free"):
            ports.free_port()
        other.stdin.close()
        other.wait()
    assert ports.free_port() == port
    with pytest.raises(RuntimeError, match="fewer than 1 free"):
        ports.free_port()
