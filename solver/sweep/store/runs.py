"""An open store: runs registered, results added and read, snapshots kept by their hash, runs deleted."""

from __future__ import annotations

import datetime
import json
import os
import shlex
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.domain.language import say
from solver.sweep.library_text import sha256
from solver.sweep.scenario import Row
from solver.sweep.store.records import INSERT_RESULT, RESULT_COLUMNS, RUN_COLUMNS, Counts, Run, run_of
from solver.sweep.store.tables import bring_up_to_date
from solver.sweep.store.transaction import Transaction


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
            raise InvalidProblem.of("store", str(path), say("has no runs yet: no such file"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            bring_up_to_date(self._db, self.path)
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

    def _transaction(self) -> Transaction:
        return Transaction(self._db)

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
            raise InvalidProblem.of("store", digest[:12], say("this snapshot is missing or damaged"))
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
                    "run-id",
                    run_id,
                    say(
                        "exists already; go on with: solver-cli whatif resume {run_id}{option}",
                        run_id=run_id,
                        option=self.option,
                    ),
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
        row = self._db.execute(f"SELECT {RUN_COLUMNS} FROM run WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            known = [run.run_id for run in self.runs()]
            raise UnknownName(
                [Violation("run", shown(run_id), say("no such run in this store") + nearest(run_id, known))]
            )
        return run_of(row)

    def runs(self) -> list[Run]:
        """All runs, latest first."""
        rows = self._db.execute(f"SELECT {RUN_COLUMNS} FROM run WHERE state <> 'pruned' ORDER BY number DESC")
        return [run_of(row) for row in rows]

    def add(self, run: Run, rows: Sequence[Row]) -> int:
        """Store rows, durable before this returns; one that is there already stays as it is.

        Returns:
            How many were new.
        """
        moment = now()
        with self._transaction():
            before = self._db.total_changes
            self._db.executemany(INSERT_RESULT, [(run.number, *row, moment) for row in rows])
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
                f"SELECT {', '.join(RESULT_COLUMNS)} FROM result WHERE run = ?{clause} ORDER BY position",
                (run.number, *values),
            )
            for row in cursor:
                yield dict(zip(RESULT_COLUMNS, row, strict=True))

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
