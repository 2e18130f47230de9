"""The layout keeps its promises."""

from __future__ import annotations

import operator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_folder_operator_is_never_a_package_because_it_would_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert Path(operator.__file__).parent != ROOT / "operator"


def test_the_folders_above_the_packages_are_not_packages() -> None:
    assert [d for d in ("cli", "ledger", "chaos") if (ROOT / d / "__init__.py").exists()] == []
