"""Pure builders: from a spec to Kubernetes objects. Nothing here looks anything up, so golden files can hold them."""

from __future__ import annotations

from chronicle_operator.resources.build import build
from chronicle_operator.resources.context import LedgerContext, Manifest

__all__ = ["LedgerContext", "Manifest", "build"]
