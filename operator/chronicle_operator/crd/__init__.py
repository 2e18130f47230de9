"""The CustomResourceDefinitions, made from the typed specs and statuses."""

from __future__ import annotations

from chronicle_operator.crd.definition import backup_manifest, manifest

__all__ = ["backup_manifest", "manifest"]
