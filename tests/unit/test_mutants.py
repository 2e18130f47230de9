"""The changes that `make mutants` tries."""

from __future__ import annotations

import ast

import pytest

from mutants.changes import changes

SOURCE = '''
"""Documentation is left alone."""
LIMIT: int = 3


@dataclass(frozen=True)
class Kind(Base):
    """So are bases and decorators."""

    code = "kind"


def more(a: int, b: int = 0) -> int:
    """And annotations."""
    if a < b and not a:
        raise ValueError("sentences are for people")
    call()
    return a + b
'''


def test_each_place_that_decides_is_changed_and_no_other() -> None:
    assert [change.name for change in changes(SOURCE)] == [
        "module: 3 → 4",
        "Kind: 'kind' → 'kindX'",
        "more: 0 → 1",
        "more: if a < b and (not a) → if not (a < b and (not a))",
        "more: a < b and (not a) → a < b or not a",
        "more: a < b → a <= b",
        "more: not a → a",
        "more: raise ValueError('sentences are for people') → pass",
        "more: call() → pass",
        "more: return a + b → return None",
        "more: a + b → a - b",
    ]


@pytest.mark.parametrize("number", range(11))
def test_a_change_is_a_module_that_differs_in_one_place(number: int) -> None:
    change = changes(SOURCE)[number]
    before, after = ast.unparse(ast.parse(SOURCE)).splitlines(), ast.unparse(change.tree).splitlines()
    assert len([1 for old, new in zip(before, after, strict=True) if old != new]) == 1
    compile(change.tree, "changed", "exec")
