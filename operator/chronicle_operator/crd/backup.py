"""What a person may write under `spec` of a ChronicleLedgerBackup."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from chronicle_operator.crd import rules
from chronicle_operator.crd.spec import Model, marked


class LedgerBackupSpec(Model):
    """One backup of one ledger."""

    model_config = ConfigDict(json_schema_extra=marked(rules.BACKUP_FIXED))

    ledger_name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=24)] = Field(
        description="A ChronicleLedger of this namespace whose spec.backup says where to."
    )
    full: bool = Field(default=False, description="Begin a new chain, also where there is a backup to continue.")
