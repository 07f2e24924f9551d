"""Benches of what-if scenarios: from a file's bytes to durable rows, beside the plain loop, and how memory grows.

The plain loop builds and solves the plain model for every scenario and keeps nothing. A sample of the scenarios goes
through it in the same run, in turns with ours, and every sampled answer is compared before its time counts.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import plain
from benchmarks.report import Report, Row
from benchmarks.timing import Aim, Timing, once
from solver.catalog import default_library
from solver.sweep.expand import expand
from solver.sweep.file import ScenarioFile, parse
from solver.sweep.questions import Questions
from solver.sweep.run import Settings, execute, register
from solver.sweep.store import Store

INLINE = Settings(executor="inline")
FILES: dict[str, str] = {
    "one limit": "sweeps: [{{grid: {{limits.budget_cny: {{from: 35000, to: 600000, count: {count}}}}}}}]",
    "prices and limits": """
sweeps:
  - random:
      draws: {count}
      seed: {seed}
      values:
        limits.budget_cny: {{uniform: [60000, 600000], step: 10}}
        limits.max_cards: {{choice: [2, 3, 4]}}
        site.socket_amps: {{choice: [10, 13, 16]}}
        prices.rtx-3090: {{normal: {{percent: 10}}}}
        prices.rtx-3090-blower: {{normal: {{percent: 10}}}}
        prices.rtx-4090: {{normal: {{percent: 10}}}}
        prices.rtx-4090-blower: {{normal: {{percent: 10}}}}
        prices.rtx-a6000: {{normal: {{percent: 10}}}}
        prices.rtx-6000-ada: {{normal: {{percent: 10}}}}
        prices.a100-80gb-pcie: {{normal: {{percent: 15}}}}
        prices.guide-base: {{triangular: {{percent: [-10, 0, 20]}}}}
""",
}
MEMORY_AIM_MIB = 32
"""Most that 100,000 scenarios may take beyond 1,000."""


def scenarios(quick: bool) -> Report:
    """Milliseconds per scenario: ours on one process and on two, and the plain loop."""
    report = Report("what-if scenarios, default catalogue, per scenario, rows durable")
    repeats, sampled = (3, 2) if quick else (9, 5)
    for case, aim, count in (("one limit", 500, 5000), ("prices and limits", 60, 1000)):
        ours, plains, two, alone = [], [], [], []
        for turn in range(-1, repeats):
            data = FILES[case].format(count=count, seed=turn).encode()
            timed, rows = once(lambda data=data: durable(data, INLINE))  # type: ignore[misc]
            chosen = random.Random(turn).sample(range(count), sampled)
            spent, answers = once(lambda data=data, chosen=chosen: [plain.full(p) for p in problems(data, chosen)])  # type: ignore[misc]
            for at, answer in zip(chosen, answers, strict=True):
                assert rows[at] == rig(answer), (case, at, rows[at], answer)
            pair, again = once(lambda data=data: durable(data, Settings(jobs=2)))  # type: ignore[misc]
            solved, once_more = once(lambda data=data: durable(data, Settings(executor="inline", frontiers=False)))  # type: ignore[misc]
            assert rows == again == once_more
            if turn >= 0:  # the first is for warming up
                ours.append(per(timed, count))
                plains.append(per(spent, sampled))
                two.append(per(pair, count))
                alone.append(per(solved, count))
        loop = together(plains)
        contenders = {"ours": ours, "ours, 2 processes (started too)": two, "plain loop": plains}
        if case == "one limit":
            contenders["ours without frontiers"] = alone
        for name, each in contenders.items():
            timing = together(each)
            figures = {"scenarios/s": round(1000 / timing.median), "plain loop / it": loop.median / timing.median}
            report.rows.append(Row(case, name, timing, figures))
        report.aims.append(Aim(f"{case}: ours / plain loop", together(ours).median / loop.median, 1 / aim, "x"))
    return report


def growth(quick: bool) -> Report:
    """Peak memory and rate of a fresh process from 10 to 100,000 scenarios, prices and limits varied."""
    report = Report("what-if scenarios, growth, a fresh process each")
    memory: dict[int, float] = {}
    for count in (10, 100, 1000, 10_000) if quick else (10, 100, 1000, 10_000, 100_000):
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.whatif", str(count)], capture_output=True, text=True, check=True
        )
        told = json.loads(ran.stdout)
        memory[count] = told["peak_mib"]
        timing = Timing((told["ms"] / count,), (told["cpu_ms"] / count,))
        figures = {"scenarios/s": round(count * 1000 / told["ms"]), "peak MiB": round(told["peak_mib"])}
        report.rows.append(Row(f"{count:,} scenarios", "ours", timing, figures))
    most = max(memory)
    grown = memory[most] - memory[1000]
    report.aims.append(Aim(f"memory of {most:,} scenarios beyond that of 1,000", grown, MEMORY_AIM_MIB, "MiB"))
    return report


def cluster(quick: bool) -> Report:
    """Milliseconds per scenario, start of the workers included: local processes beside as many Dask workers."""
    report = Report("what-if scenarios, prices and limits, local processes and Dask workers, rows durable")
    count, repeats = (2000, 1) if quick else (10_000, 3)
    ways = {
        "inline": INLINE,
        "local, 1 process": Settings(jobs=1),
        "local, 2 processes": Settings(jobs=2),
        "Dask, 1 worker": Settings(executor="dask", jobs=1),
        "Dask, 2 workers": Settings(executor="dask", jobs=2),
    }
    found: dict[str, list[Timing]] = {name: [] for name in ways}
    for turn in range(repeats):
        data = FILES["prices and limits"].format(count=count, seed=turn).encode()
        answers = []
        for name, settings in ways.items():
            timed, rows = once(lambda data=data, settings=settings: durable(data, settings))  # type: ignore[misc]
            found[name].append(per(timed, count))
            answers.append(rows)
        assert all(rows == answers[0] for rows in answers)
    alone = together(found["inline"]).median
    for name, timings in found.items():
        timing = together(timings)
        jobs = ways[name].jobs
        figures: dict[str, float] = {
            "scenarios/s": round(1000 / timing.median),
            "us added a scenario": round((timing.median * jobs - alone) * 1000),
        }
        report.rows.append(Row(f"{count:,} scenarios", name, timing, figures))
    return report


def durable(data: bytes, settings: Settings) -> list[tuple[Any, ...]]:
    """Run a file from its bytes into a store of its own; the rigs in order."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "runs.sqlite") as store:
        file = parse(data, "bench.yaml")
        run = register(store, "bench", file, data, default_library(), settings)
        counts = execute(store, run, settings)
        assert counts.done == file.total
        assert not counts.failed
        return store.query("SELECT card_id, card_count, power_limit_w, platform_id FROM result ORDER BY position")


def problems(data: bytes, chosen: list[int]) -> Iterator[Any]:
    """The whole questions of some scenarios, counted from 0, as the plain model is given them."""
    file: ScenarioFile = parse(data, "bench.yaml")
    questions = Questions(default_library(), file.question)
    found = {}
    for scenario in itertools.islice(expand(file, questions), max(chosen) + 1):
        if scenario.position - 1 in chosen:
            found[scenario.position - 1] = questions.whole(scenario.changes)
    return iter([found[at] for at in chosen])


def rig(answer: plain.Answer) -> tuple[Any, ...]:
    """What the plain model chose, as a row has it."""
    if not answer.feasible:
        return None, None, None, None
    return answer.card_id, answer.card_count, answer.power_limit_w, answer.platform_id


def per(timing: Timing, count: int) -> Timing:
    """Milliseconds of one of so many."""
    return Timing(tuple(ms / count for ms in timing.ms), tuple(ms / count for ms in timing.cpu_ms))


def together(timings: list[Timing]) -> Timing:
    """All repeats of one contender."""
    return Timing(tuple(ms for t in timings for ms in t.ms), tuple(ms for t in timings for ms in t.cpu_ms))


BENCHES: dict[str, Callable[[bool], Report]] = {"whatif": scenarios, "whatif-growth": growth, "whatif-cluster": cluster}


def main() -> None:
    """Run one file of so many scenarios in this process, and tell time and peak memory as JSON."""
    count = int(sys.argv[1])
    data = FILES["prices and limits"].format(count=count, seed=1).encode()
    timing, _ = once(lambda: durable_only(data, INLINE))
    print(json.dumps({"ms": timing.ms[0], "cpu_ms": timing.cpu_ms[0], "peak_mib": _peak_mib()}))


def _peak_mib() -> float:
    """The most memory this program ever held. Not `ru_maxrss`: that starts from what its parent held."""
    told = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if told is None:
        raise RuntimeError("/proc/self/status tells no VmHWM")
    return int(told[1]) / 1024


def durable_only(data: bytes, settings: Settings) -> None:
    """As `durable`, without reading the rows back."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "runs.sqlite") as store:
        run = register(store, "bench", parse(data, "bench.yaml"), data, default_library(), settings)
        execute(store, run, settings)


if __name__ == "__main__":
    main()
