"""What the builders are told: a spec and a few facts, nothing that they would have to look up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chronicle_operator.kinds import GROUP, VERSION
from chronicle_operator.spec import ChronicleLedgerSpec

Manifest = dict[str, Any]


@dataclass(frozen=True)
class LedgerContext:
    """One ledger as the builders see it.

    `secret_hashes` has, by Secret name, a hash of what each Secret of `credentials` holds: it goes into the annotations
    of exactly those pod templates that must roll when the Secret changes.
    """

    name: str
    namespace: str
    uid: str
    spec: ChronicleLedgerSpec
    secret_hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> Manifest:
        """Return the owner reference that every child carries."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ChronicleLedger",
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
