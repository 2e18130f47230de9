"""Golden files: what the code makes, kept as text. `UPDATE_GOLDEN=1` writes them anew; the diff is then for review."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def assert_golden(name: str, text: str) -> None:
    """Compare with `tests/golden/<name>`, or write it when `UPDATE_GOLDEN` is set."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    assert path.exists(), f"{path} is missing: run with UPDATE_GOLDEN=1 and review what it holds"
    old = path.read_text(encoding="utf-8")
    diff = "\n".join(difflib.unified_diff(old.splitlines(), text.splitlines(), "golden", "now", lineterm="", n=2))
    assert old == text, f"{name} differs (if it should: UPDATE_GOLDEN=1)\n{diff[:6000]}"
