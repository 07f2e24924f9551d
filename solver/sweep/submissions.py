"""Runs that were submitted to a server: found again by request id, ended once, read in pages.

A submission stands beside a run in the store and adds what a service needs: under which request id it came, from whom,
and whether it was ended before every scenario had its answer. Modify this module when a service may do something else
with a run; how runs are answered is run.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.sweep.store import Run, Store, now

State = Literal["running", "finished", "cancelled", "failed"]
_COLUMNS = "s.request_id, s.request_sha256, s.caller, s.ended, s.ended_at, s.error, r.run_id"
_FROM = f"SELECT {_COLUMNS} FROM submission s JOIN run r ON r.number = s.run"
_OPEN = "s.ended IS NULL AND r.state <> 'finished'"


@dataclass(frozen=True)
class Submission:
    """A submitted run; `state` is final but for "running". Times are UTC, ISO 8601."""

    run: Run
    request_id: str
    request_sha256: str
    caller: str
    state: State
    ended_at: str | None
    error: str


class TooManyRuns(Exception):
    """The caller has as many open runs, or the store as many runs, as may be; `what` says which, `most` how many."""

    def __init__(self, what: Literal["open runs of a caller", "kept runs"], most: int) -> None:
        super().__init__(f"{what}: at most {most}")
        self.what, self.most = what, most


class Submissions:
    """The submissions of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def by_request(self, request_id: str) -> Submission | None:
        """The submission of that request id."""
        return self._one("s.request_id = ?", request_id)

    def by_run(self, run_id: str) -> Submission:
        """The submission of that run.

        Raises:
            UnknownName: there is none; the message offers the nearest.
        """
        found = self._one("r.run_id = ?", run_id)
        if found is None:
            known = [name for (name,) in self.store.query("SELECT run_id FROM run ORDER BY number DESC LIMIT 1000")]
            raise UnknownName(
                [Violation("run_id", shown(run_id), "no such run on this server" + nearest(run_id, known))]
            )
        return found

    def page(self, before: int | None, size: int) -> list[Submission]:
        """Submissions, latest first, of runs whose number in the store is below `before`."""
        rows = self.store.query(
            f"{_FROM} WHERE r.number < ? ORDER BY r.number DESC LIMIT ?", (2**62 if before is None else before, size)
        )
        return [self._made(row) for row in rows]

    def open(self) -> list[str]:
        """Ids of the runs that are not over, oldest first."""
        return [name for (name,) in self.store.query(f"SELECT r.run_id {_open_from()} ORDER BY r.number")]

    def keeper(
        self, request_id: str, request_sha256: str, caller: str, most_open: int, most_kept: int
    ) -> Callable[[Run], None]:
        """What keeps a submission in the transaction that registers its run.

        Raises (when called):
            TooManyRuns: the caller or the store has no room.
            sqlite3.IntegrityError: the request id has been taken meanwhile.
        """

        def keep(run: Run) -> None:
            ((kept,),) = self.store.query("SELECT count(*) FROM submission")
            if kept >= most_kept:
                raise TooManyRuns("kept runs", most_kept)
            ((mine,),) = self.store.query(f"SELECT count(*) {_open_from()} AND s.caller = ?", (caller,))
            if mine >= most_open:
                raise TooManyRuns("open runs of a caller", most_open)
            self.store.write(
                "INSERT INTO submission (request_id, run, request_sha256, caller) VALUES (?, ?, ?, ?)",
                (request_id, run.number, request_sha256, caller),
            )

        return keep

    def end(self, run_id: str, how: Literal["cancelled", "failed"], error: str = "") -> None:
        """End a run before its time; one that is over stays as it is."""
        self.store.write(
            "UPDATE submission SET ended = ?, ended_at = ?, error = ? WHERE ended IS NULL AND run = "
            "(SELECT number FROM run WHERE run_id = ? AND state <> 'finished')",
            (how, now(), error, run_id),
        )

    def results(self, of: Submission, after: int, size: int) -> tuple[list[dict[str, Any]], bool]:
        """Up to `size` results behind the place `after`, in order, and whether nothing can follow them.

        While the run goes on, only up to the first scenario that is still open, so that whoever goes on behind the last
        place it was given misses none. `of` must have been read before this is called.
        """
        over = of.state != "running"
        found: list[dict[str, Any]] = []
        for row in self.store.results(of.run, "position > ?", (after,)):
            if len(found) == size:
                return found, False
            if not over and row["position"] != after + len(found) + 1:
                return found, False
            found.append(row)
        return found, over

    def _one(self, where: str, value: str) -> Submission | None:
        rows = self.store.query(f"{_FROM} WHERE {where}", (value,))
        return self._made(rows[0]) if rows else None

    def _made(self, row: tuple[Any, ...]) -> Submission:
        request_id, request_sha256, caller, ended, ended_at, error, run_id = row
        run = self.store.run(run_id)
        state: State = ended or ("finished" if run.state == "finished" else "running")
        return Submission(run, request_id, request_sha256, caller, state, ended_at or run.finished_at, error)


def _open_from() -> str:
    return f"FROM submission s JOIN run r ON r.number = s.run WHERE {_OPEN}"


def checked_request_id(request_id: str) -> str:
    """The id itself.

    Raises:
        InvalidProblem: not 1 to 64 letters, digits, '.', '_', '-'.
    """
    plain = request_id.replace(".", "").replace("_", "").replace("-", "")
    if not request_id or len(request_id) > 64 or not (plain.isascii() and (plain.isalnum() or not plain)):
        raise InvalidProblem.of("request_id", request_id, "must be 1 to 64 letters, digits, '.', '_' or '-'")
    return request_id
