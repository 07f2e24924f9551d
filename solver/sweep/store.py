"""The run store: every result durable before it is counted, and the audit of who asked what, when, on which prices.

SQLite in WAL mode with synchronous=FULL: a row acknowledged is on the disk. Results are append-only (triggers), their
key is (run, position), so a scenario is never stored twice, and all that an answer depends on is kept by its hash:
the catalogue, the input as it was read. One writer at a time; readers never wait. Modify this module when the store
keeps something new: a numbered step in `_STEPS`, never a change of an old one.
"""

from __future__ import annotations

import datetime
import json
import os
import shlex
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.domain.language import say
from solver.sweep.library_text import sha256
from solver.sweep.scenario import Row

_APPLICATION_ID = 0x52494753  # "RIGS"
_STEPS = (
    """
    CREATE TABLE snapshot (
        sha256 TEXT PRIMARY KEY,
        kind   TEXT NOT NULL,      -- library, input
        body   BLOB NOT NULL       -- zlib
    ) STRICT;
    CREATE TABLE run (
        number           INTEGER PRIMARY KEY,
        run_id           TEXT NOT NULL UNIQUE,
        state            TEXT NOT NULL CHECK (state IN ('running', 'finished', 'interrupted', 'pruned')),
        created_at       TEXT NOT NULL,
        finished_at      TEXT,
        requested_by     TEXT NOT NULL,
        process          TEXT NOT NULL,  -- host:pid of who runs it
        solver_version   TEXT NOT NULL,
        ortools_version  TEXT NOT NULL,
        library_sha256   TEXT NOT NULL REFERENCES snapshot,
        catalog_sha256   TEXT NOT NULL,
        input_sha256     TEXT NOT NULL REFERENCES snapshot,
        input_name       TEXT NOT NULL,
        question         TEXT NOT NULL,  -- JSON, the base question
        question_sha256  TEXT NOT NULL,
        paths            TEXT NOT NULL,  -- JSON, what the scenarios change
        options          TEXT NOT NULL,  -- JSON, what answers may depend on
        total            INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE result (
        run           INTEGER NOT NULL REFERENCES run,
        position      INTEGER NOT NULL,
        name          TEXT NOT NULL,
        status        TEXT NOT NULL,
        answered_by   TEXT NOT NULL,
        changes       TEXT NOT NULL,     -- JSON, path -> value
        answer        TEXT,              -- JSON
        error         TEXT NOT NULL,
        expectation   TEXT NOT NULL,
        broken        TEXT NOT NULL,
        card_id       TEXT,
        card_count    INTEGER,
        power_limit_w INTEGER,
        platform_id   TEXT,
        total_batch   INTEGER,
        cost_fen      INTEGER,
        epoch_hours   REAL,
        solve_ms      REAL NOT NULL,
        finished_at   TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT;
    CREATE TRIGGER result_is_final BEFORE UPDATE ON result
        BEGIN SELECT RAISE(ABORT, 'a result is never changed'); END;
    CREATE TRIGGER result_stays BEFORE DELETE ON result
        WHEN (SELECT state FROM run WHERE number = OLD.run) <> 'pruned'
        BEGIN SELECT RAISE(ABORT, 'results are deleted with their run only'); END;
    CREATE TRIGGER snapshot_is_final BEFORE UPDATE ON snapshot
        BEGIN SELECT RAISE(ABORT, 'a snapshot is never changed'); END;
    CREATE TRIGGER question_is_final BEFORE UPDATE OF run_id, created_at, requested_by, solver_version,
        ortools_version, library_sha256, catalog_sha256, input_sha256, input_name, question, question_sha256, paths,
        options, total ON run
        BEGIN SELECT RAISE(ABORT, 'what a run asked is never changed'); END;
    """,
    """
    CREATE TABLE submission (           -- runs that came to a server; see submissions.py
        request_id     TEXT PRIMARY KEY,
        run            INTEGER NOT NULL UNIQUE REFERENCES run ON DELETE CASCADE,
        request_sha256 TEXT NOT NULL,
        caller         TEXT NOT NULL,
        ended          TEXT CHECK (ended IN ('cancelled', 'failed')),
        ended_at       TEXT,
        error          TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE TRIGGER submission_is_final BEFORE UPDATE OF request_id, run, request_sha256, caller ON submission
        BEGIN SELECT RAISE(ABORT, 'what was submitted is never changed'); END;
    CREATE TRIGGER end_is_final BEFORE UPDATE OF ended, ended_at, error ON submission WHEN OLD.ended IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'a run ends once'); END;
    CREATE TRIGGER ended_run_stays BEFORE INSERT ON result
        WHEN EXISTS (SELECT 1 FROM submission WHERE run = NEW.run AND ended IS NOT NULL)
        BEGIN SELECT RAISE(ABORT, 'a run that has ended gets no more results'); END;
    -- Few rows each, so that a run of a million is counted without reading its answers.
    CREATE INDEX result_failed ON result (run) WHERE status = 'failed';
    CREATE INDEX result_infeasible ON result (run) WHERE status = 'infeasible';
    CREATE INDEX result_broken ON result (run) WHERE expectation = 'broken';
    """,
)
_RESULT_COLUMNS = (*Row._fields, "finished_at")
_INSERT = (
    f"INSERT INTO result (run, {', '.join(_RESULT_COLUMNS)}) "
    f"VALUES (?, {', '.join('?' * len(_RESULT_COLUMNS))}) ON CONFLICT (run, position) DO NOTHING"
)
_RUN_COLUMNS = (
    "number, run_id, state, created_at, finished_at, requested_by, process, solver_version, ortools_version, "
    "library_sha256, catalog_sha256, input_sha256, input_name, question, question_sha256, paths, options, total"
)


@dataclass(frozen=True)
class Run:
    """A run as it is registered; `number` is its key inside the store. Times are UTC, ISO 8601."""

    number: int
    run_id: str
    state: str
    created_at: str
    finished_at: str | None
    requested_by: str
    process: str
    solver_version: str
    ortools_version: str
    library_sha256: str
    catalog_sha256: str
    input_sha256: str
    input_name: str
    question: str
    question_sha256: str
    paths: tuple[str, ...]
    options: dict[str, Any]
    total: int


@dataclass(frozen=True)
class Counts:
    """How far a run is."""

    done: int
    failed: int
    infeasible: int
    broken: int


def default_path() -> Path:
    """whatif.sqlite in the user's data directory: $XDG_DATA_HOME, or ~/.local/share."""
    home = os.environ.get("XDG_DATA_HOME") or ""
    root = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"
    return root / "gpu-rig-solver" / "whatif.sqlite"


def now() -> str:
    """The time, UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class Store:
    """An open store. Use as a context manager.

    Args:
        path: the file; made with its folder if there is none, unless `must_exist`.
        must_exist: refuse a file that is not there.

    Raises:
        InvalidProblem: the file cannot be opened, is no store, or was made by a later version.
    """

    def __init__(self, path: Path, must_exist: bool = False) -> None:
        self.path = path
        if must_exist and not path.exists():
            raise InvalidProblem.of("store", str(path), "has no runs yet: no such file")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._upgrade()
        except (OSError, sqlite3.Error) as error:
            raise InvalidProblem.of("store", str(path), say("cannot be used: {why}", why=self._why(error))) from None

    def _why(self, error: Exception) -> str:
        folder = self.path.parent
        if folder.is_dir() and not os.access(folder, os.W_OK):
            return say("its folder cannot be written, which SQLite must even to read; copy the store elsewhere")
        return str(error)

    @property
    def option(self) -> str:
        """How a command is told of this store: ` --store FILE`, or nothing for the default one."""
        return "" if self.path == default_path() else f" --store {shlex.quote(str(self.path))}"

    def __enter__(self) -> Store:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _upgrade(self) -> None:
        (owner,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if owner not in (0, _APPLICATION_ID) or (owner == 0 and self._tables()):
            raise InvalidProblem.of("store", str(self.path), "is a database of another program")
        if version > len(_STEPS):
            raise InvalidProblem.of("store", str(self.path), "was made by a later version of this program")
        if version == len(_STEPS):
            return
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            for step in _STEPS[version:]:
                for statement in _statements(step):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {len(_STEPS)}")

    def _tables(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return count

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def keep(self, kind: str, body: bytes) -> str:
        """Keep a snapshot by its SHA-256, once; returns the hash."""
        digest = sha256(body)
        self._db.execute(
            "INSERT INTO snapshot VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (digest, kind, zlib.compress(body))
        )
        return digest

    def snapshot(self, digest: str) -> bytes:
        """The bytes kept under a hash.

        Raises:
            InvalidProblem: there are none, or they no longer have this hash.
        """
        row = self._db.execute("SELECT body FROM snapshot WHERE sha256 = ?", (digest,)).fetchone()
        body = zlib.decompress(row[0]) if row is not None else b""
        if row is None or sha256(body) != digest:
            raise InvalidProblem.of("store", digest[:12], "this snapshot is missing or damaged")
        return body

    def register(
        self,
        run_id: str,
        library: bytes,
        catalog_sha256: str,
        data: bytes,
        fields: Mapping[str, Any],
        before_commit: Callable[[Run], None] = lambda _run: None,
    ) -> Run:
        """Register a run with its input and catalogue, durable before this returns.

        Args:
            run_id: a name of its own.
            library: the catalogue and workloads, as `library_text.text_of` has them.
            catalog_sha256: the catalogue's hash as answers print it.
            data: the input file as it was read.
            fields: requested_by, process, versions, input_name, question, paths, options, total.
            before_commit: called with the run inside the transaction; what it raises undoes everything.

        Raises:
            InvalidProblem: a run of this id exists.
        """
        question = json.dumps(fields["question"], sort_keys=True, ensure_ascii=False)
        with self._transaction():
            if self._db.execute("SELECT 1 FROM run WHERE run_id = ?", (run_id,)).fetchone():
                raise InvalidProblem.of(
                    "run-id", run_id, f"exists already; go on with: solver-cli whatif resume {run_id}{self.option}"
                )
            self._db.execute(
                "INSERT INTO run (run_id, state, created_at, requested_by, process, solver_version, ortools_version, "
                "library_sha256, catalog_sha256, input_sha256, input_name, question, question_sha256, paths, options, "
                "total) VALUES (?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id,
                    now(),
                    fields["requested_by"],
                    fields["process"],
                    fields["solver_version"],
                    fields["ortools_version"],
                    self.keep("library", library),
                    catalog_sha256,
                    self.keep("input", data),
                    fields["input_name"],
                    question,
                    sha256(question.encode()),
                    json.dumps(fields["paths"], ensure_ascii=False),
                    json.dumps(fields["options"], sort_keys=True),
                    fields["total"],
                ),
            )
            run = self.run(run_id)
            before_commit(run)
        return run

    def run(self, run_id: str) -> Run:
        """The run of that id.

        Raises:
            UnknownName: there is none; the message offers the nearest.
        """
        row = self._db.execute(f"SELECT {_RUN_COLUMNS} FROM run WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            known = [run.run_id for run in self.runs()]
            raise UnknownName([Violation("run", shown(run_id), "no such run in this store" + nearest(run_id, known))])
        return _run(row)

    def runs(self) -> list[Run]:
        """All runs, latest first."""
        rows = self._db.execute(f"SELECT {_RUN_COLUMNS} FROM run WHERE state <> 'pruned' ORDER BY number DESC")
        return [_run(row) for row in rows]

    def add(self, run: Run, rows: Sequence[Row]) -> int:
        """Store rows, durable before this returns; one that is there already stays as it is.

        Returns:
            How many were new.
        """
        moment = now()
        with self._transaction():
            before = self._db.total_changes
            self._db.executemany(_INSERT, [(run.number, *row, moment) for row in rows])
            return self._db.total_changes - before

    def mark(self, run: Run, state: str, process: str | None = None) -> None:
        """Set the state of a run; `finished` notes the time."""
        self._db.execute(
            "UPDATE run SET state = ?, process = coalesce(?, process), finished_at = CASE WHEN ? = 'finished' "
            "THEN coalesce(finished_at, ?) ELSE finished_at END WHERE number = ?",
            (state, process, state, now(), run.number),
        )

    def positions(self, run: Run) -> Iterator[int]:
        """Positions of the results there are when this begins, ascending; on a connection of its own, so that rows
        may be added meanwhile.
        """
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            for (position,) in db.execute("SELECT position FROM result WHERE run = ? ORDER BY position", (run.number,)):
                yield position

    def counts(self, run: Run) -> Counts:
        """How many are done, failed, infeasible, and against what was expected."""
        count = "(SELECT count(*) FROM result WHERE run = ?1"
        row = self._db.execute(
            f"SELECT {count}), {count} AND status = 'failed'), {count} AND status = 'infeasible'), "
            f"{count} AND expectation = 'broken')",
            (run.number,),
        ).fetchone()
        return Counts(*row)

    def results(self, run: Run, where: str = "", values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Results in order as mappings of the columns of `Row` and `finished_at`; one after the other."""
        clause = f" AND {where}" if where else ""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            cursor = db.execute(
                f"SELECT {', '.join(_RESULT_COLUMNS)} FROM result WHERE run = ?{clause} ORDER BY position",
                (run.number, *values),
            )
            for row in cursor:
                yield dict(zip(_RESULT_COLUMNS, row, strict=True))

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a reading query, for summaries."""
        return self._db.execute(sql, values).fetchall()

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a reading query one after the other, on a connection of its own."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            yield from db.execute(sql, values)

    def prune(self, run: Run) -> None:
        """Delete a run, its results, and snapshots nobody else refers to."""
        with self._transaction():
            self._db.execute("UPDATE run SET state = 'pruned' WHERE number = ?", (run.number,))
            self._db.execute("DELETE FROM result WHERE run = ?", (run.number,))
            self._db.execute("DELETE FROM run WHERE number = ?", (run.number,))
            self._db.execute(
                "DELETE FROM snapshot WHERE sha256 NOT IN "
                "(SELECT library_sha256 FROM run UNION SELECT input_sha256 FROM run)"
            )

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement of a table that stands beside runs and results; returns how many rows it changed."""
        return self._db.execute(sql, values).rowcount

    def compact(self) -> None:
        """Give the space of deleted runs back."""
        self._db.execute("VACUUM")


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK on an error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        if self._db.in_transaction:  # Ctrl-C came between this BEGIN and the block it opens
            self._db.execute("ROLLBACK")
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # of some errors SQLite has rolled back by itself
                self._db.execute("ROLLBACK")


def _statements(script: str) -> Iterator[str]:
    held = ""
    for line in script.splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            yield held
            held = ""


def _run(row: tuple[Any, ...]) -> Run:
    values = dict(zip(_RUN_COLUMNS.split(", "), row, strict=True))
    values["paths"] = tuple(json.loads(values["paths"]))
    values["options"] = json.loads(values["options"])
    return Run(**values)
