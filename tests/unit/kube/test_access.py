"""Kubeconfig files mean what they mean to kubectl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kubernetes.aio.config import incluster_config

from chronicle_cli import cluster
from chronicle_kube import access
from chronicle_kube.errors import AccessError


def document(
    name: str, server: str, *, current: str = "", user: dict[str, Any] | None = None, **cluster: str
) -> dict[str, Any]:
    return {
        "clusters": [{"name": name, "cluster": {"server": server, **cluster}}],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"of-{name}"}}],
        "current-context": current,
    }


def write(path: Path, *documents: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(documents[0]))
    return path


def program(path: Path, token: str, **more: str) -> dict[str, Any]:
    """Write a program that hands out a token, and return the user who has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = {"apiVersion": "v1", "kind": "ExecCredential", "status": {"token": token, **more}}
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "v1", "command": f"./bin/{path.name}"}}


async def token_of(found: access.Access) -> str | None:
    return await found.configuration.get_api_key_with_prefix("BearerToken")  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", ["{a}:{b}", "{a}:{b}:", ":{a}::{b}", "/nowhere/config:{a}:{b}:{a}"])
async def test_several_files_are_merged_and_the_first_that_sets_a_value_counts(tmp_path: Path, shape: str) -> None:
    a = write(tmp_path / "a" / "config", document("one", "https://one"))
    b = document("one", "https://other", current="two")
    for key in access.LISTS:
        b[key] += document("two", "https://two")[key]
    environment = {"KUBECONFIG": shape.format(a=a, b=write(tmp_path / "b" / "config", b))}
    now = await access.load(None, environment)
    assert (now.configuration.host, now.namespace) == ("https://two", "of-two")
    assert await token_of(now) == "Bearer token-of-two"
    other = await access.load("one", environment)
    assert (other.configuration.host, other.namespace) == ("https://one", "of-one")


async def test_of_two_current_contexts_the_first_counts(tmp_path: Path) -> None:
    a = write(tmp_path / "a" / "config", document("one", "https://one", current="one"))
    b = write(tmp_path / "b" / "config", document("two", "https://two", current="two"))
    assert (await access.load(None, {"KUBECONFIG": f"{a}:{b}"})).configuration.host == "https://one"


async def test_paths_are_relative_to_the_file_that_they_are_in(tmp_path: Path) -> None:
    a = write(tmp_path / "a" / "config", document("one", "https://one", current="two"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "ca.crt").write_text("")
    user = program(tmp_path / "b" / "bin" / "token", "of-the-program")
    two = document("two", "https://two", user=user, **{"certificate-authority": "ca.crt"})
    b = write(tmp_path / "b" / "config", two)
    now = await access.load(None, {"KUBECONFIG": f"{a}:{b}"})
    assert now.configuration.ssl_ca_cert == str(tmp_path / "b" / "ca.crt")
    assert await token_of(now) == "Bearer of-the-program"


async def test_a_token_that_runs_out_is_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "RENEW_SECONDS", 0.0)
    token = tmp_path / "token"
    token.write_text("first")
    file = write(tmp_path / "config", document("one", "https://one", current="one", user={"tokenFile": "token"}))
    found = await access.load(None, {"KUBECONFIG": str(file)})
    assert await token_of(found) == "Bearer first"
    token.write_text("second")
    assert await token_of(found) == "Bearer second"


async def test_a_program_that_gives_no_token_is_named(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "v1", "command": "./bin/none"}}
    file = write(tmp_path / "config", document("one", "https://one", current="one", user=user))
    with pytest.raises(AccessError, match="bin/none gave no credentials"):
        await access.load(None, {"KUBECONFIG": str(file)})


async def test_the_variable_goes_before_the_account_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = tmp_path / "account"
    account.mkdir()
    for name, text in (("token", "t"), ("namespace", "of-the-pod"), ("ca.crt", "c")):
        (account / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    in_pod = await access.load(None, {})
    assert (in_pod.configuration.host, in_pod.namespace) == ("https://10.0.0.1:443", "of-the-pod")
    file = write(tmp_path / "config", document("one", "https://one", current="one"))
    assert (await access.load(None, {"KUBECONFIG": str(file)})).namespace == "of-one"


async def test_without_variable_and_account_the_file_at_home_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".kube" / "config", document("one", "https://one", current="one"))
    assert (await access.load(None, {})).configuration.host == "https://one"


@pytest.mark.parametrize("context", ["other", None])
async def test_a_context_that_is_not_there_is_named(tmp_path: Path, context: str | None) -> None:
    file = write(tmp_path / "config", document("one", "https://one", current="other"))
    with pytest.raises(AccessError, match="other"):
        await access.load(context, {"KUBECONFIG": str(file)})


def test_files_without_a_current_context_are_told_what_they_lack(tmp_path: Path) -> None:
    file = write(tmp_path / "config", document("one", "https://one"))
    done = CliRunner().invoke(cluster.status, [], env={"KUBECONFIG": str(file)})
    assert done.exit_code == 2
    assert "No current context" in done.stderr


@pytest.mark.parametrize("content", [None, "- a list", "clusters: [nameless]", "users: [{user: {}}]", "{"])
async def test_what_is_no_kubeconfig_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AccessError, match=r"KUBECONFIG: .*config"):
        await access.load(None, {"KUBECONFIG": str(path)})
