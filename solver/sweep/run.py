"""A run: register, expand, answer, store, resume. Killed at any moment, `resume` ends with the same rows.

The order of things is what makes it safe: the input and the question are in the store before the first solve, a row
is in the store before it is counted, and what is to do is always what the file says minus what is stored. Modify this
module when a run is driven differently; where batches run is executors.py, how they are answered engine.py.
"""

from __future__ import annotations

import contextlib
import datetime
import getpass
import itertools
import json
import os
import re
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from solver import __version__
from solver.catalog import Library
from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.domain.problem import catalog_digest
from solver.sweep.executors import EXECUTORS, run_batches, worst_case_s
from solver.sweep.expand import expand
from solver.sweep.file import ScenarioFile, parse_again
from solver.sweep.library_text import library_of, text_of
from solver.sweep.questions import Questions
from solver.sweep.scenario import Batch, Row, Scenario
from solver.sweep.store import Counts, Run, Store

FIRST_BATCH = 50
MOST_IN_BATCH = 1000
BATCH_S = 0.25
FLUSH_ROWS, FLUSH_S = 500, 0.5
"""Rows are written together, at the latest after so many or so long; only written ones are counted."""
_RUN_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")


@dataclass(frozen=True)
class Settings:
    """How to run. The rows do not depend on any of these but `time_limit_s` and `frontiers`, which the run keeps.

    Attributes:
        jobs: processes of the local executor.
        executor: a name in `EXECUTORS`.
        time_limit_s: seconds of search per scenario; None for no limit.
        frontiers: False solves also those scenarios one by one that a staircase would answer.
        fail_fast: end the run at the first scenario that fails.
        cluster: for the executor `dask`, where its scheduler is: `scheduler`, `tls_ca`, `tls_cert`, `tls_key`.
        first_batch: scenarios in the first batch, and while they are slow no fewer.
        batch_s: batches grow until one takes about this long: short enough to watch, long enough to be worth sending.
    """

    jobs: int = 1
    executor: str = "local"
    time_limit_s: float | None = None
    frontiers: bool = True
    fail_fast: bool = False
    cluster: Mapping[str, str] = field(default_factory=dict)
    first_batch: int = FIRST_BATCH
    batch_s: float = BATCH_S


@dataclass(frozen=True)
class Progress:
    """How far it is: `done` of `total` stored, `failed` of them, `rate` per second now, and the best so far."""

    total: int
    done: int
    failed: int
    new: int
    elapsed_s: float
    best: Row | None

    @property
    def rate(self) -> float:
        """Scenarios per second since this run or resume began."""
        return self.new / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None while nothing is known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


class Failed(Exception):
    """A scenario failed and the run was to end at the first: its row is stored."""

    def __init__(self, row: Row) -> None:
        super().__init__(f"{row.name}: {row.error}")
        self.row = row


def new_run_id(name: str) -> str:
    """A run id made of the file's name, the time and chance: budget-sweep-20261122-164512-3f2a."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip("-.")[:40] or "run"
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stem}-{moment}-{secrets.token_hex(2)}"


def checked_run_id(run_id: str) -> str:
    """The id itself.

    Raises:
        InvalidProblem: not 1 to 80 letters, digits, '-', '.', '_'.
    """
    if not _RUN_ID.match(run_id):
        raise InvalidProblem.of("run-id", run_id, "must be 1 to 80 letters, digits, '-', '.' or '_'")
    return run_id


def register(
    store: Store,
    run_id: str,
    file: ScenarioFile,
    data: bytes,
    library: Library,
    settings: Settings,
    told: Mapping[str, str] | None = None,
    before_commit: Callable[[Run], None] = lambda _run: None,
) -> Run:
    """Register a run: its input, question, catalogue and options, durable before anything is solved.

    Args:
        store: where to.
        run_id: a name of its own.
        file: the scenario file.
        data: its bytes.
        library: the catalogue and the workloads.
        settings: how to run; `time_limit_s` and `frontiers` are kept.
        told: `requested_by`, `solver_version` and `ortools_version`, where they are not those of this process.
        before_commit: called with the run inside the transaction that registers it; what it raises undoes everything.

    Raises:
        InvalidProblem: the base question is wrong, or a run of this id exists.
    """
    checked_run_id(run_id)
    question = _jsonable(file.question)
    try:
        questions = Questions(library, question)
    except InvalidProblem as error:
        raise file.located(error) from None
    return store.register(
        run_id,
        text_of(library),
        catalog_digest(questions.base.problem.catalog),
        data,
        {
            "requested_by": _user(),
            "process": process_name(),
            "solver_version": __version__,
            "ortools_version": metadata.version("ortools"),
            "input_name": file.name,
            "question": question,
            "paths": list(file.paths),
            "options": {"time_limit_s": settings.time_limit_s, "frontiers": settings.frontiers},
            "total": file.total,
            **(told or {}),
        },
        before_commit,
    )


def _jsonable(question: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(question, default=str))
    return made


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def process_name() -> str:
    """host:pid of this process, by which others see whether it is still at a run."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_alive(run: Run) -> bool:
    """Whether the process that ran it last is still there; on another host, whether it may be."""
    host, _, number = run.process.rpartition(":")
    if run.state != "running" or not number.isdecimal():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def scenarios_of(store: Store, run: Run) -> tuple[Iterator[Scenario], Questions]:
    """The scenarios of a registered run, from its own input and catalogue, and the questions they change."""
    library = library_of(store.snapshot(run.library_sha256))
    questions = Questions(library, json.loads(run.question))
    return expand(file_of(store, run), questions, bool(run.options["frontiers"])), questions


def file_of(store: Store, run: Run) -> ScenarioFile:
    """The scenario file of a run, from the bytes and the base question as they were when it was registered."""
    data = store.snapshot(run.input_sha256)
    return parse_again(data, run.input_name, json.loads(run.question))


def execute(
    store: Store,
    run: Run,
    settings: Settings,
    report: Callable[[Progress], None] = lambda _progress: None,
    answer: Callable[[Batch], list[Row]] | None = None,
    executor: Executor | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Counts:
    """Answer what is still open of a run and store it; the same for a new run and for one that was killed.

    Args:
        store: where the run is registered.
        run: the run.
        settings: jobs, executor and fail_fast of this time; what answers depend on is the run's own.
        report: called after each write.
        answer: what answers a batch; `engine.answer_batch` unless a test says otherwise.
        executor: what runs batches; made as `settings.executor` says if None. It is shut down at the end.
        stopping: asked again and again; True ends the run as Ctrl-C does.

    Raises:
        Failed: a scenario failed and `fail_fast` was asked for; everything finished until then is stored.
        KeyboardInterrupt: `stopping` said so, or Ctrl-C; everything finished until then is stored, and the run is
            marked interrupted.
        InvalidProblem: the store can no longer be written, or workers of a cluster have other versions.
        ServerUnavailable: the scheduler of a cluster is gone; everything finished until then is stored.
    """
    if answer is None:
        from solver.sweep.engine import answer_batch

        answer = answer_batch
    executor = executor or EXECUTORS[settings.executor](settings.jobs, **settings.cluster)
    store.mark(run, "running", process_name())
    scenarios, questions = scenarios_of(store, run)
    keeper = _Keeper(store, run, questions.base.problem.goal, report)
    pace = _Pace(settings.first_batch, settings.batch_s)
    empty = Batch(store.snapshot(run.library_sha256), run.question, (), run.options["time_limit_s"], alone=False)
    batches = _batches(_open(scenarios, store.positions(run)), empty, pace)
    in_flight = 1 if settings.executor == "inline" else 2 * getattr(executor, "workers", settings.jobs) + 1
    finished = False
    try:
        for rows in run_batches(executor, answer, batches, in_flight, worst_case_s, stopping):
            pace.note(rows)
            keeper.add(rows)
            bad = next((row for row in rows if row.status == "failed"), None) if settings.fail_fast else None
            if bad is not None:
                raise Failed(bad)
        finished = True
    finally:
        # Keep what is finished before anything else, also on the way out of an error.
        try:
            keeper.flush()
        finally:
            executor.shutdown(wait=True, cancel_futures=not finished)
            with contextlib.suppress(sqlite3.Error):  # a full disk: the results are what matters
                store.mark(run, "finished" if finished else "interrupted")
    return store.counts(run)


def _open(scenarios: Iterator[Scenario], done: Iterator[int]) -> Iterator[Scenario]:
    """Those scenarios that are not stored yet; both sides ascend, so neither is ever held whole."""
    stored = next(done, None)
    for scenario in scenarios:
        while stored is not None and stored < scenario.position:
            stored = next(done, None)
        if stored != scenario.position:
            yield scenario


class _Pace:
    """How many scenarios make a batch of about `batch_s`, and never fewer than `least`."""

    def __init__(self, least: int, batch_s: float) -> None:
        self.size = self._least = least
        self._batch_s = batch_s

    def note(self, rows: list[Row]) -> None:
        """Learn from a batch that came back."""
        took_s = sum(row.solve_ms for row in rows) / 1000
        if not rows:
            return
        fits = self._batch_s / max(took_s / len(rows), 1e-5)
        self.size = int(max(self._least, min(MOST_IN_BATCH, fits, 2 * self.size)))


def _batches(scenarios: Iterator[Scenario], empty: Batch, pace: _Pace) -> Iterator[Batch]:
    while taken := tuple(itertools.islice(scenarios, pace.size)):
        yield empty.part(taken)


class _Keeper:
    """Collects rows, writes them together, and counts only what is written."""

    def __init__(self, store: Store, run: Run, goal: str, report: Callable[[Progress], None]) -> None:
        counts = store.counts(run)
        self._store, self._run, self._report = store, run, report
        self._waiting: list[Row] = []
        self._done, self._failed, self._new = counts.done, counts.failed, 0
        self._started = self._written = time.monotonic()
        self._goal = goal
        self._best: Row | None = None

    def add(self, rows: list[Row]) -> None:
        """Take rows in; write if enough have come together."""
        self._waiting += rows
        if len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._written >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits, then count and report it."""
        if self._waiting:
            rows = self._waiting
            try:
                new = self._store.add(self._run, rows)
            except sqlite3.Error as error:
                raise InvalidProblem.of(
                    "store",
                    str(self._store.path),
                    say(
                        "cannot be written: {error}; what was stored is kept, go on with: {command}",
                        error=error,
                        command=f"solver-cli whatif resume {self._run.run_id}{self._store.option}",
                    ),
                ) from None
            self._waiting = []  # not before they are stored: Ctrl-C may come in between, and storing twice is harmless
            self._new += new
            self._done += new
            self._failed += sum(row.status == "failed" for row in rows)
            for row in rows:
                if row.status == "optimal" and (self._best is None or _better(row, self._best, self._goal)):
                    self._best = row
        self._written = time.monotonic()
        self._report(
            Progress(self._run.total, self._done, self._failed, self._new, self._written - self._started, self._best)
        )


def _better(row: Row, than: Row, goal: str) -> bool:
    """Whether a row beats another for the goal; only to show the best so far."""
    keys: dict[str, Callable[[Row], Any]] = {
        "batch": lambda r: (-(r.total_batch or 0), r.cost_fen),
        "epoch": lambda r: (r.epoch_hours, r.cost_fen),
        "value": lambda r: ((r.cost_fen or 0) / max(r.total_batch or 0, 1), -(r.total_batch or 0)),
        "cost": lambda r: (r.cost_fen, -(r.total_batch or 0)),
    }
    key = keys.get(goal, keys["batch"])
    return bool(key(row) < key(than))
