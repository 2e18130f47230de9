"""What the builders are told: a spec and a few facts, nothing that they would have to look up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.kube.kinds import GROUP, VERSION

Manifest = dict[str, Any]


@dataclass(frozen=True)
class LedgerContext:
    """One ledger as the builders see it.

    `secret_hashes` has, by Secret name, a hash of what each Secret of `credentials` holds: it goes into the annotations
    of exactly those pod templates that must roll when the Secret changes. `licence` is a hash of CockroachDB's licence,
    None where there is none that may be used. `seal_keys` signed the ledger's seals, the latest last.
    """

    name: str
    namespace: str
    uid: str
    spec: ChronicleLedgerSpec
    secret_hashes: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    seal_keys: Sequence[str] = ()

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
