"""The programs that are handed into containers do what the injector takes them to do, on real sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from chronicle_chaos.injectors.compose.inside import hold, source
from chronicle_chaos.local.ports import free_port


@pytest.fixture
def server() -> Iterator[int]:
    """Greets each client, then answers each message with a byte, until it is told `mute`."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client: socket.socket) -> None:
        with client:
            while said := client.recv(64):
                if said != b"mute":
                    client.sendall(b"+")

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def test_what_listens_is_reached_and_what_does_not_is_named(server: int) -> None:
    addresses = [f"127.0.0.1:{server}", f"127.0.0.1:{free_port()}"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", source("connect"), *addresses], capture_output=True, text=True, check=True
    )
    reached, refused = json.loads(done.stdout)
    assert reached == ""
    assert "refused" in refused.lower()


@pytest.mark.parametrize(("question", "answer"), [(b"?", "answers"), (b"mute", "timed out")])
def test_a_connection_from_before_answers_or_stays_silent(
    server: int, monkeypatch: pytest.MonkeyPatch, question: bytes, answer: str
) -> None:
    monkeypatch.setattr(hold, "ASK_SECONDS", 0.2)
    protocols = json.dumps({server: [b"hello".hex(), question.hex()]})
    talk = hold.converse(protocols, [f"127.0.0.1:{server}"], ["hold\n", "settle\n", "ask\n", "ask\n"])
    assert [json.loads(line) for line in talk] == [[""], [""], [answer], [answer]]


def test_a_program_answers_line_by_line_as_it_is_handed_over(server: int) -> None:
    protocols = json.dumps({server: [b"hello".hex(), b"?".hex()]})
    arguments = [sys.executable, "-I", "-c", source("hold"), protocols, f"127.0.0.1:{server}"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdin is not None
        assert held.stdout is not None
        for step, answer in (("hold", ""), ("settle", ""), ("ask", "answers")):
            held.stdin.write(step + "\n")
            held.stdin.flush()
            assert json.loads(held.stdout.readline()) == [answer]
        held.stdin.close()
        assert held.wait(10) == 0


def test_what_cannot_be_connected_is_not_held() -> None:
    port = free_port()
    (line,) = hold.converse(json.dumps({port: ["00", "00"]}), [f"127.0.0.1:{port}"], ["hold\n"])
    assert "refused" in json.loads(line)[0].lower()
