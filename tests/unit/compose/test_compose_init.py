"""The script that initializes a compose stack's database may run at any time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "deploy" / "compose" / "cockroach-init.sh"

COCKROACH = """#!/bin/sh
echo "$1" >> "$CALLS"
case $1 in
init)
  if [ -e "$CALLS.done" ]; then echo "ERROR: cluster has already been initialized" >&2; exit 1; fi
  touch "$CALLS.done" ;;
esac
"""


def test_a_database_that_is_initialized_already_is_what_the_script_wants(tmp_path: Path) -> None:
    program, calls = tmp_path / "cockroach", tmp_path / "calls"
    program.write_text(COCKROACH)
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)}
    for _ in range(2):
        done = subprocess.run(["sh", SCRIPT], env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert calls.read_text().split() == ["init", "sql"] * 2, "neither was asked twice"
