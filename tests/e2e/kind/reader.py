"""Reads from the API server over one connection. Tests look twice a second for minutes; a kubectl for each look costs
a tenth of a second of CPU, of which two cores with a whole cluster on them have none to spare."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx

Object = dict[str, Any]


class ReadFailed(AssertionError):
    """The API server did not answer a read, or refused it."""


class Reader:
    """Objects by the names that kubectl takes: plural, singular, kind, short name, `plural.group`."""

    def __init__(self, kubeconfig: Path) -> None:
        """Start `kubectl proxy`, which listens on a free port of the loopback interface."""
        self._proxy = subprocess.Popen(
            ("kubectl", "--kubeconfig", str(kubeconfig), "proxy", "--port=0"), stdout=subprocess.PIPE, text=True
        )
        assert self._proxy.stdout is not None
        address = self._proxy.stdout.readline().rpartition(" ")[2].strip()  # "Starting to serve on 127.0.0.1:40001"
        self._http = httpx.Client(base_url=f"http://{address}", timeout=30)
        self._resources: dict[str, tuple[str, str, bool]] = {}

    def close(self) -> None:
        """End the proxy."""
        self._http.close()
        self._proxy.terminate()
        self._proxy.wait(10)
        if self._proxy.stdout is not None:
            self._proxy.stdout.close()

    def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """Return an object, None when there is none. Raises ReadFailed."""
        return self._read(f"{self._path(kind, namespace)}/{name}", {})

    def list(self, kinds: str, namespace: str, selector: str = "") -> list[Object]:
        """Return the objects of a kind (or of several, with commas), each with its kind and version as kubectl gives
        them. Raises ReadFailed."""
        found: list[Object] = []
        for kind in kinds.split(","):
            answer = self._read(self._path(kind, namespace), {"labelSelector": selector} if selector else {})
            if answer is None:
                raise ReadFailed(f"{kind} has no list")
            told = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
            found += [{**told, **item} for item in answer["items"]]
        return found

    def _read(self, path: str, parameters: dict[str, str]) -> Object | None:
        try:
            answer = self._http.get(path, params=parameters)
        except httpx.HTTPError as error:
            raise ReadFailed(f"GET {path}: {str(error) or type(error).__name__}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise ReadFailed(f"GET {path}: {answer.status_code} {answer.text[:500]}")
        return dict(answer.json())

    def _path(self, kind: str, namespace: str) -> str:
        if kind.lower() not in self._resources:
            self._discover()  # anew: its definition may have been installed meanwhile
        if kind.lower() not in self._resources:
            raise ReadFailed(f"the server has no {kind}")
        root, plural, namespaced = self._resources[kind.lower()]
        return f"{root}/namespaces/{namespace}/{plural}" if namespaced else f"{root}/{plural}"

    def _discover(self) -> None:
        groups = (self._read("/apis", {}) or {})["groups"]
        roots = [("", "/api/v1"), *((it["name"], f"/apis/{it['preferredVersion']['groupVersion']}") for it in groups)]
        for group, root in roots:
            for it in (self._read(root, {}) or {"resources": []})["resources"]:
                if "/" in it["name"]:
                    continue
                names = {it["name"], it.get("singularName", ""), it["kind"].lower(), *it.get("shortNames", ())} - {""}
                for name in {*names, *(f"{name}.{group}" for name in names if group)}:
                    # As kubectl: the core and the first groups come before others (events, pods of metrics).
                    self._resources.setdefault(name, (root, it["name"], bool(it["namespaced"])))
