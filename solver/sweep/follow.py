"""Follow a run that a server drives, into a store of one's own: every answer durable here before it is counted.

What is to fetch is always what the server has minus what is stored, so whoever was cut off - by a kill, a network, a
restart of the server - begins again and ends with the same rows. Knows no gRPC: it is handed a `RunSource`. Modify this
module when a run is fetched in another way.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from solver.domain.errors import InvalidProblem, ServerUnavailable, UnknownName
from solver.domain.language import say
from solver.sweep.file import parse_again
from solver.sweep.library_text import library_of, sha256
from solver.sweep.run import Progress, Settings, process_name, register
from solver.sweep.scenario import Row
from solver.sweep.store import Counts, Run, Store
from solver.sweep.submissions import State

PAGE = 1000
PATIENCE_S = 120.0
_LONGEST_WAIT_S = 3.0


@dataclass(frozen=True)
class RunStatus:
    """A run as its server tells it; times are UTC, ISO 8601. `scenarios_per_second` and `best` are of watching only."""

    run_id: str
    request_id: str
    state: State
    file_name: str
    total: int
    done: int
    failed: int
    infeasible: int
    broken: int
    requested_by: str
    created_at: str
    ended_at: str | None
    error: str
    time_limit_s: float | None
    frontiers: bool
    solver_version: str
    ortools_version: str
    library_sha256: str
    input_sha256: str
    question_sha256: str
    scenarios_per_second: float | None = None
    best: Row | None = None

    def as_run(self) -> Run:
        """The same as a run of one's own is told, without what only a store knows."""
        return Run(
            number=0,
            run_id=self.run_id,
            state=self.state,
            created_at=self.created_at,
            finished_at=self.ended_at,
            requested_by=self.requested_by,
            process="",
            solver_version=self.solver_version,
            ortools_version=self.ortools_version,
            library_sha256=self.library_sha256,
            catalog_sha256="",
            input_sha256=self.input_sha256,
            input_name=self.file_name,
            question="",
            question_sha256=self.question_sha256,
            paths=(),
            options={"time_limit_s": self.time_limit_s, "frontiers": self.frontiers},
            total=self.total,
        )

    @property
    def counts(self) -> Counts:
        """How far it is."""
        return Counts(self.done, self.failed, self.infeasible, self.broken)


@dataclass(frozen=True)
class RunInput:
    """All that the answers of a run depend on: the file's bytes, base question and catalogue as JSON."""

    file: bytes
    question_json: str
    library_json: bytes


class RunSource(Protocol):
    """Where a run is asked for; solver.client.Client is one. All raise ServerUnavailable where the server is away."""

    def get_run(self, run_id: str) -> RunStatus:
        """How far it is."""

    def run_input(self, run_id: str) -> RunInput:
        """What its answers depend on."""

    def watch_run(self, run_id: str) -> Iterator[RunStatus]:
        """How it goes on; the last state is final."""

    def run_results(self, run_id: str, after: int, page_size: int) -> tuple[list[Row], bool]:
        """Answers behind a place in the file, in order, and whether nothing follows them."""


def mirrored(store: Store, source: RunSource, run_id: str) -> Run:
    """The run of a server in a store of one's own, registered with all it depends on if it is not there yet.

    Raises:
        InvalidProblem: the store has another run of that name, or what the server sent is not what it claims to be.
        ServerUnavailable: the server is away.
    """
    status = source.get_run(run_id)
    try:
        run = store.run(run_id)
    except UnknownName:
        return _registered(store, source, status)
    for field in ("library_sha256", "input_sha256", "question_sha256", "total"):
        if getattr(run, field) != getattr(status, field):
            raise InvalidProblem.of(
                "run", run_id, say("the store here has another run of this name; name another one with --store FILE")
            )
    return run


def _registered(store: Store, source: RunSource, status: RunStatus) -> Run:
    sent = source.run_input(status.run_id)
    if sha256(sent.file) != status.input_sha256 or sha256(sent.library_json) != status.library_sha256:
        raise InvalidProblem.of("run", status.run_id, say("what the server sent is damaged: its SHA-256 is another"))
    file = parse_again(sent.file, status.file_name, json.loads(sent.question_json))
    told = {name: getattr(status, name) for name in ("requested_by", "solver_version", "ortools_version")}
    settings = Settings(time_limit_s=status.time_limit_s, frontiers=status.frontiers)
    run = register(store, status.run_id, file, sent.file, library_of(sent.library_json), settings, told)
    store.mark(run, "interrupted")  # nobody here is at it
    if (run.library_sha256, run.question_sha256) != (status.library_sha256, status.question_sha256):
        store.prune(run)
        reason = "the server has another version: its catalogue reads otherwise here"
        raise InvalidProblem.of("run", status.run_id, reason)
    return run


def follow(
    store: Store,
    run: Run,
    source: RunSource,
    report: Callable[[Progress], None] = lambda _progress: None,
    patience_s: float = PATIENCE_S,
    wait: bool = True,
    stopping: Callable[[], bool] = lambda: False,
) -> RunStatus:
    """Fetch a run's answers as they become ready, until it is over.

    Args:
        store: where to.
        run: the run as `mirrored` has it.
        source: the server.
        report: called after each write.
        patience_s: how long a server may be away.
        wait: False fetches what is ready now.
        stopping: asked at every word of the server, and between pages; True ends the following, not the run.

    Returns:
        The last state.

    Raises:
        ServerUnavailable: the server has been away for longer; everything fetched until then is stored.
        KeyboardInterrupt: `stopping` said so; the same, and the run goes on at the server.
    """

    def look() -> None:
        if stopping():
            raise KeyboardInterrupt

    fetcher = _Fetcher(store, run, source, report, look)
    state = "interrupted"
    store.mark(run, "running", process_name())
    away_since: float | None = None
    pause_s = 0.1
    try:
        while True:
            try:
                for status in source.watch_run(run.run_id) if wait else (source.get_run(run.run_id),):
                    look()
                    over = fetcher.fetch(status)
                    away_since, pause_s = None, 0.1
                    if over or not wait:
                        if over and status.state == "finished" and store.counts(run).done == run.total:
                            state = "finished"
                        return status
            except ServerUnavailable as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > patience_s or not error.passing:
                    raise
                until = time.monotonic() + pause_s
                while time.monotonic() < until:
                    look()
                    time.sleep(0.1)
                pause_s = min(2 * pause_s, _LONGEST_WAIT_S)
    finally:
        with contextlib.suppress(Exception):
            store.mark(run, state)


class _Fetcher:
    """Fetches pages behind the last place there is without a gap, and counts what is stored."""

    def __init__(
        self,
        store: Store,
        run: Run,
        source: RunSource,
        report: Callable[[Progress], None],
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._run, self._source, self._report, self._look = store, run, source, report, look
        counts = store.counts(run)
        self._done, self._failed, self._new = counts.done, counts.failed, 0
        self._began = time.monotonic()
        self._place = 0
        for position in store.positions(run):
            if position != self._place + 1:
                break
            self._place = position

    def fetch(self, status: RunStatus) -> bool:
        """Fetch all that is ready; whether nothing can follow."""
        while True:
            self._look()
            rows, over = self._source.run_results(self._run.run_id, self._place, PAGE)
            if rows:
                try:
                    new = self._store.add(self._run, rows)
                except sqlite3.Error as error:
                    raise InvalidProblem.of(
                        "store",
                        str(self._store.path),
                        say("cannot be written: {error}; what was stored is kept", error=error),
                    ) from None
                self._new += new
                self._done += new
                self._failed += sum(row.status == "failed" for row in rows)
                self._place = rows[-1].position
            elapsed_s = time.monotonic() - self._began
            self._report(Progress(self._run.total, self._done, self._failed, self._new, elapsed_s, status.best))
            if over or not rows:
                return over and status.state != "running"
