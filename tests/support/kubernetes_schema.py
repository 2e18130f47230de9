"""Whether manifests have only fields that Kubernetes knows, and all that it requires, without an API server.

The models of the official client are generated from Kubernetes' own OpenAPI document. What they read in and write out
again must be what went in: a field that is lost on the way does not exist, one that is missing makes the reading fail.
Types of values are checked by the API server in the end-to-end tests.

As a script: reads YAML documents from stdin and prints what is wrong with them; exit status 1 if anything is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from kubernetes.aio.client import models

MODELS = {
    "v1": "V1",
    "apps/v1": "V1",
    "batch/v1": "V1",
    "autoscaling/v2": "V2",
    "networking.k8s.io/v1": "V1",
    "policy/v1": "V1",
    "rbac.authorization.k8s.io/v1": "V1",
}
"""What the names of a version's models begin with."""

AMOUNTS = frozenset({"requests", "limits"})
"""What a container may use, by resource."""

NOT_CHECKED = frozenset({"CustomResourceDefinition", "ChronicleLedger", "PodMonitor"})
"""Kinds that Kubernetes' own models do not hold, or not well enough; the API server judges them in the e2e tests."""


def problems(manifest: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a manifest, empty when nothing is."""
    kind, version = str(manifest.get("kind")), str(manifest.get("apiVersion"))
    if kind in NOT_CHECKED:
        return []
    name = f"{kind} {(manifest.get('metadata') or {}).get('name')}"
    if version not in MODELS:
        return [f"{name}: apiVersion {version} is not known"]
    model = getattr(models, MODELS[version] + kind, None)
    if model is None:
        return [f"{name}: there is no {kind} in {version}"]
    try:
        back = json.loads(model.from_dict(_with_quantities(manifest)).to_json())
    except (TypeError, ValueError, AttributeError) as error:
        return [f"{name}: {error}"]
    return [f"{name}: {it}" for it in _lost(manifest, back, "")]


def _with_quantities(node: Any) -> Any:
    """Return it with amounts as text: the API server takes them as numbers, too, and the models do not say so."""
    if isinstance(node, list):
        return [_with_quantities(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    texts = {key: {name: str(amount) for name, amount in node[key].items()} for key in AMOUNTS & node.keys()}
    return {key: _with_quantities(value) for key, value in node.items()} | texts


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
