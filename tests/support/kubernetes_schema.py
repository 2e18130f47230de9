"""Whether manifests have only fields that Kubernetes knows, and all that it requires, without an API server.

lightkube-models are dataclasses generated from Kubernetes' own OpenAPI document. What they read in and write out again
must be what went in: a field that is lost on the way does not exist, one that is missing makes the reading fail. Types
of values are checked by the API server in the end-to-end tests.

As a script: reads YAML documents from stdin and prints what is wrong with them; exit status 1 if anything is.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

MODULES = {
    "v1": "core_v1",
    "apps/v1": "apps_v1",
    "batch/v1": "batch_v1",
    "autoscaling/v2": "autoscaling_v2",
    "networking.k8s.io/v1": "networking_v1",
    "policy/v1": "policy_v1",
    "rbac.authorization.k8s.io/v1": "rbac_v1",
}
NOT_CHECKED = frozenset({"CustomResourceDefinition", "ChronicleLedger", "PodMonitor"})
"""Kinds that Kubernetes' own models do not hold, or not well enough; the API server judges them in the e2e tests."""


def problems(manifest: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a manifest, empty when nothing is."""
    kind, version = str(manifest.get("kind")), str(manifest.get("apiVersion"))
    if kind in NOT_CHECKED:
        return []
    name = f"{kind} {(manifest.get('metadata') or {}).get('name')}"
    if version not in MODULES:
        return [f"{name}: apiVersion {version} is not known"]
    model = getattr(importlib.import_module(f"lightkube.models.{MODULES[version]}"), kind, None)
    if model is None:
        return [f"{name}: there is no {kind} in {version}"]
    try:
        back = model.from_dict(dict(manifest)).to_dict()
    except (TypeError, ValueError, AttributeError) as error:
        return [f"{name}: {error}"]
    return [f"{name}: {it}" for it in _lost(manifest, back, "")]


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    if isinstance(given, Mapping):
        for key, value in given.items():
            if not isinstance(kept, Mapping) or key not in kept:
                if value not in (None, {}, []):
                    yield f"{path}.{key}: Kubernetes has no such field"
            else:
                yield from _lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        for place, value in enumerate(given):
            yield from _lost(value, kept[place], f"{path}[{place}]")


def main() -> int:
    """Check stdin; the argument names it in what is printed."""
    source = " ".join(sys.argv[1:]) or "stdin"
    manifests = [it for it in yaml.safe_load_all(sys.stdin) if it]
    found = [problem for it in manifests for problem in problems(it)]
    for problem in found:
        sys.stderr.write(f"{source}: {problem}\n")
    if not manifests:
        sys.stderr.write(f"{source}: no manifests\n")
    return 1 if found or not manifests else 0


if __name__ == "__main__":
    sys.exit(main())
