"""Every small change of a module that ought to change what it does. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One changed place. `name` tells it from all others, whatever the line; `number` is its place in the walk."""

    number: int
    line: int
    name: str
    tree: ast.Module


def _changed(node: ast.AST) -> ast.AST | None:  # noqa: C901 - one case for each kind of change
    """What stands in the place of `node` in a changed module; None for what is left alone."""
    match node:
        case ast.Compare(ops=[operator, *rest]) if type(operator) in _COMPARISONS:
            return ast.Compare(node.left, [_COMPARISONS[type(operator)](), *rest], node.comparators)
        case ast.BoolOp(op=ast.And()):
            return ast.BoolOp(ast.Or(), node.values)
        case ast.BoolOp():
            return ast.BoolOp(ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            return node.operand
        case ast.UnaryOp(op=ast.USub()):
            return node.operand
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
            return ast.BinOp(node.left, _OPERATORS[type(operator)](), node.right)
        case ast.Constant(value=bool() as value):
            return ast.Constant(not value)
        case ast.Constant(value=int() as number):
            return ast.Constant(number + 1)
        case ast.Constant(value=str() as text) if text and " " not in text and "\n" not in text:
            return ast.Constant(text + "X")  # a key or a code; sentences are for people
        case ast.If() | ast.While():
            changed = deepcopy(node)
            changed.test = ast.UnaryOp(ast.Not(), changed.test)
            return changed
        case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Call()):
            return ast.Pass()
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            return ast.Return(ast.Constant(None))
        case _:
            return None


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """What decides behaviour below `node`: not annotations, decorators and documentation."""
    skipped = {"annotation", "returns", "decorator_list", "type_params"}
    for field, value in ast.iter_fields(node):
        if field in skipped or (isinstance(node, ast.ClassDef) and field in {"bases", "keywords"}):
            continue
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST) and not (field == "body" and _documentation(item)):
                    yield item, field, index
        elif isinstance(value, ast.AST):
            yield value, field, None


def _documentation(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr)


def changes(source: str) -> list[Change]:
    """All changes of a module, in order of appearance."""
    found: list[Change] = []
    names: dict[str, int] = {}

    def walk(node: ast.AST, within: str, path: tuple[tuple[str, int | None], ...]) -> None:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            within = f"{within}.{node.name}" if within else node.name
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        after = _changed(node)
        if after is not None:
            shown = f"{within or 'module'}: {_shown(node)} → {_shown(after)}"
            names[shown] = names.get(shown, 0) + 1
            name = shown if names[shown] == 1 else f"{shown} ({names[shown]})"
            tree = ast.parse(source)
            _replace(tree, path, after)
            found.append(Change(len(found), getattr(node, "lineno", 0), name, tree))
        for child, field, index in _children(node):
            walk(child, within, (*path, (field, index)))

    walk(ast.parse(source), "", ())
    return found


def _shown(node: ast.AST) -> str:
    """A node in one short line."""
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())[:100]


def _replace(tree: ast.Module, path: tuple[tuple[str, int | None], ...], after: ast.AST) -> None:
    node: ast.AST = tree
    for field, index in path[:-1]:
        value = getattr(node, field)
        node = value if index is None else value[index]
    field, index = path[-1]
    before = getattr(node, field) if index is None else getattr(node, field)[index]
    ast.copy_location(after, before)
    if index is None:
        setattr(node, field, after)
    else:
        getattr(node, field)[index] = after
    ast.fix_missing_locations(tree)
