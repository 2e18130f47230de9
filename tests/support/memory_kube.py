"""An API server in memory, for tests: `Kube` with server-side apply, its record of owners, and no more.

What it shares with an API server is written down in `kube_contract`; the end-to-end tests hold that against a real one.

Fields are owned as in `metadata.managedFields`; lists are taken as one value. `calls` has every verb and resource that
was asked for, in the words of RBAC, so that a Role can be held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import count
from typing import Any

from chronicle_contract.labels import MANAGER
from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds

Object = dict[str, Any]
Path = tuple[str, ...]
Call = tuple[str, str, str]
"""Verb, group, and resource with its subresource."""

Trouble = Callable[[str, Kind, str], errors.KubeError | None]
"""Called with verb, kind and name before each request; what it returns is raised."""


def no_trouble(verb: str, kind: Kind, name: str) -> errors.KubeError | None:
    """Let every request through."""
    del verb, kind, name
    return None


class MemoryKube:
    """`Kube` over dictionaries."""

    def __init__(self, *objects: Object) -> None:
        """Begin with these objects, made by nobody in particular."""
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.calls: set[Call] = set()
        self.missing: set[str] = set()
        """Groups whose kinds are not installed."""
        self.trouble: Trouble = no_trouble
        self._numbers = count(1)
        for item in objects:
            self.put(kinds.of(item), item)

    def put(self, kind: Kind, item: Object) -> Object:
        """Store an object as it is, with what the server adds."""
        meta = item["metadata"]
        stored = self.objects[_key(kind, meta["namespace"], meta["name"])] = deepcopy(item)
        number = next(self._numbers)
        stored["metadata"] = {"uid": f"uid-{number}", "generation": 1, "managedFields": [], **stored["metadata"]}
        stored["metadata"]["resourceVersion"] = str(number)
        return stored

    def find(self, kind: Kind, name: str, namespace: str = "ns") -> Object:
        """Return the stored object itself. Raises KeyError."""
        return self.objects[_key(kind, namespace, name)]

    def of(self, kind: Kind) -> list[Object]:
        """Return all objects of a kind."""
        return [it for key, it in self.objects.items() if key[:2] == (kind.group, kind.kind)]

    def edit(self, item: Object, path: Path, value: Any, *, manager: str = "kubectl", subresource: str = "") -> None:
        """Change a field as somebody else would: it is theirs from now on."""
        _set(item, path, value)
        for entry in item["metadata"]["managedFields"]:
            entry["fieldsV1"] = _tree(set(_leaves(entry["fieldsV1"])) - {path})
        theirs = {"manager": manager, "operation": "Update", "fieldsV1": _tree({path})}
        item["metadata"]["managedFields"].append(theirs | ({"subresource": subresource} if subresource else {}))

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self._ask("get", kind, name)
        return deepcopy(self.objects.get(_key(kind, namespace, name)))

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Object]:
        self._ask("list", kind, "")
        if kind.group in self.missing:
            raise errors.NotFound(f"list {kind.kind}", "the server could not find the requested resource")
        return [
            deepcopy(it)
            for it in self.of(kind)
            if namespace in (None, it["metadata"]["namespace"])
            and (labels or {}).items() <= it["metadata"].get("labels", {}).items()
            and (fields or {}).items() <= {key: value for key, value in it.items() if isinstance(value, str)}.items()
        ]

    async def apply(self, kind: Kind, manifest: Object, *, uid: str | None = None) -> Object:
        meta = manifest["metadata"]
        self._ask("patch", kind, meta["name"])
        if any(it.get("blockOwnerDeletion") for it in meta.get("ownerReferences", [])):
            # What the admission plugin OwnerReferencesPermissionEnforcement asks for.
            self.calls.add(("update", kinds.GROUP, f"{kinds.LEDGER.plural}/finalizers"))
        key = _key(kind, meta["namespace"], meta["name"])
        there = self.objects.get(key)
        if uid is not None and (there is None or there["metadata"]["uid"] != uid):
            raise errors.Conflict(f"patch {kind.kind} {meta['name']}", "uid mismatch")
        if uid is None and there is not None and any(_get(there, path) != it for path, it in _values(manifest)):
            raise errors.Conflict(f"patch {kind.kind} {meta['name']}", "conflicts with another manager")
        if key not in self.objects:
            self._ask("create", kind, meta["name"])
            self.put(kind, {**manifest, "metadata": {**meta, "managedFields": []}})
        stored = self.objects[key]
        before = deepcopy({name: value for name, value in stored.items() if name != "metadata"})
        self._merge(stored, manifest)
        if kind in (kinds.DEPLOYMENT, kinds.STATEFUL_SET):
            stored["spec"].setdefault("replicas", 1)
        if before != {name: value for name, value in stored.items() if name != "metadata"}:
            stored["metadata"]["generation"] += 1
        return deepcopy(stored)

    def _merge(self, stored: Object, manifest: Object) -> None:
        """Set what is given, and take away what this manager alone had set before and gives no longer."""
        given = dict(_values(manifest))
        entries = stored["metadata"]["managedFields"]
        mine = next((it for it in entries if (it["manager"], it["operation"]) == (MANAGER, "Apply")), None)
        others = [it for it in entries if it is not mine]
        kept = {path for entry in others for path in _leaves(entry["fieldsV1"])}
        for path in set(_leaves(mine["fieldsV1"])) - set(given) - kept if mine else ():
            _remove(stored, path)
        for path, value in given.items():
            if _get(stored, path) != value:
                for entry in others:
                    entry["fieldsV1"] = _tree(set(_leaves(entry["fieldsV1"])) - {path})
            _set(stored, path, deepcopy(value))
        entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": _tree(given)}
        stored["metadata"]["managedFields"] = [it for it in others if it["fieldsV1"]] + [entry]

    async def create(self, kind: Kind, manifest: Object) -> Object:
        name = manifest["metadata"]["name"]
        self._ask("create", kind, name)
        if _key(kind, manifest["metadata"]["namespace"], name) in self.objects:
            raise errors.Conflict(f"create {kind.kind} {name}", "already exists")
        return deepcopy(self.put(kind, manifest))

    async def merge(self, kind: Kind, namespace: str, name: str, changes: Object) -> Object:
        self._ask("patch", kind, name)
        stored = self.objects.get(_key(kind, namespace, name))
        if stored is None:
            raise errors.NotFound(f"patch {kind.kind} {name}", "not found", code=404)
        _merge_into(stored, changes)
        stored["metadata"]["resourceVersion"] = str(next(self._numbers))
        return deepcopy(stored)

    async def close(self) -> None:
        """Hold nothing open."""

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        self._ask("delete", kind, name)
        key = _key(kind, namespace, name)
        if key in self.objects and uid in (None, self.objects[key]["metadata"]["uid"]):
            del self.objects[key]

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Object, version: str) -> Object:
        self._ask("patch", kind, name, "/status")
        stored = self.objects[_key(kind, namespace, name)]
        if stored["metadata"]["resourceVersion"] != version:
            raise errors.Conflict(f"patch-status {kind.kind} {name}", "the object has been modified")
        stored["status"] = deepcopy(status)
        stored["metadata"]["resourceVersion"] = str(next(self._numbers))
        return deepcopy(stored)

    def _ask(self, verb: str, kind: Kind, name: str, subresource: str = "") -> None:
        self.calls.add((verb, kind.group, kind.plural + subresource))
        error = self.trouble(verb + subresource, kind, name)
        if error is not None:
            raise error


def _key(kind: Kind, namespace: str, name: str) -> tuple[str, str, str, str]:
    return (kind.group, kind.kind, namespace, name)


def _values(manifest: Object) -> Iterator[tuple[Path, Any]]:
    """Yield the fields that an apply owns: all but what identifies the object."""

    def walk(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        if isinstance(node, dict) and node:
            for key, value in node.items():
                yield from walk(value, (*path, key))
        else:
            yield path, node

    for path, value in walk(manifest, ()):
        if path not in (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")):
            yield path, value


def _tree(paths: set[Path] | Mapping[Path, Any]) -> Object:
    """Return `fieldsV1` of these paths."""
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for part in path:
            node = node.setdefault(f"f:{part}", {})
    return tree


def _leaves(tree: Object, path: Path = ()) -> Iterator[Path]:
    for key, inner in tree.items():
        here = (*path, key.removeprefix("f:"))
        if inner:
            yield from _leaves(inner, here)
        else:
            yield here


def _get(item: Any, path: Path) -> Any:
    for part in path:
        item = item.get(part) if isinstance(item, dict) else None
    return item


def _set(item: Object, path: Path, value: Any) -> None:
    for part in path[:-1]:
        if not isinstance(item.get(part), dict):
            item[part] = {}
        item = item[part]
    item[path[-1]] = value


def _merge_into(item: Object, changes: Object) -> None:
    """Merge as a JSON merge patch does (RFC 7396)."""
    for key, value in changes.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(item.get(key), dict):
                item[key] = {}
            _merge_into(item[key], value)
        else:
            item[key] = deepcopy(value)


def _remove(item: Object, path: Path) -> None:
    inner = _get(item, path[:-1])
    if isinstance(inner, dict):
        inner.pop(path[-1], None)
