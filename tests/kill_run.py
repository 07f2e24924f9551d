"""Kills a run of what-if scenarios again and again, resumes it, and compares it with one nobody touched.

`make whatif-kill` runs it with 100 kills over 2,000 scenarios; a test with a few.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from solver.sweep.columns import VOLATILE

FILE = """
base: {{limits: {{budget_cny: 300000}}}}
sweeps:
  - name: prices
    random:
      draws: {half}
      seed: 5
      values:
        prices.rtx-a6000: {{normal: {{percent: 15}}}}
        prices.a100-80gb-pcie: {{normal: {{percent: 15}}}}
        limits.budget_cny: {{uniform: [30000, 600000], step: 1000}}
  - name: budgets
    grid: {{limits.budget_cny: {{from: 30000, to: 600000, count: {half}}}}}
"""


@dataclass
class Told:
    """What happened: kills of the command and of workers, times resumed, rows at each kill, and how it ended."""

    scenarios: int
    kills: int
    of_the_command: int
    of_workers: int
    rows_at_kills: list[int]
    equal: bool
    lost: int
    twice: int
    integrity: str


def killed_run(folder: Path, scenarios: int, kills: int, seed: int) -> Told:
    """Run, kill at random moments until so many kills or the end, finish, and compare with the serial reference."""
    rng = random.Random(seed)
    file = folder / "plan.yaml"
    file.write_text(FILE.format(half=scenarios // 2))
    whatif = [sys.executable, "-c", "from solver.cli import main; main()", "whatif"]
    reference, store = folder / "reference.sqlite", folder / "killed.sqlite"
    first = [*whatif, "run", str(file), "--run-id", "r", "-q"]
    subprocess.run([*first, "--store", str(reference), "--executor", "inline", "-o", str(folder / "a.csv")], check=True)
    told = Told(scenarios, 0, 0, 0, [], False, 0, 0, "")
    started = False
    while told.kills < kills and _count(store) < scenarios:
        begun = [*whatif, "resume", "r", "-q"] if started else first
        process = subprocess.Popen([*begun, "--store", str(store), "--jobs", "2"], start_new_session=True)
        started = _wait_for_rows(process, store, _count(store) + rng.choice((1, 1, 20, 400)), rng)
        if process.poll() is None:
            if rng.random() < 0.4:
                for worker in descendants(process.pid):
                    if rng.random() < 0.5 and "forkserver" in command_of(
                        worker
                    ):  # the server of workers, or one of them
                        _kill(worker)
                        told.of_workers += 1
                        told.kills += 1
                time.sleep(rng.uniform(0, 0.3))
            if process.poll() is None:
                _kill(process.pid)
                told.of_the_command += 1
                told.kills += 1
        process.wait()
        told.rows_at_kills.append(_count(store))
    last = [*whatif, "resume", "r", "-q"] if started else first
    subprocess.run([*last, "--store", str(store), "--jobs", "2", "-o", str(folder / "b.csv")], check=True)
    a, b = _rows(folder / "a.csv"), _rows(folder / "b.csv")
    positions = [row["position"] for row in b]
    told.equal = a == b
    told.lost = len({row["position"] for row in a} - set(positions))
    told.twice = len(positions) - len(set(positions))
    with sqlite3.connect(store) as db:
        told.integrity = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    return told


def _wait_for_rows(process: subprocess.Popen[bytes], store: Path, rows: int, rng: random.Random) -> bool:
    """Wait for a random while, at the most until so many rows are there; whether the run is registered.

    Both ends come early enough on any machine: a slow one is killed by the clock, a fast one before it is done.
    """
    deadline = time.monotonic() + rng.choice((rng.uniform(0.3, 2.5), 20))
    while process.poll() is None and time.monotonic() < deadline and _count(store) < rows:
        time.sleep(rng.uniform(0.001, 0.03))
    return _registered(store)


def _count(store: Path) -> int:
    return _query(store, "SELECT count(*) FROM result")


def _registered(store: Path) -> bool:
    return _query(store, "SELECT count(*) FROM run") > 0


def _query(store: Path, sql: str) -> int:
    if not store.exists():
        return 0
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)
    try:
        return int(db.execute(sql).fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # not made yet
    finally:
        db.close()


def descendants(pid: int) -> list[int]:
    """All processes that a process has started, and they in turn."""
    parents: dict[int, int] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                parents[int(each.name)] = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: list[int] = []
    layer = [pid]
    while layer:
        layer = [child for child, parent in parents.items() if parent in layer]
        found += layer
    return found


def command_of(pid: int) -> str:
    """The command line of a process; "" once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
    except OSError:
        return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if not k.endswith(VOLATILE)} for row in csv.DictReader(file)]


def main() -> int:
    """Kill until so many kills have been counted, over as many runs as that takes."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_run")
    parser.add_argument("--scenarios", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    kills, seed, good = 0, asked.seed, True
    while kills < asked.kills:
        with tempfile.TemporaryDirectory() as folder:
            told = killed_run(Path(folder), asked.scenarios, asked.kills - kills, seed)
        kills, seed = kills + told.kills, seed + 1
        good &= told.equal and not told.lost and not told.twice and told.integrity == "ok"
        print(json.dumps(asdict(told)), flush=True)
    print(f"{kills} kills: {'every run equals the serial reference' if good else 'DIFFERENT'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
