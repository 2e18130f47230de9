"""Which cluster, and as whom: kubeconfig files as kubectl reads them, or the account of the pod.

`KUBECONFIG` may name several files. They are merged as kubectl does (Kubernetes documentation, "Organizing Cluster
Access Using kubeconfig Files"): of a value that several files set, the first counts; files that do not exist, and empty
names, are passed over; relative paths are relative to the file that they are in. The official client merges otherwise:
there the last current context counts. Who sets the variable in a pod means it, so it goes before the pod's account.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.kube_config import load_kube_config_from_dict

from chronicle_kube.errors import AccessError

VARIABLE = "KUBECONFIG"
LISTS = ("clusters", "users", "contexts")
PATHS = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})

RENEWED = ("exec", "tokenFile", "auth-provider")
"""What makes a user's token one that runs out."""

RENEW_SECONDS = 60.0
"""How long a token of a file or of a program is used before it is looked up again."""


@dataclass(frozen=True)
class Access:
    """A cluster, credentials for it, and the namespace that counts where none is named."""

    configuration: Configuration
    namespace: str


async def load(context: str | None = None, environment: Mapping[str, str] = os.environ) -> Access:
    """Return the access to a context, the current one when None. Raises AccessError."""
    document = read(environment)
    try:
        return _of_pod() if document is None else await _of_document(document, context)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AccessError(str(error)) from error


def read(environment: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """Return the kubeconfig, None where the account of the pod counts. Raises AccessError where a file is none."""
    names = dict.fromkeys(name for name in environment.get(VARIABLE, "").split(os.pathsep) if name)
    if names:
        paths = [Path(name).expanduser() for name in names]
    elif Path(incluster_config.SERVICE_TOKEN_FILENAME).is_file() or not (own := Path.home() / ".kube/config").is_file():
        return None
    else:
        paths = [own]
    merged = merge([_read(path) for path in paths if path.is_file()])
    if not any(merged[key] for key in LISTS):
        raise AccessError(f"{VARIABLE}: none of {', '.join(map(str, paths))} exists and holds a cluster")
    return merged


def merge(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge kubeconfig documents: the first that names a cluster, user, context or the current context counts."""
    merged: dict[str, Any] = {}
    for key in LISTS:
        entries: dict[str, Any] = {}
        for document in documents:
            for entry in document.get(key) or ():
                entries.setdefault(entry["name"], entry)
        merged[key] = list(entries.values())
    contexts = (document["current-context"] for document in documents if document.get("current-context"))
    merged["current-context"] = next(contexts, None)
    return merged


def _of_pod() -> Access:
    configuration = Configuration()
    incluster_config.load_incluster_config(configuration)  # its token is read again each minute
    namespace = Path(incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace")
    return Access(configuration, namespace.read_text(encoding="utf-8").strip())


async def _of_document(document: Mapping[str, Any], context: str | None) -> Access:
    chosen = context or document["current-context"]
    if not chosen:
        raise AccessError("No current context is set: name one with --context, or kubectl config use-context NAME")
    entry = _named(document, "contexts", chosen)
    user = _named(document, "users", entry["user"]) if entry.get("user") else {}
    configuration = Configuration()
    loader = await load_kube_config_from_dict(document, chosen, configuration)
    # The loader only logs that a program failed, and would go on as nobody.
    if "exec" in user and not (configuration.api_key or configuration.cert_file):
        raise AccessError(f"{user['exec'].get('command')} gave no credentials")
    if user.keys() & set(RENEWED):
        configuration.refresh_api_key_hook = _renewal(loader.load_and_set)
    return Access(configuration, entry.get("namespace") or "default")


def _named(document: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    """Return what a list of the document has under a name. Raises AccessError."""
    for entry in document[key]:
        if entry["name"] == name:
            return dict(entry.get(key.removesuffix("s")) or {})
    raise AccessError(f"no entry of {key} is named {name}")


def _renewal(again: Callable[[Configuration], Awaitable[None]]) -> Callable[[Configuration], Awaitable[None]]:
    """Return a hook that the client calls before each request."""
    last = time.monotonic()

    async def renew(configuration: Configuration) -> None:
        nonlocal last
        if time.monotonic() - last >= RENEW_SECONDS:
            last = time.monotonic()
            await again(configuration)

    return renew


def _read(path: Path) -> dict[str, Any]:
    """Return a document whose paths are absolute."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for key in LISTS:
            for entry in document.get(key) or ():
                if not isinstance(entry["name"], str):
                    raise TypeError(f"an entry of {key} has no name")
                _make_absolute(entry.get(key.removesuffix("s")) or {}, path.absolute().parent)
    except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise AccessError(f"{VARIABLE}: {path} is no kubeconfig ({error})") from error
    return dict(document)


def _make_absolute(entry: dict[str, Any], folder: Path) -> None:
    for key in PATHS & entry.keys():
        if entry[key]:
            entry[key] = str(folder / str(entry[key]))
    # A program's name without a slash is looked for on PATH.
    if (program := entry.get("exec")) and os.sep in str(program.get("command", "")):
        program["command"] = str(folder / program["command"])
