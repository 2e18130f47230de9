"""The CustomResourceDefinition, made from the typed spec and status."""

from __future__ import annotations

from chronicle_operator.crd.definition import manifest

__all__ = ["manifest"]
