"""Each machine asks for the archive under the name that its publisher gave it."""

from __future__ import annotations

import platform

import pytest

from chronicle_chaos.local.fetch import FetchFailed, archive_name


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "cockroach-v24.1.32.linux-amd64.tgz"),
        ("Linux", "aarch64", "cockroach-v24.1.32.linux-arm64.tgz"),
        ("Darwin", "x86_64", "cockroach-v24.1.32.darwin-10.9-amd64.tgz"),
        ("Darwin", "arm64", "cockroach-v24.1.32.darwin-11.0-arm64.tgz"),
    ],
)
def test_the_name_is_the_published_one(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert archive_name("v24.1.32") == name


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64"), ("FreeBSD", "amd64")])
def test_a_machine_without_an_archive_is_told_so(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(FetchFailed, match=f"no archive for {system} on {machine}"):
        archive_name("v24.1.32")
