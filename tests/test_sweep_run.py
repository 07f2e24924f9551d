"""Runs: nothing lost, nothing twice, whatever dies; and the store that makes it so."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from solver.catalog import default_library
from solver.domain.errors import InvalidProblem, UnknownName
from solver.sweep.engine import answer_batch
from solver.sweep.executors import InlineExecutor, LocalExecutor, run_batches
from solver.sweep.export import records, write
from solver.sweep.file import parse
from solver.sweep.library_text import text_of
from solver.sweep.run import Failed, Progress, Settings, execute, file_of, register, scenarios_of
from solver.sweep.scenario import Batch, Row, Scenario
from solver.sweep.store import Run, Store
from solver.sweep.summary import summary_of

INLINE = Settings(executor="inline")
PRICES = b"""
base: {limits: {budget_cny: 200000}}
sweeps:
  - grid: {site.socket_amps: [10, 16]}
    random:
      draws: 150
      seed: 3
      values: {prices.rtx-a6000: {normal: {percent: 15}}, limits.budget_cny: {uniform: [30000, 300000]}}
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite") as opened:
        yield opened


def registered(store: Store, data: bytes = PRICES, run_id: str = "run", settings: Settings = INLINE) -> Run:
    return register(store, run_id, parse(data, "plan.yaml"), data, default_library(), settings)


def rows(store: Store, run: Run) -> list[dict[str, Any]]:
    """All exported columns but those of the clock."""
    return [
        {name: value for name, value in record.items() if not name.endswith(("_ms", "_seconds", "_at"))}
        for record in records(store, run)
    ]


def empty_batch() -> Batch:
    return Batch(text_of(default_library()), "{}", ())


# Executors ---------------------------------------------------------------------------------------------------------


def plain_rows(batch: Batch) -> list[Row]:
    """Answers without solving, for tests of what carries them."""
    return [Row(s.position, s.name, "optimal", "solver", "{}", None, "", "", "") for s in batch.scenarios]


def poisoned(batch: Batch) -> list[Row]:
    """Dies of every scenario whose name says so, as a segfault would kill it."""
    if any(s.name == "poison" for s in batch.scenarios):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain_rows(batch)


def slow(batch: Batch) -> list[Row]:
    if any(s.name == "slow" for s in batch.scenarios):
        time.sleep(60)
    return plain_rows(batch)


def wrong(batch: Batch) -> list[Row]:
    raise RuntimeError(f"a mistake of ours in {len(batch.scenarios)}")


def batches(count: int, size: int, **odd: str) -> list[Batch]:
    made = [
        Scenario(n, next((name for name, at in odd.items() if str(n) in at.split(",")), f"s{n}"), {})
        for n in range(1, count * size + 1)
    ]
    return [empty_batch().part(made[at : at + size]) for at in range(0, len(made), size)]


@pytest.fixture
def local() -> Iterator[LocalExecutor]:
    executor = LocalExecutor(2)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def test_a_poison_scenario_fails_alone(local: LocalExecutor) -> None:
    """Tests that batches that kill their worker are halved until the scenarios that do it are alone and fail."""
    found = list(run_batches(local, poisoned, iter(batches(4, 8, poison="5,20")), 5))
    by_position = {row.position: row for part in found for row in part}
    assert sorted(by_position) == list(range(1, 33))
    assert sum(len(part) for part in found) == 32
    assert {p for p, row in by_position.items() if row.status == "failed"} == {5, 20}
    assert by_position[5].error == "internal: its worker died 3 times"


def test_the_loss_of_the_whole_pool_costs_nothing(local: LocalExecutor) -> None:
    """Tests that with idle workers and the server that starts them killed, a new pool answers everything, once each."""
    first = list(run_batches(local, plain_rows, iter(batches(2, 4)), 3))
    for victim in _children(os.getpid()):
        os.kill(victim, signal.SIGKILL)
    second = list(run_batches(local, plain_rows, iter(batches(6, 4)), 3))
    assert sorted(row.position for part in first for row in part) == list(range(1, 9))
    assert sorted(row.position for part in second for row in part) == list(range(1, 25))
    assert not any(row.error for part in second for row in part)


def _children(pid: int) -> list[int]:
    """The forkserver of a process and all that it has started; pytest's own processes are not its children."""
    from tests.kill_run import command_of, descendants

    return [each for each in descendants(pid) if "forkserver" in command_of(each)]


def test_a_pool_that_is_killed_while_it_begins_is_begun_again(
    local: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that the death of the server that starts the workers, before the first has begun, costs a new pool only."""

    def killed() -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(local._pool._pool_manager, "start", killed)
    batch = empty_batch().part(tuple(Scenario(at, f"s{at}", {}) for at in range(1, 11)))
    found = [row for done in run_batches(local, plain_rows, iter([batch]), 1) for row in done]
    assert [row.position for row in found] == list(range(1, 11))


def test_a_slow_scenario_fails_alone(local: LocalExecutor) -> None:
    """Tests that a scenario beyond its time limit is killed and failed, and its batch's others are answered."""
    found = list(run_batches(local, slow, iter(batches(2, 4, slow="3")), 3, lambda b: 0.3 + 0.1 * len(b.scenarios)))
    by_position = {row.position: row for part in found for row in part}
    assert sorted(by_position) == list(range(1, 9))
    assert {p: row.error for p, row in by_position.items() if row.error} == {
        3: "internal: took longer than its time limit"
    }


def test_a_mistake_of_ours_is_not_taken_for_a_dead_worker(local: LocalExecutor) -> None:
    """Tests that an exception from the answering itself comes out, from either executor."""
    for executor in (local, InlineExecutor()):
        with pytest.raises(RuntimeError, match="a mistake of ours in 4"):
            list(run_batches(executor, wrong, iter(batches(1, 4)), 1))


def test_few_batches_are_under_way_at_once() -> None:
    """Tests that scenarios are drawn only as fast as batches are done, so that memory stays flat."""

    class Patient(Executor):
        def __init__(self) -> None:
            self.held: list[Future[Any]] = []

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            self.held.append(future)
            if len(self.held) == 3:  # answers come only once three wait
                for each in self.held:
                    each.set_result([])
                self.held = []
            return future

    drawn = itertools.count()
    source = (batch for batch in batches(9, 1) if next(drawn) >= 0)
    seen = [next(drawn) for _ in run_batches(Patient(), plain_rows, source, 3)]
    assert seen[0] == 3


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """Tests that after kill -9 of the parent no worker stays behind, computing for nobody."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time, sys\nfrom tests.test_sweep_run import pid_of\n"
        "from solver.sweep.executors import LocalExecutor\n"
        "if __name__ == '__main__':\n    pool = LocalExecutor(2)\n"
        "    print(*{f.result() for f in [pool.submit(pid_of) for _ in range(8)]}, flush=True)\n    time.sleep(60)\n"
    )
    here = Path(__file__).parents[1]
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(here)},
    )
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert workers
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def pid_of() -> int:
    time.sleep(0.05)
    return os.getpid()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


# Runs --------------------------------------------------------------------------------------------------------------


def test_processes_and_frontiers_change_no_row(store: Store) -> None:
    """Tests that two processes give the rows that one gives, and solving one by one what a frontier answers as well."""
    data = PRICES + b"  - name: f\n    grid: {limits.budget_cny: {from: 30000, to: 300000, step: 10000}}\n"
    inline = registered(store, data, "inline")
    local = registered(store, data, "local")
    one_by_one = registered(store, data, "one", Settings(executor="inline", frontiers=False))
    execute(store, inline, INLINE)
    execute(store, local, Settings(executor="local", jobs=2))
    execute(store, one_by_one, INLINE)
    assert rows(store, inline) == rows(store, local)
    assert summary_of(store, inline) == summary_of(store, local)

    def without(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "answered_by": ""} for row in found]

    assert without(rows(store, inline)) == without(rows(store, one_by_one))
    assert {row["answered_by"] for row in rows(store, inline)} == {"solver", "frontier"}
    assert {row["answered_by"] for row in rows(store, one_by_one)} == {"solver"}


@pytest.mark.parametrize("stop_after", [0, 1, 49, 50, 51, 137, 299])
def test_a_run_broken_off_ends_as_if_it_had_not_been(store: Store, stop_after: int) -> None:
    """Tests that after Ctrl-C at any count, resume ends with the rows of an uninterrupted run, each once."""
    whole = registered(store, run_id="whole")
    execute(store, whole, INLINE)
    broken = registered(store, run_id="broken")
    left = [stop_after]

    def until(batch: Batch) -> list[Row]:
        left[0] -= len(batch.scenarios)
        if left[0] < 0:
            raise KeyboardInterrupt
        return answer_batch(batch)

    with pytest.raises(KeyboardInterrupt):
        execute(store, broken, INLINE, answer=until)
    assert store.run("broken").state == "interrupted"
    counts = execute(store, store.run("broken"), INLINE)
    assert counts.done == 300
    assert store.run("broken").state == "finished"
    assert rows(store, broken) == rows(store, whole)


def test_rows_are_stored_before_they_are_counted(store: Store, tmp_path: Path) -> None:
    """Tests that whatever progress has reported can be read by somebody else at that moment."""
    run = registered(store)
    seen: list[tuple[int, int]] = []

    def report(progress: Progress) -> None:
        with Store(store.path) as other:
            seen.append((progress.done, other.counts(run).done))

    execute(store, run, INLINE, report)
    assert seen[-1] == (300, 300)
    assert all(reported <= stored for reported, stored in seen)


def test_what_is_stored_already_is_not_solved_again(store: Store) -> None:
    """Tests that resume answers only what is missing, also in the middle, and a finished run nothing."""
    run = registered(store)
    scenarios = list(scenarios_of(store, run)[0])
    batch = Batch(text_of(default_library()), run.question, tuple(scenarios[40:60] + scenarios[100:101]))
    store.add(run, answer_batch(batch))
    asked: list[int] = []

    def noted(part: Batch) -> list[Row]:
        asked.extend(s.position for s in part.scenarios)
        return answer_batch(part)

    execute(store, run, INLINE, answer=noted)
    assert asked == [*range(1, 41), *range(61, 101), *range(102, 301)]
    asked.clear()
    execute(store, run, INLINE, answer=noted)
    assert asked == []


def test_resume_asks_the_catalogue_of_the_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a run goes on with the prices it was registered with, whatever the catalogue says now."""
    run = registered(store, b"scenarios: [{set: {limits.budget_cny: 100000}}]")
    monkeypatch.setattr("solver.catalog.library.shipped_folder", lambda: Path("/nowhere"))
    execute(store, run, INLINE)
    assert [(row["card_id"], row["card_count"]) for row in rows(store, run)] == [("rtx-a6000", 2)]


def test_fail_fast_ends_at_the_first_failure(store: Store) -> None:
    """Tests that --fail-fast stores the failed row, tells it, and leaves the rest to resume."""
    names = "".join(f"  - {{name: s{n}, set: {{limits.budget_cny: {-1 if n == 60 else n}}}}}\n" for n in range(200))
    run = registered(store, f"scenarios:\n{names}".encode())
    with pytest.raises(Failed, match=r"s60: plan.yaml:62: limits.budget_cny = -1"):
        execute(store, run, Settings(executor="inline", fail_fast=True))
    assert store.counts(run).done < 200
    assert store.counts(run).failed == 1
    counts = execute(store, run, INLINE)
    assert (counts.done, counts.failed) == (200, 1)


def test_a_full_disk_is_told_and_loses_nothing(store: Store) -> None:
    """Tests that when the store cannot grow the run ends with one clear line, and goes on once it can."""
    run = registered(store)
    store._db.execute("PRAGMA wal_autocheckpoint = 1")
    pages = store.query("PRAGMA page_count")[0][0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 10}")
    told = r"cannot be written: .* full; what was stored is kept.*whatif resume run --store .*" + store.path.name
    with pytest.raises(InvalidProblem, match=told):
        execute(store, run, INLINE)
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert execute(store, run, INLINE).done == 300
    assert store.query("PRAGMA integrity_check") == [("ok",)]


def test_killed_and_resumed_by_the_command_line(tmp_path: Path) -> None:
    """Tests with kill -9 of the command and of workers at random moments that the files written in the end are equal.

    `make whatif-kill` does it a hundred times over 2,000 scenarios.
    """
    from tests.kill_run import killed_run

    told = killed_run(tmp_path, scenarios=3000, kills=5, seed=11)
    assert told.equal, told
    assert told.kills >= 3, told


def test_memory_does_not_grow_with_the_number_of_scenarios(tmp_path: Path) -> None:
    """Tests that ten times as many scenarios, expanded, carried, stored and summed up, take no more memory."""
    script = tmp_path / "run.py"
    script.write_text(
        "import json, resource, sys\nfrom pathlib import Path\nfrom tests.test_sweep_run import *\n"
        "def go(count):\n"
        "    data = (PRICES.decode().replace('150', str(count // 2))).encode()\n"
        "    with Store(Path(sys.argv[1]) / f'{count}.sqlite') as store:\n"
        "        run = registered(store, data)\n        execute(store, run, INLINE, answer=plain_rows)\n"
        "        assert store.counts(run).done == count\n        summary_of(store, run)\n"
        "        write(store, run, file_of(store, run), Path(sys.argv[1]) / f'{count}.jsonl')\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(json.dumps([go(2000), go(20000)]))\n"
    )
    here = Path(__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(here)},
    )
    few, many = json.loads(ran.stdout)
    assert many - few < 12, f"{few:.0f} MiB for 2,000 and {many:.0f} MiB for 20,000"


# The store ---------------------------------------------------------------------------------------------------------


def some_rows(count: int) -> list[Row]:
    return [Row(n, f"s{n}", "optimal", "solver", "{}", "{}", "", "", "") for n in range(1, count + 1)]


def test_a_result_is_kept_once_and_never_changed(store: Store) -> None:
    """Tests that adding a row again changes nothing, and that SQL itself refuses to change or delete one."""
    run = registered(store)
    assert store.add(run, some_rows(5)) == 5
    again = [row._replace(status="infeasible") for row in some_rows(7)]
    assert store.add(run, again) == 2
    assert [row["status"] for row in store.results(run)] == ["optimal"] * 5 + ["infeasible"] * 2
    for statement in (
        "UPDATE result SET status = 'x'",
        "DELETE FROM result",
        "UPDATE run SET question = '{}'",
        "UPDATE snapshot SET body = x'00'",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            store._db.execute(statement)


def test_rows_are_durable_when_add_returns(tmp_path: Path) -> None:
    """Tests that the settings that make a commit reach the disk are on, in every connection that writes."""
    with Store(tmp_path / "s.sqlite") as store:
        assert store.query("PRAGMA journal_mode") == [("wal",)]
        assert store.query("PRAGMA synchronous") == [(2,)], "FULL"


def test_a_run_id_is_taken_once(store: Store) -> None:
    """Tests that a second run of the same name is refused with what to do instead."""
    registered(store)
    with pytest.raises(InvalidProblem, match="whatif resume run"):
        registered(store)
    with pytest.raises(InvalidProblem, match="letters, digits"):
        registered(store, run_id="../x")
    with pytest.raises(UnknownName, match="did you mean run"):
        store.run("rnu")


def test_the_audit_holds_question_catalogue_versions_and_who(store: Store) -> None:
    """Tests that all an answer depends on can be read back, by hash, and damage is noticed."""
    run = registered(store)
    assert store.snapshot(run.input_sha256) == PRICES
    assert store.snapshot(run.library_sha256) == text_of(default_library())
    assert json.loads(run.question) == {"limits": {"budget_cny": 200_000}}
    assert run.requested_by
    assert run.ortools_version == "9.15.6755"
    assert run.created_at.endswith("+00:00")
    assert run.options == {"time_limit_s": None, "frontiers": True}
    assert run.total == 300
    assert file_of(store, run).total == 300
    store._db.execute("DROP TRIGGER snapshot_is_final")
    store._db.execute("UPDATE snapshot SET body = (SELECT body FROM snapshot WHERE sha256 = ?)", (run.input_sha256,))
    with pytest.raises(InvalidProblem, match="missing or damaged"):
        store.snapshot(run.library_sha256)


def test_pruning_deletes_a_run_and_what_only_it_used(store: Store) -> None:
    """Tests that another run keeps its rows, and shared snapshots stay until the last."""
    first, second = registered(store, run_id="a"), registered(store, run_id="b")
    store.add(first, some_rows(3))
    store.add(second, some_rows(4))
    store.prune(first)
    assert [run.run_id for run in store.runs()] == ["b"]
    assert store.counts(second).done == 4
    assert store.snapshot(second.library_sha256)
    store.prune(second)
    store.compact()
    assert store.query("SELECT count(*) FROM snapshot") == [(0,)]


def test_a_foreign_or_later_file_is_refused(tmp_path: Path) -> None:
    """Tests that another program's database, a text, a later version and a folder are left as they are."""
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE run (x)")
    db.close()
    with pytest.raises(InvalidProblem, match="of another program"):
        Store(foreign)
    later = tmp_path / "later.sqlite"
    Store(later).close()
    with sqlite3.connect(later) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InvalidProblem, match="later version"):
        Store(later)
    (tmp_path / "text").write_text("no database at all, but some text" * 50)
    for path in (tmp_path / "text", tmp_path):
        with pytest.raises(InvalidProblem, match="cannot be used"):
            Store(path)
    with pytest.raises(InvalidProblem, match="no such file"):
        Store(tmp_path / "none.sqlite", must_exist=True)


def test_two_writers_do_not_disturb_each_other(store: Store, tmp_path: Path) -> None:
    """Tests that the same run resumed twice at once ends with every row once."""
    run = registered(store)
    copy = random.Random(1)
    with Store(store.path) as other:
        scenarios = list(scenarios_of(store, run)[0])
        copy.shuffle(scenarios)
        one = Batch(text_of(default_library()), run.question, tuple(scenarios[:200]))
        two = one.part(scenarios[100:])
        added = store.add(run, answer_batch(one)) + other.add(run, answer_batch(two))
    assert added == 300
    assert store.counts(run).done == 300


def test_an_export_is_whole_or_not_there(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that when writing fails half-way an older file stays as it was, and no half one is left."""
    run = registered(store)
    execute(store, run, INLINE)
    target = tmp_path / "out.csv"
    target.write_text("older")

    def breaks(*_: Any) -> Iterator[dict[str, Any]]:
        yield from itertools.islice(records(store, run), 3)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("solver.sweep.export.records", breaks)
    with pytest.raises(InvalidProblem, match="No space left on device"):
        write(store, run, file_of(store, run), target)
    assert target.read_text() == "older"
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_a_copied_store_is_the_same_store(store: Store, tmp_path: Path) -> None:
    """Tests that a store closed and copied elsewhere resumes there."""
    run = registered(store)
    store.add(
        run, answer_batch(Batch(text_of(default_library()), run.question, tuple(scenarios_of(store, run)[0])[:10]))
    )
    store.close()
    shutil.copy(store.path, tmp_path / "copy.sqlite")
    with Store(tmp_path / "copy.sqlite") as copy:
        assert execute(copy, copy.run("run"), INLINE).done == 300
