"""What is fetched is what its publisher published, or nothing is kept."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chronicle_chaos.local.fetch import PINNED, SHA256, FetchFailed, _NoDetour, archive_name, fetch_cockroach
from chronicle_chaos.local.fetch import VERSION as DEFAULT
from chronicle_chaos.local.ports import free_port
from chronicle_cli.local import fetch

VERSION = "v1.2.3"


def _archive(name: str = "cockroach") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        program = b"#!/bin/sh\necho hello\n"
        member = tarfile.TarInfo(f"cockroach-{VERSION}/{name}")
        member.size = len(program)
        tar.addfile(member, io.BytesIO(program))
    return buffer.getvalue()


class Publisher:
    """A web server with the files that a test puts there; `short` cuts every archive off in the middle."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.short = False
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = publisher.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                cut = publisher.short and self.path.endswith(".tgz")
                self.wfile.write(content[: len(content) // 2] if cut else content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, archive: bytes) -> None:
        """Put an archive there, and what it says of itself beside it, as the publisher does."""
        name = archive_name(VERSION)
        self.files[f"/{name}"] = archive
        self.files[f"/{name}.sha256sum"] = f"{hashlib.sha256(archive).hexdigest()}  {name}\n".encode()

    def fetch(
        self, cache: Path, progress: Callable[[int, int | None], None] = lambda _done, _total: None, **options: Any
    ) -> Path:
        """Fetch what is there now, with its checksum unless another one is given."""
        archive = self.files.get(f"/{archive_name(VERSION)}", b"")
        wanted = {"sha256": hashlib.sha256(archive).hexdigest(), "plain_http": True, **options}
        return fetch_cockroach(self.url, VERSION, cache, progress, **wanted)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """On loopback."""
    made = Publisher()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_the_binary_is_cached_and_not_fetched_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(_archive())
    binary = publisher.fetch(tmp_path)
    assert binary.read_text() == "#!/bin/sh\necho hello\n"
    assert binary.stat().st_mode & 0o111
    publisher.files.clear()
    assert publisher.fetch(tmp_path) == binary


def test_a_wrong_checksum_keeps_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(_archive())
    with pytest.raises(FetchFailed, match="nothing was kept"):
        publisher.fetch(tmp_path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_what_a_mirror_says_of_its_own_archive_is_not_believed(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(_archive())
    with pytest.raises(FetchFailed, match="--sha256"):
        publisher.fetch(tmp_path, sha256=None)
    monkeypatch.setitem(PINNED, archive_name(VERSION), "0" * 64)
    with pytest.raises(FetchFailed, match="not what was published"):
        publisher.fetch(tmp_path, sha256=None)
    with pytest.raises(FetchFailed, match="64 hexadecimal digits"):
        publisher.fetch(tmp_path, sha256="abc")
    assert list(tmp_path.iterdir()) == []


def test_an_address_without_tls_has_to_be_allowed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(_archive())
    with pytest.raises(FetchFailed, match="--plain-http"):
        publisher.fetch(tmp_path, plain_http=False)


def test_a_redirection_does_not_lead_out_of_tls() -> None:
    request = urllib.request.Request("https://mirror/cockroach.tgz")
    with pytest.raises(FetchFailed, match="has no TLS"):
        _NoDetour().redirect_request(request, io.BytesIO(), 302, "Found", Message(), "http://elsewhere/cockroach.tgz")


def test_the_default_release_is_pinned_for_this_project_s_machines() -> None:
    for platform in ("linux-amd64", "darwin-10.9-amd64", "darwin-11.0-arm64"):
        assert SHA256.fullmatch(PINNED[f"cockroach-{DEFAULT}.{platform}.tgz"])


def test_a_download_that_breaks_off_keeps_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(_archive())
    publisher.short = True
    with pytest.raises(FetchFailed, match="broke off"):
        publisher.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_version_is_said_with_what_to_look_at(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="answered 404; is the version right"):
        publisher.fetch(tmp_path)


def test_an_archive_without_the_binary_keeps_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(_archive("README"))
    with pytest.raises(FetchFailed, match="holds no cockroach binary"):
        publisher.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_none_keeps_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(b"no archive")
    with pytest.raises(FetchFailed, match="cannot be unpacked"):
        publisher.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_faster_fetch_has_cached_meanwhile_is_taken(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(_archive())
    other: list[Path] = []

    def meanwhile(_done: int, _total: int | None) -> None:
        if not other:
            other.append(tmp_path)
            publisher.fetch(tmp_path)

    assert publisher.fetch(tmp_path, meanwhile).exists()
    assert [path.name for path in tmp_path.iterdir()] == [f"cockroach-{VERSION}"]


def test_without_a_network_the_command_says_so_in_one_line_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = CliRunner().invoke(fetch, ["cockroach", "--base-url", f"https://127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert "CHRONICLE_COCKROACH" in result.output
