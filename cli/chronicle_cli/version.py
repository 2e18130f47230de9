"""Version and commit of this installation."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import chronicle_ledger


def described() -> str:
    """Return the version, and the commit where it is known: `0.1.0 (commit 4f2a9c1d0b7e)`."""
    commit = revision()
    return f"{chronicle_ledger.__version__} (commit {commit})" if commit else chronicle_ledger.__version__


def revision() -> str:
    """Return the commit that was built, or the one that this checkout is at; empty where neither is known."""
    built = resources.files(chronicle_ledger) / "REVISION"
    if built.is_file():
        return built.read_text(encoding="utf-8").strip()
    checkout = Path(chronicle_ledger.__file__).parents[2]
    if not (checkout / ".git").exists():
        return ""
    try:
        answer = subprocess.run(
            ["git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, check=False, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
