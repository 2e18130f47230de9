"""The files that the code decides: the CRD for plain manifests and for the chart."""

from __future__ import annotations

import yaml

from chronicle_operator import crd


def files() -> dict[str, str]:
    """Return path (relative to the repository's root) and text of every generated file."""
    return {"manifests/crd.yaml": dump(crd.manifest())}


def dump(*documents: object) -> str:
    """Return YAML as people write it: keys in their order, blocks rather than braces."""
    return "---\n".join(
        yaml.dump(it, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True) for it in documents
    )


class _Plain(yaml.SafeDumper):
    """No anchors: people and their tools read the files."""

    def ignore_aliases(self, data: object) -> bool:
        """Write everything out."""
        del data
        return True
