"""Put the commit into what is built, so that an installed `chronicle` can say where it comes from."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Add `chronicle_ledger/REVISION` to a wheel: from CHRONICLE_REVISION, else from git; none where neither knows."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file beside the build. An editable installation asks git each time, since its commit moves."""
        if version == "editable":
            return
        revision = os.environ.get("CHRONICLE_REVISION") or _commit(Path(self.root))
        if revision:
            self._file = tempfile.NamedTemporaryFile("w", suffix="-revision")  # noqa: SIM115 - kept until the wheel is written
            self._file.write(revision + "\n")
            self._file.flush()
            build_data["force_include"][self._file.name] = "chronicle_ledger/REVISION"


def _commit(root: Path) -> str:
    """Return the short hash of the checkout's commit; empty outside of one."""
    if not (root / ".git").exists():
        return ""
    answer = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()
