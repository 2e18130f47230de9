"""`python -m tests.bench [NAME …] [--quick] [--database NAME]`: measure, print a table, write JSON to `results/`.

A module of this package named `*_bench.py` is a benchmark: it has `async def run(options: Options) -> list[Row]`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from .table import Options, Row, print_table  # noqa: E402 - the line above makes `support` importable


def main() -> None:
    """Run the benchmarks that are asked for (default: all)."""
    names = sorted(file.stem.removesuffix("_bench") for file in HERE.glob("*_bench.py"))
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the ledger.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(names)}")
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of each measurement")
    parser.add_argument("--quick", action="store_true", help="two seconds each: whether it runs, not how fast")
    parser.add_argument("--database", choices=["postgresql", "cockroachdb"], help="only this one")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    options = Options(seconds=2.0 if arguments.quick else arguments.seconds, database=arguments.database)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    for name in arguments.names or names:
        module = importlib.import_module(f".{name}_bench", __package__)
        loads = os.getloadavg()
        rows: list[Row] = asyncio.run(module.run(options))
        print_table(name, rows)
        _write(name, options, rows, loads)


def _write(name: str, options: Options, rows: list[Row], loads: tuple[float, ...]) -> None:
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "measuredAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.bench {name} --seconds {options.seconds:g}",
        "machine": {
            "cores": os.cpu_count(),
            "loadAverage": [round(load, 1) for load in loads],
            "python": platform.python_version(),
            "system": platform.system(),
        },
        "rows": [row.as_json() for row in rows],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
