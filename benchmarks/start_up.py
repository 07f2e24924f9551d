"""Benches of cold starts: each command as a process of its own, beside bare imports and other methods' cold starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.report import Report, Row
from benchmarks.timing import Aim, Timing

_PROGRAM = [sys.executable, "-c", "from solver.cli import run; run()"]
_ASKED = "from solver.catalog import default_problem; q = default_problem(limits={'budget_cny': 300_000}); "
_WHY = (
    "nine tenths of it are imports: OR-Tools' compiled part and NumPy, which the bare import has too, and Click, "
    "pydantic with our records, and PyYAML, which it has not; what it has and we do without is pandas"
)
COMMANDS = {
    "bare python": [sys.executable, "-c", ""],
    "bare click": [sys.executable, "-c", "import click"],
    "bare cp_model": [sys.executable, "-c", "from ortools.sat.python import cp_model"],
    "--help": [*_PROGRAM, "--help"],
    "catalog list": [*_PROGRAM, "catalog", "list"],
    "optimize": [*_PROGRAM, "optimize", "--budget", "300000", "--format", "json"],
    "optimize, table": [*_PROGRAM, "optimize", "--budget", "300000"],
    "plain model": [sys.executable, "-c", f"{_ASKED}from benchmarks import plain; assert plain.full(q).feasible"],
    "HiGHS, all pairs": [sys.executable, "-c", f"{_ASKED}from benchmarks import linear; linear.all_pairs(q, 'HiGHS')"],
}


def cold_starts(quick: bool) -> Report:
    """Wall and processor time of cold starts, the commands in turn; the first, uncounted one writes byte code."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    wall: dict[str, list[float]] = {name: [] for name in COMMANDS}
    cpu: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(1 + (3 if quick else 11)):
        for name, command in COMMANDS.items():
            before, began = os.times(), time.perf_counter()
            subprocess.run(command, capture_output=True, env=environment, timeout=60, check=True)
            taken, after = time.perf_counter() - began, os.times()
            if turn:
                wall[name].append(1000 * taken)
                spent = after.children_user + after.children_system - before.children_user - before.children_system
                cpu[name].append(1000 * spent)
    report = Report("cold starts")
    timings = {name: Timing(tuple(wall[name]), tuple(cpu[name])) for name in COMMANDS}
    bare = timings["bare cp_model"].median
    for name, timing in timings.items():
        report.rows.append(Row("process start to end", name, timing, {"it / bare cp_model": timing.median / bare}))
    report.aims.append(Aim("--help", timings["--help"].median, 150, "ms"))
    ratio = timings["optimize"].median / bare
    report.aims.append(Aim("cold optimize against the bare import of cp_model", ratio, 0.7, "x", _WHY))
    return report
