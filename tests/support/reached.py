"""Which definitions of the ledger's package a process can reach, by the names that its code uses.

A definition is a function, class or constant of a module. It reaches those that its text names; a class, all that its
methods name. That is more than what is executed, and does not miss a statement that is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import chronicle_ledger

Name = tuple[str, str]
"""Module and name."""

PACKAGE = "chronicle_ledger"
ROOT = Path(chronicle_ledger.__file__).parent


class Definitions:
    """Every definition of the package, and what each module imports of it."""

    def __init__(self) -> None:
        self.nodes: dict[Name, ast.stmt] = {}
        self.text: dict[Name, str] = {}
        self.modules: set[str] = set()
        self._imports: dict[str, dict[str, Name]] = {}
        for path in ROOT.rglob("*.py"):
            parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
            self._read(".".join(parts).removesuffix(".__init__"), path.read_text(encoding="utf-8"))

    def _read(self, module: str, text: str) -> None:
        self.modules.add(module)
        tree = ast.parse(text)
        self._imports[module] = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE)
            for alias in node.names
        }
        for node in tree.body:
            for name in _defined(node):
                self.nodes[module, name] = node
                self.text[module, name] = ast.get_source_segment(text, node) or ""

    def of(self, module: str) -> list[Name]:
        """Every definition of a module."""
        return [name for name in self.nodes if name[0] == module]

    def reached(self, starts: Iterable[Name]) -> set[Name]:
        """Everything that can be reached from `starts`."""
        found: set[Name] = set()
        waiting = list(starts)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            if name in self.nodes:
                found.add(name)
                waiting += self._named(name)
            elif (again := self._imports.get(name[0], {}).get(name[1])) is not None:
                waiting.append(again)
        return found

    def _named(self, name: Name) -> Iterator[Name]:
        module, imports = name[0], self._imports[name[0]]
        for node in ast.walk(self.nodes[name]):
            if isinstance(node, ast.Name):
                if (module, node.id) in self.nodes:
                    yield module, node.id
                elif node.id in imports:
                    yield imports[node.id]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imports:
                yield ".".join(imports[node.value.id]), node.attr


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign():
            return [it.id for it in node.targets if isinstance(it, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


@cache
def definitions() -> Definitions:
    """The package, read once."""
    return Definitions()
