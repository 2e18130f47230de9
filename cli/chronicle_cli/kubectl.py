"""`kubectl chronicle`: the same command line, named for kubectl (a thin alias)."""

from __future__ import annotations

from chronicle_cli.main import main as chronicle


def main() -> None:
    """Run `chronicle` under the name that kubectl's users type."""
    chronicle(prog_name="kubectl chronicle")
