"""Where the time goes: own time by module of `optimize` in process, of a sweep, and imports of a cold start."""

from __future__ import annotations

import cProfile
import pstats
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Report, Table
from benchmarks.solve import default_questions, solved
from benchmarks.whatif import FILES, INLINE, durable_only
from solver.domain.problem import GOALS

SHOWN = 8
_ROOT = Path(__file__).parent.parent


def where_time_goes(quick: bool) -> Report:
    """Shares of time of the three things that people wait for."""
    report = Report("where the time goes")
    questions = [q for goal in GOALS for q in default_questions(goal, 5 if quick else 50)]
    for question in questions[:8]:
        solved(question)
    scenarios = FILES["prices and limits"].format(count=200 if quick else 2000, seed=3).encode()
    for title, call in (
        ("`optimize` in process, default catalogue, all goals", lambda: [solved(q) for q in questions]),
        ("a scenario in a sweep over prices and limits", lambda: durable_only(scenarios, INLINE)),
    ):
        report.tables.append(Table(f"{title}, own time by module", ("module", "share"), _shares(call)))
    report.tables.append(Table("cold `solver-cli optimize`, time of imports", ("package", "share"), _imports()))
    report.notes.append("The profiler stretches Python more than compiled code: shares are a guide, not a bill.")
    return report


def _shares(call: Callable[[], object]) -> list[list[str]]:
    profile = cProfile.Profile()
    profile.runcall(call)
    spent: Counter[str] = Counter()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # a documented part of the class, not of its stub
    for (path, _line, function), (_calls, _all, own, _cumulative, _callers) in stats.items():
        spent[_module(path, function)] += own
    return _top(spent)


def _module(path: str, function: str) -> str:
    """What a line of the profile belongs to: our module, another package, or compiled code by its type."""
    if path == "~":
        return "CP-SAT" if "Solve" in function else "compiled: " + ("numpy" if "numpy" in function else "Python's own")
    file = Path(path)
    if file.is_relative_to(_ROOT) and ".venv" not in file.parts:
        return ".".join(file.relative_to(_ROOT).with_suffix("").parts)
    parts = file.parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return f"Python: {file.stem}"


def _imports() -> list[list[str]]:
    start = "import sys; sys.argv = ['solver-cli', 'optimize', '--budget', '300000']; from solver.cli import run; run()"
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", start], capture_output=True, text=True, timeout=60, check=True
    ).stderr
    spent: Counter[str] = Counter()
    for line in told.splitlines():
        own, _, name = (part.strip() for part in line.removeprefix("import time:").partition("|")[::1])
        if own.isdigit():
            package = name.rpartition("|")[2].strip().partition(".")[0]
            spent[package] += int(own)
    return _top(spent)


def _top(spent: Counter[str]) -> list[list[str]]:
    total = sum(spent.values())
    rows = [[name, f"{each / total:.0%}"] for name, each in spent.most_common(SHOWN)]
    rest = 1 - sum(each for _, each in spent.most_common(SHOWN)) / total
    return [*rows, ["everything else", f"{rest:.0%}"]]


BENCHES: dict[str, Callable[[bool], Report]] = {"profile": where_time_goes}
