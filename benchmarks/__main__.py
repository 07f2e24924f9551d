"""Run the benches: `python -m benchmarks [--quick] [NAME ...]`.

Prints tables and verdicts and writes raw figures to benchmarks/results/<date>.json. To add a bench: a function
`(quick) -> Report` in a module of its own, and a line in `BENCHES`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import explain, server, solve, start_up, whatif
from benchmarks.report import Report

RESULTS = Path(__file__).parent / "results"

BENCHES: dict[str, Callable[[bool], Report]] = {
    "solve-default": solve.default_catalogue,
    "solve-prepared": solve.nothing_prepared,
    "solve-large": solve.large_catalogues,
    **server.BENCHES,
    "start-up": start_up.cold_starts,
    "explain": explain.explanations,
    "frontier": explain.curves,
    **whatif.BENCHES,
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("ortools", "numpy", "pydantic")},
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the benches asked for, print them, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure; every answer is compared.")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller catalogues")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all without one")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    reports = {}
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if busy > 0.5:
        print(f"the machine is busy ({busy:.1f} tasks a core): times will be too long, ratios less so", file=sys.stderr)
    for name in asked.names or BENCHES:
        reports[name] = BENCHES[name](asked.quick)
        print(reports[name].text(), end="\n\n", flush=True)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{datetime.date.today().isoformat()}{'-quick' if asked.quick else ''}.json"
    data = {
        "quick": asked.quick,
        "machine": machine(),
        "benches": {name: report.raw() for name, report in reports.items()},
    }
    kept.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(f"raw figures: {kept}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
