"""`kubectl chronicle`: the commands for a cluster, named for kubectl."""

from __future__ import annotations

from chronicle_cli.main import plugin


def main() -> None:
    """Run under the name that kubectl's users type."""
    plugin(prog_name="kubectl chronicle")


if __name__ == "__main__":
    main()
