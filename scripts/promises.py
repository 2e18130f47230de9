"""Hold docs/promises.md against the documents and the tests.

A sentence of README.md, docs/ or openapi.json that has one of the words in `WORDS` promises something, or sounds so.
docs/promises.md lists each: with the test that tries to break it, or among those that promise nothing. Exit status 1
where a listed sentence is no longer in its document, a named test does not exist, or a sentence is not listed.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = "docs/promises.md"
WORDS = re.compile(r"\b(always|never|exactly|at most|the same|for ever|forever|any|within)\b", re.IGNORECASE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| (.+?) \|(?: (.+?) \|)?$")
NO_PROMISE = "no promise"


def documents() -> dict[str, str]:
    """Return each document's name and its prose, without blocks of code."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    texts = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in pages}
    texts.pop(LIST, None)
    texts = {name: re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE) for name, text in texts.items()}
    specification = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
    texts["openapi.json"] = "\n\n".join(dict.fromkeys(_descriptions(specification)))
    return texts


def _descriptions(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            if name in {"description", "summary"} and isinstance(member, str):
                yield member
            else:
                yield from _descriptions(member)
    elif isinstance(value, list):
        for member in value:
            yield from _descriptions(member)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page; a row of a table and an item of a list begin a sentence."""
    for block in re.split(r"\n\s*\n|\n(?=\s*[-|#*] |\s*\d+\. )", text):
        for sentence in re.split(r"(?<=[.!?;])\s+", plain(block)):
            if WORDS.search(sentence):
                yield sentence


def plain(text: str) -> str:
    """Return a text on one line, without the marks of tables, lists and emphasis."""
    return " ".join(re.sub(r"[|*]|^\s*[-#]+ ", " ", text, flags=re.MULTILINE).split())


def listed() -> Iterator[tuple[str, str, str]]:
    """Yield page, sentence (or a part of it) and the cell with its tests from docs/promises.md."""
    page = ""
    for line in (ROOT / LIST).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            page = line[3:].strip().strip("`")
        elif (row := ROW.match(line)) and page and not row[1].startswith(("---", "promise")):
            yield page, row[1].strip(), (row[2] or "").strip()


def tests_in(path: Path) -> set[str]:
    """Return the names of the test functions in a file; empty where there is no such file."""
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test")}


def problems() -> Iterator[str]:
    """Yield one line for each mistake."""
    texts = documents()
    entries = list(listed())
    flat = {page: plain(text) for page, text in texts.items()}
    for page, sentence, tests in entries:
        if plain(sentence) not in flat.get(page, ""):
            yield f"{LIST}: {page} does not say (any more): {sentence}"
        named = TEST.findall(tests)
        if not named and tests != NO_PROMISE:
            yield f"{LIST}: name a test as `tests/….py::test_…`, or write `{NO_PROMISE}`: {sentence}"
        for file, name in named:
            if name not in tests_in(ROOT / file):
                yield f"{LIST}: there is no test {file}::{name}"
    for page, text in texts.items():
        known = [plain(sentence) for of, sentence, _ in entries if of == page]
        for sentence in sentences(text):
            if not any(part in sentence for part in known):
                yield f"{page}: not in {LIST}: {sentence}"


def main() -> int:
    """Print what is wrong."""
    lines = list(problems())
    print(*lines, sep="\n", file=sys.stderr)
    if lines:
        print(f"{len(lines)} mistakes: list each such sentence with a test that tries to break it", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
