"""Run the benches: `python -m benchmarks [--quick] [NAME ...]`.

Prints tables and verdicts, keeps raw figures in benchmarks/results/<date>.json after each bench, and, after a run of
all, writes the page (page.py). Some benches by name renew their figures in the file of the day. To add a bench: a
function `(quick) -> Report` in a module of its own, and a line in `BENCHES`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import contest, explain, page, peers, profiles, server, solve, start_up, whatif
from benchmarks.report import Report

RESULTS = Path(__file__).parent / "results"

BENCHES: dict[str, Callable[[bool], Report]] = {
    "solve-default": solve.default_catalogue,
    "solve-prepared": solve.nothing_prepared,
    "solve-large": solve.large_catalogues,
    **contest.BENCHES,
    **server.BENCHES,
    "start-up": start_up.cold_starts,
    "explain": explain.explanations,
    "frontier": explain.curves,
    **whatif.BENCHES,
    **peers.BENCHES,
    **profiles.BENCHES,
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
        "versions": {name: metadata.version(name) for name in ("ortools", "numpy", "pydantic", "grpcio")},
    }


def _figures_of_today(kept: Path, quick: bool, fresh: bool) -> dict[str, Any]:
    """The figures to add to: those of an earlier run of today, unless everything is measured again."""
    if not fresh and kept.exists():
        earlier: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return earlier
    today = datetime.date.today().isoformat()
    return {"quick": quick, "date": today, "minutes": 0, "machine": machine(), "benches": {}}


def main(arguments: list[str] | None = None) -> int:
    """Run the benches asked for, print them, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure; every answer is compared.")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller catalogues")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all without one")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if busy > 0.5:
        print(f"the machine is busy ({busy:.1f} tasks a core): times will be too long, ratios less so", file=sys.stderr)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{datetime.date.today().isoformat()}{'-quick' if asked.quick else ''}.json"
    data = _figures_of_today(kept, asked.quick, fresh=not asked.names)
    began = time.monotonic()
    for name in asked.names or BENCHES:
        report = BENCHES[name](asked.quick)
        print(report.text(), end="\n\n", flush=True)
        data["benches"][name] = report.raw()
        if not asked.names:
            data["minutes"] = round((time.monotonic() - began) / 60, 2)
        kept.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(f"raw figures: {kept}", file=sys.stderr)
    if not asked.quick and set(data["benches"]) >= set(BENCHES):
        print(f"page: {page.write(data)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
