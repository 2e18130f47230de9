"""Write the files that are generated from the code, or check (`--check`) that what is committed is what the code says.

Generated: openapi.json from the HTTP API; the CRD and the plain manifests from the operator's typed spec; the users of
NATS of the local mode and the compose stack from the rights that processes have there.
Exit status: 0 nothing to do or written; 1 with `--check` where a file differs; 2 usage.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path

from chronicle_ledger.api import app
from chronicle_ledger.events import permissions
from chronicle_operator.packaging import packaging

ROOT = Path(__file__).parents[1]


def generated() -> dict[str, str]:
    """Everything that the code decides: path relative to the repository's root, and text."""
    files = {"openapi.json": json.dumps(app.document(), indent=2, ensure_ascii=False) + "\n"}
    files.update(packaging.files())
    for folder in ("chaos/chronicle_chaos/local", "deploy/compose"):
        files[f"{folder}/nats-users.conf"] = permissions.configuration()
    return files


def main() -> int:
    """Write or check, and say what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file differs")
    check = parser.parse_args().check
    stale = []
    for name, text in generated().items():
        path = ROOT / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        stale.append(name)
        if check:
            diff = difflib.unified_diff(old.splitlines(), text.splitlines(), "committed", "generated", lineterm="", n=1)
            print(f"{name} is not what the code says:", *list(diff)[:20], sep="\n  ", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    if check and stale:
        print(f"{len(stale)} generated files are stale; run: make generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
