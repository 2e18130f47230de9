"""Logs that outlive a local cluster: those of a run that did not pass."""

from __future__ import annotations

import shutil
from pathlib import Path

from chronicle_chaos.target import Target


def keep_logs(target: Target, folder: Path) -> Path | None:
    """Copy what the processes of a local `target` have logged into `folder`, which is returned.

    None where the target is of another kind, or has no logs here. Raises OSError where they cannot be written.
    """
    home = target.details.get("folder")
    if target.kind != "local" or home is None:
        return None
    found = sorted(path for path in Path(str(home)).glob("**/*.log") if path.is_file() and not path.is_symlink())
    if not found:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for path in found:
        shutil.copyfile(path, folder / "-".join(path.relative_to(str(home)).parts))
    return folder
