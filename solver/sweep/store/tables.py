"""The tables of a run store and what they refuse, as numbered steps by which an earlier store is brought up to date.

Modify this module when the store keeps something new: one more step in `_STEPS`, never a change of an old one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.sweep.store.transaction import Transaction

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


def bring_up_to_date(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new store, and those that one of an earlier version lacks.

    Raises:
        InvalidProblem: the database is another program's, or of a later version; `path` is its name in the message.
    """
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if owner not in (0, _APPLICATION_ID) or (owner == 0 and _tables(db)):
        raise InvalidProblem.of("store", str(path), say("is a database of another program"))
    if version > len(_STEPS):
        raise InvalidProblem.of("store", str(path), say("was made by a later version of this program"))
    if version == len(_STEPS):
        return
    with Transaction(db):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for step in _STEPS[version:]:
            for statement in _statements(step):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(_STEPS)}")


def _tables(db: sqlite3.Connection) -> int:
    count: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


def _statements(script: str) -> Iterator[str]:
    held = ""
    for line in script.splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            yield held
            held = ""
