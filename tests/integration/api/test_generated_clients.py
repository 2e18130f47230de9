"""Clients that others generate from openapi.json compile under the strictest rules of their language.

The generators come from their registries once, into a folder of this user's temporary files. Without Node, or without a
registry, a test is skipped and says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chronicle_ledger.api.app import document

NODE_PACKAGES = ("openapi-typescript@7.13.0", "typescript@5.9.3", "@redocly/cli@2.77.0")
PYTHON_PACKAGES = ("openapi-python-client==0.29.1",)
OPENAPI = Path(__file__).parents[3] / "openapi.json"

PROGRAM = """
import type { components, paths } from "./api";

type Open = components["schemas"]["OpenAccountRequest"];
type Problem = components["schemas"]["ProblemAnswer"];
type Batch = paths["/v1/transactions:batch"]["post"]["requestBody"]["content"]["application/json"];

export const least: Open = { currency: "EUR" };
export const free: Open = { currency: "EUR", metadata: { order: "A-17", lines: [1, 2], of: { any: "depth" } } };
export const code: Problem["code"] = "insufficient_funds";
// @ts-expect-error: the codes are an enumeration
export const unknown: Problem["code"] = "no_such_code";
export const batch: Batch = {
  atomic: true,
  transactions: [{ type: "deposit", idempotency_key: "k", account_id: "x", amount: 1 }],
};
declare const result: components["schemas"]["BatchResult"];
export const refused: Problem | undefined = result.problem;
"""


def cached(name: str, packages: tuple[str, ...], install: Callable[[Path], list[str]]) -> Path:
    """The folder into which `install` has put the packages, this time or an earlier one."""
    key = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(packages))
    folder = Path(tempfile.gettempdir()) / f"chronicle-generators-{os.getuid()}" / f"{name}-{key}"
    if folder.exists():
        return folder
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    done = subprocess.run(install(made), check=False, capture_output=True, text=True, timeout=240)
    if done.returncode:
        shutil.rmtree(made)
        pytest.skip(f"{name}: the registry cannot be reached: {done.stderr.strip()[-200:]}")
    try:
        made.rename(folder)
    except OSError:  # another worker was faster
        shutil.rmtree(made)
    return folder


@pytest.fixture(scope="module")
def node() -> Path:
    """The folder of Node's programs."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on PATH")
    quiet = ["--no-fund", "--no-audit", "--no-package-lock", "--ignore-scripts"]
    folder = cached("npm", NODE_PACKAGES, lambda made: [npm, "install", *quiet, "--prefix", str(made), *NODE_PACKAGES])
    return folder / "node_modules" / ".bin"


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run to the end; what it said. Fails with it."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False, capture_output=True, text=True, cwd=folder, timeout=240, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_a_client_in_typescript_compiles_in_strict_mode(node: Path, tmp_path: Path) -> None:
    run(node / "openapi-typescript", OPENAPI, "-o", "api.d.ts", folder=tmp_path)
    (tmp_path / "client.ts").write_text(PROGRAM)
    options = [
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--exactOptionalPropertyTypes",
        "--target",
        "es2022",
        "--module",
        "es2022",
    ]
    run(node / "tsc", *options, "--moduleResolution", "bundler", "client.ts", folder=tmp_path)


@pytest.mark.timeout(600)
def test_a_strict_linter_has_nothing_to_say(node: Path, tmp_path: Path) -> None:
    # The catalogue also has examples of codes that no operation answers: no such path, no such method.
    rules = ["--extends", "recommended-strict", "--skip-rule", "no-unused-components"]
    said = run(node / "redocly", "lint", OPENAPI, *rules, folder=tmp_path, REDOCLY_TELEMETRY="off")
    assert "warnings" not in said
    assert "error" not in said.lower()


@pytest.mark.timeout(600)
def test_a_client_in_python_passes_mypy_in_strict_mode(tmp_path: Path) -> None:
    into = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
    folder = cached("pip", PYTHON_PACKAGES, lambda made: [*into, str(made), *PYTHON_PACKAGES])
    generate: list[str | Path] = ["generate", "--path", OPENAPI, "--output-path", "client", "--meta", "none"]
    said = run(
        sys.executable, "-m", "openapi_python_client", *generate, folder=tmp_path, PYTHONPATH=str(folder)
    )  # fmt: skip
    assert "unsupported" not in said.lower()
    # A cache of its own: what the client imports is analysed once.
    cache: list[str | Path] = ["--cache-dir", folder / "mypy_cache"]
    run(sys.executable, "-m", "mypy", "--strict", "--config-file=", *cache, "client", folder=tmp_path)


def test_each_operation_says_whether_it_needs_a_key() -> None:
    operations = [operation for path in document()["paths"].values() for operation in path.values()]
    open_ones = {operation["operationId"] for operation in operations if operation["security"] == []}
    assert open_ones == {"getHealth", "getLiveness", "getReadiness", "getMetrics"}
    assert {str(operation["security"]) for operation in operations} == {"[]", "[{}, {'key': []}]"}


def test_no_pattern_has_what_go_cannot_read_and_every_integer_has_its_width() -> None:
    def parts(value: object) -> list[dict[str, object]]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [*([value] if isinstance(value, dict) else []), *(part for one in inner for part in parts(one))]

    schemas = [part for part in parts({**document(), "info": {}}) if isinstance(part.get("type"), str)]
    assert not [part for part in schemas if "(?" in str(part.get("pattern", ""))]
    assert {part.get("format") for part in schemas if part["type"] == "integer"} == {"int64"}
    free = [part for part in schemas if part["type"] == "object" and "properties" not in part]
    assert free
    assert all(part.get("additionalProperties") for part in free)


def test_no_request_has_a_default_that_a_generator_would_demand() -> None:
    schemas = document()["components"]["schemas"]
    requests = [schema for name, schema in schemas.items() if name.endswith("Request") or name.startswith("Batch")]
    properties = [member for schema in requests for member in schema.get("properties", {}).values()]
    assert properties
    assert not [member for member in properties if "default" in member]
    assert "Default: 0." in schemas["OpenAccountRequest"]["properties"]["floor"]["description"]
