"""The one process that drives all runs: expands files, has batches answered, and writes the answers.

`python -m server.runs.process FD CONFIG` is started by the server, again whenever it dies. It takes up every run of the
store that is not over, so a server that was killed and started again goes on where it was. Each run is driven by
`solver.sweep.run.execute` in a thread of its own; what that hands to its executor goes over FD to the server, which
has it answered by a solver process when no call wants the slot.

It is the only writer of answers: a lock on the store keeps a second server out. It ends when the server's socket does.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import IO, Any

from server import frames
from server.errors import internal, invalid, store_full
from server.runs import config as wire
from server.runs.config import RunsConfig
from solver.api.v1 import run_service_pb2 as api
from solver.domain.errors import InvalidProblem
from solver.sweep.run import Progress, Settings, execute
from solver.sweep.scenario import Batch, Row
from solver.sweep.store import Run, Store
from solver.sweep.submissions import Submissions
from solver.wire import parsed
from solver.wire.runs import result_message, run_message

MOST_AT_ONCE = 8
"""Runs driven side by side; they take turns at the slots. Others wait until one is over."""
MOST_FAILURES = 5
"""So often in a row a run may break without a single new answer before it is given up."""
_RETRY_S, _LONGEST_RETRY_S = 0.5, 30.0
_LOCK_S = 5.0
_NICE = 5


class Stopped(Exception):
    """The run is to stop: it was cancelled, or the server is going."""


class BatchBroke(RuntimeError):
    """The task that answers batches broke; the message has the traceback, for the log only."""


class SlotExecutor(Executor):
    """Has batches answered by the server's solver processes. `submit` never runs the function: it sends the batch."""

    kills_late = True
    """`submit` takes `timeout_s`, after which the server kills the solver process."""

    def __init__(self, run: Run, send: _Send, drop: Callable[[int], None]) -> None:
        self._run = {name: getattr(run, name) for name in ("run_id", "library_sha256", "question_sha256")}
        self._send, self._drop = send, drop
        self._lock = threading.Lock()
        self._flying: dict[int, Future[Any]] = {}
        self._stopped = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a batch.

        Raises:
            Stopped: `stop` was called.
        """
        timeout_s: float = kwargs.pop("timeout_s", None) or 3600.0
        future: Future[Any] = Future()
        with self._lock:
            if self._stopped:
                raise Stopped
            self._flying[self._send(self, wire.batch_bytes(self._run, args[0]), timeout_s)] = future
        return future

    def answered(self, number: int, rows: list[Row] | BaseException) -> None:
        """Take in what became of a batch."""
        with self._lock:
            future = self._flying.pop(number, None)
        if future is None:
            return
        if isinstance(rows, BaseException):
            future.set_exception(rows)
        else:
            future.set_result(rows)

    def stop(self) -> None:
        """End the run: nothing is sent any more, and what is under way is given up."""
        with self._lock:
            self._stopped = True
            flying, self._flying = self._flying, {}
        for number, future in flying.items():
            self._drop(number)
            future.set_exception(Stopped())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing of ours is to be shut down; what is under way is given up."""
        self.stop()


_Send = Callable[[SlotExecutor, bytes, float], int]
"""Sends a batch with the seconds it may take; returns its number."""


class Driver:
    """Drives the runs of a store and talks to the server."""

    def __init__(self, connection: socket.socket, config: RunsConfig, slots: int) -> None:
        self._connection, self._path, self._slots = connection, Path(config.store), slots
        self._sending = threading.Lock()
        self._lock = threading.RLock()
        self._number = 0
        self._batches: dict[int, SlotExecutor] = {}
        self._active: dict[str, tuple[threading.Thread, SlotExecutor]] = {}
        self._failures: dict[str, int] = {}
        self._retry_at: dict[str, float] = {}
        self._cancelling: set[str] = set()
        self._closing = False

    def run(self) -> None:
        """Drive until the server is gone."""
        self._connection.settimeout(None)
        threading.Thread(target=self._look_again, daemon=True).start()
        self._send(wire.UP)
        self.take_up()
        while (received := frames.receive(self._connection)) is not None:
            kind, payload = received
            if kind == wire.NEWS:
                self.take_up()
            elif kind in (wire.ROWS, wire.LOST):
                self._answered(kind, payload)
            elif kind == wire.CANCEL:
                (number,) = wire.NUMBER.unpack_from(payload)
                threading.Thread(target=self._cancel, args=(number, payload[wire.NUMBER.size :]), daemon=True).start()
        self.close()

    def close(self) -> None:
        """Stop all runs, with what is finished stored; they are taken up again later."""
        with self._lock:
            self._closing = True
            active = list(self._active.values())
        for _, executor in active:
            executor.stop()
        for thread, _ in active:
            thread.join(2.0)

    # Runs

    def take_up(self) -> None:
        """Begin with the runs that are open, as many as there is room for."""
        with Store(self._path) as store, self._lock:  # so that none of them is ended between the look and the start
            for run_id in Submissions(store).open():
                if self._closing or len(self._active) >= MOST_AT_ONCE:
                    return
                late = self._retry_at.get(run_id, 0.0) > time.monotonic()
                if run_id in self._active or run_id in self._cancelling or late:
                    continue
                executor = SlotExecutor(store.run(run_id), self._send_batch, self._drop_batch)
                thread = threading.Thread(target=self._drive, args=(run_id, executor), daemon=True)
                self._active[run_id] = (thread, executor)
                thread.start()

    def _look_again(self) -> None:
        """Runs that broke get another try; and a word of the server that was lost is made up for."""
        while not self._closing:
            time.sleep(1.0)
            try:
                self.take_up()
            except (InvalidProblem, sqlite3.Error) as error:
                self._note("run store cannot be read", exception=str(error))

    def _drive(self, run_id: str, executor: SlotExecutor) -> None:
        before = -1
        try:
            with Store(self._path) as store:
                run = store.run(run_id)
                before = store.counts(run).done
                settings = Settings(jobs=self._slots, first_batch=wire.FIRST_BATCH, batch_s=wire.BATCH_S)

                def report(progress: Progress) -> None:
                    self._tell(store, run_id, progress)

                execute(store, run, settings, report, _nowhere, executor)
                self._tell(store, run_id)
                self._note("run finished", run=run_id)
            self._failures.pop(run_id, None)
        except Stopped:
            pass
        except Exception as error:
            self._broke(run_id, before, error)
        finally:
            with self._lock:
                self._active.pop(run_id, None)
        if not self._closing:
            self.take_up()

    def _broke(self, run_id: str, before: int, error: Exception) -> None:
        """Try again later; give up a run that breaks again and again and gets nowhere."""
        error_id = uuid.uuid4().hex
        self._note("run broke", run=run_id, error_id=error_id, exception="".join(traceback.format_exception(error)))
        ours = isinstance(error, (InvalidProblem, sqlite3.Error, OSError))  # the store: it may be mended
        try:
            with Store(self._path) as store:
                if store.counts(store.run(run_id)).done > before >= 0:
                    self._failures[run_id] = 0
                failures = self._failures[run_id] = self._failures.get(run_id, 0) + 1
                if failures >= MOST_FAILURES and not ours:
                    Submissions(store).end(run_id, "failed", f"internal error {error_id}; the server's log has it")
                    self._tell(store, run_id)
        except (InvalidProblem, sqlite3.Error) as again:
            self._note("run store cannot be used", exception=str(again))
            failures = self._failures[run_id] = self._failures.get(run_id, 0) + 1
        self._retry_at[run_id] = time.monotonic() + min(_RETRY_S * 2**failures, _LONGEST_RETRY_S)

    def _cancel(self, number: int, request: bytes) -> None:
        """End a run for good; answer when nothing can be added to it any more."""
        run_id = ""
        try:
            run_id = parsed(request, api.CancelRunRequest).run_id
            if not run_id:
                raise InvalidProblem.of("run_id", None, "is required")
            with Store(self._path) as store:
                runs = Submissions(store)
                runs.by_run(run_id)
                with self._lock:
                    self._cancelling.add(run_id)  # nobody takes it up again meanwhile
                    active = self._active.get(run_id)
                if active is not None:
                    active[1].stop()
                    active[0].join()
                runs.end(run_id, "cancelled")
                found = runs.by_run(run_id)
                told = api.CancelRunResponse(run=run_message(found, store.counts(found.run)))
                self._tell(store, run_id)
            reply = wire.NUMBER.pack(number) + b"\1" + told.SerializeToString()
        except InvalidProblem as error:
            reply = wire.NUMBER.pack(number) + b"\0" + invalid(error).SerializeToString()
        except Exception as error:
            error_id = uuid.uuid4().hex
            self._note("cancel broke", run=run_id, error_id=error_id, exception=traceback.format_exc())
            status = store_full() if wire.disk_full(error) else internal(error_id)
            reply = wire.NUMBER.pack(number) + b"\0" + status.SerializeToString()
        finally:
            with self._lock:
                self._cancelling.discard(run_id)
        self._send(wire.REPLY, reply)

    def _tell(self, store: Store, run_id: str, progress: Progress | None = None) -> None:
        """Tell watchers how a run stands."""
        found = Submissions(store).by_run(run_id)
        told = api.WatchRunResponse(run=run_message(found, store.counts(found.run)))
        if progress is not None and progress.rate > 0:
            told.scenarios_per_second = progress.rate
        if progress is not None and progress.best is not None:
            told.best.CopyFrom(result_message(progress.best._asdict()))
        self._send(wire.EVENT, wire.event(run_id, found.state != "running", told.SerializeToString()))

    # Batches

    def _send_batch(self, executor: SlotExecutor, body: bytes, timeout_s: float) -> int:
        with self._lock:
            self._number += 1
            number = self._number
            self._batches[number] = executor
        self._send(wire.BATCH, wire.BATCH_HEAD.pack(number, timeout_s) + body)
        return number

    def _drop_batch(self, number: int) -> None:
        with self._lock:
            self._batches.pop(number, None)
        self._send(wire.DROP, wire.NUMBER.pack(number))

    def _answered(self, kind: int, payload: bytes) -> None:
        (number,) = wire.NUMBER.unpack_from(payload)
        with self._lock:
            executor = self._batches.pop(number, None)
        if executor is None:
            return
        if kind == wire.ROWS:
            executor.answered(number, wire.rows_of(payload[wire.NUMBER.size :]))
            return
        _, reason = wire.LOST_HEAD.unpack_from(payload)
        text = payload[wire.LOST_HEAD.size :].decode(errors="replace")
        executor.answered(number, _lost(reason, text))

    def _note(self, event: str, **fields: Any) -> None:
        self._send(wire.NOTE, json.dumps({"event": event, **fields}).encode())

    def _send(self, kind: int, payload: bytes = b"") -> None:
        try:
            with self._sending:
                self._connection.sendall(frames.frame(kind, payload))
        except OSError:
            self._closing = True  # the server is gone; the main thread sees it too


def _lost(reason: int, text: str) -> BaseException:
    if reason == wire.LATE:
        return TimeoutError()
    if reason == wire.DIED:
        from pebble import ProcessExpired

        return ProcessExpired(text)  # type: ignore[no-untyped-call]
    return BatchBroke(text)


def _nowhere(_batch: Batch) -> list[Row]:
    raise AssertionError("batches are answered by the server")


def main(arguments: list[str]) -> None:
    """Drive the runs of the store until the server is gone."""
    faulthandler.enable()
    connection = socket.socket(fileno=int(arguments[0]))
    config = RunsConfig(**json.loads(arguments[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; only the server may act on it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICE)  # calls go first
    try:
        lock = _locked(Path(config.store))
        with Store(Path(config.store)):
            pass
    except (InvalidProblem, OSError) as error:
        text = str(error.violations[0].allowed) if isinstance(error, InvalidProblem) else str(error.strerror)
        connection.sendall(frames.frame(wire.FAULT, text.encode()))
        return
    with lock:
        Driver(connection, config, int(arguments[2])).run()
    os._exit(0)


def _locked(store: Path) -> IO[bytes]:
    """Lock the store for this process; the kernel unlocks it when the process ends, however it does.

    Raises:
        InvalidProblem: another server has it.
        OSError: the file beside the store cannot be made.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    file = store.with_name(f"{store.name}.lock").open("ab")
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > until:
                file.close()
                raise InvalidProblem.of("run_store", str(store), "is in use by another server") from None
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
