"""The CustomResourceDefinitions of ChronicleLedger and ChronicleLedgerBackup."""

from __future__ import annotations

from typing import Any

from chronicle_operator.crd.backup import LedgerBackupSpec
from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.crd.structural import of_model
from chronicle_operator.kube.kinds import BACKUP, GROUP, LEDGER, VERSION
from chronicle_operator.resources.names import LONGEST_LEDGER_NAME
from chronicle_operator.status.status_model import LedgerBackupStatus, LedgerStatus


def manifest() -> dict[str, Any]:
    """Return the CustomResourceDefinition of ChronicleLedger."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{LEDGER.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": LEDGER.kind,
                "listKind": f"{LEDGER.kind}List",
                "plural": LEDGER.plural,
                "singular": "chronicleledger",
                "shortNames": ["cl"],
                # Not `all`: `kubectl delete all --all` is to leave ledgers alone.
                "categories": ["chronicle"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.api.replicas",
                            "statusReplicasPath": ".status.api.replicas",
                            "labelSelectorPath": ".status.api.selector",
                        },
                    },
                    "additionalPrinterColumns": _columns(),
                }
            ],
        },
    }


def backup_manifest() -> dict[str, Any]:
    """Return the CustomResourceDefinition of ChronicleLedgerBackup."""
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": of_model(LedgerBackupSpec),
        "status": of_model(LedgerBackupStatus),
    }
    schema = {
        "type": "object",
        "description": "One backup of a ChronicleLedger. It outlives the ledger: a new one can be restored from it.",
        "required": ["spec"],
        "properties": properties,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{BACKUP.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": BACKUP.kind,
                "listKind": f"{BACKUP.kind}List",
                "plural": BACKUP.plural,
                "singular": "chronicleledgerbackup",
                "shortNames": ["clb"],
                "categories": ["chronicle"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Ledger", "type": "string", "jsonPath": ".spec.ledgerName"},
                        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                        {"name": "Kind", "type": "string", "jsonPath": ".status.kind"},
                        {"name": "Verified", "type": "boolean", "jsonPath": ".status.verified"},
                        {"name": "Transactions", "type": "integer", "jsonPath": ".status.ledgerTransactions"},
                        {"name": "Bytes", "type": "integer", "jsonPath": ".status.sizeBytes"},
                        {"name": "Seal", "type": "integer", "jsonPath": ".status.seal.number", "priority": 1},
                        {"name": "Seconds", "type": "integer", "jsonPath": ".status.durationSeconds", "priority": 1},
                        {"name": "Reason", "type": "string", "jsonPath": ".status.reason", "priority": 1},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                }
            ],
        },
    }


def _schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "A double-entry ledger on CockroachDB and NATS JetStream, proven by failure scenarios.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": of_model(ChronicleLedgerSpec),
            "status": of_model(LedgerStatus),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
                f" && self.metadata.name.size() <= {LONGEST_LEDGER_NAME}",
                "message": f"metadata.name must begin with a letter, hold a-z, 0-9 and '-' only, and have at most"
                f" {LONGEST_LEDGER_NAME} characters: names of Services are made of it",
            }
        ],
    }


def _columns() -> list[dict[str, Any]]:
    ready = ".status.conditions[?(@.type=='Ready')]"
    return [
        {"name": "Ready", "type": "string", "jsonPath": f"{ready}.status"},
        {"name": "CRDB", "type": "string", "jsonPath": ".status.cockroachdb.summary"},
        {"name": "NATS", "type": "string", "jsonPath": ".status.nats.summary"},
        {"name": "API", "type": "string", "jsonPath": ".status.api.summary"},
        {"name": "Scenarios", "type": "string", "jsonPath": ".status.scenarioSummary"},
        {"name": "Reason", "type": "string", "jsonPath": f"{ready}.reason", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
