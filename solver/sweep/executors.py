"""Where batches run: in this process, or in processes of their own that may die without taking the run along.

`run_batches` drives anything with `concurrent.futures.Executor.submit`: it keeps few batches in flight, and when a
batch dies it halves it until the scenario that kills its worker is alone, which then fails by itself. A new engine
is one more executor in `EXECUTORS`; the one on a Dask cluster is in cluster.py. Modify this module when batches run
somewhere else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from solver.domain.errors import SolverFailure
from solver.sweep.scenario import Batch, Row, failed

Answer = Callable[[Batch], list[Row]]
DEATHS = 3
"""So many deaths of a worker over one scenario alone make it a failed one; one may be another's fault."""
MOST_RENEWALS = 5
"""So often in a row the pool as a whole is begun anew without a single batch done in between."""
_LOOK_S = 0.2
"""So often a look is taken at whether to stop, and whether the pool is broken: what waits in one may wait for ever."""
GRACE_S = 10.0
"""On top of the time limits of its scenarios, before a batch's worker is killed: model building, start of a worker."""


class InlineExecutor(Executor):
    """Runs every call at once in this process: no worker to lose, none to isolate a crash."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the call and return it done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalExecutor(Executor):
    """Worker processes on this machine. A worker that dies loses its own batch only and is replaced.

    Args:
        workers: how many processes.
    """

    kills_late = True
    """`submit` takes `timeout_s`, after which the worker is killed."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["solver.sweep.engine"])
        # The workers hold the reading end: when this process is gone, however it went, they see the end of the pipe.
        self._reader, self._alive = self._context.Pipe(duplex=False)
        self._pool = self._new_pool()

    def _new_pool(self) -> Any:
        from pebble import ProcessPool

        return ProcessPool(
            max_workers=self._workers, context=self._context, initializer=_begin_worker, initargs=(self._reader,)
        )

    @property
    def broken(self) -> bool:
        """Whether the pool as a whole is lost: idle workers killed, or the server that starts them."""
        try:
            return not self._pool.active
        except BrokenExecutor:  # asking begins a new pool, and the server that starts its workers was killed
            return True

    def renew(self) -> None:
        """Begin with a new pool; calls under way in the old one never come back."""
        self._pool.stop()
        self._pool.join()
        self._pool = self._new_pool()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call; `timeout_s` kills its worker after that time.

        Raises:
            RuntimeError: the pool is broken.
        """
        timeout_s = kwargs.pop("timeout_s", None)
        future: Future[Any] = self._pool.schedule(fn, args=args, kwargs=kwargs, timeout=timeout_s)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the workers; with `cancel_futures` at once."""
        if cancel_futures or self.broken:
            self._pool.stop()
        else:
            self._pool.close()
        if wait:
            self._pool.join()
        self._alive.close()
        self._reader.close()


def _begin_worker(alive: Connection) -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone: orphans would compute for nobody."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            alive.recv()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _dask(workers: int, **where: str) -> Executor:
    from solver.sweep.cluster import DaskExecutor  # an extra, which a plain install lacks

    return DaskExecutor(workers, **where)


EXECUTORS: dict[str, Callable[..., Executor]] = {
    "inline": lambda _jobs: InlineExecutor(),
    "local": LocalExecutor,
    "dask": _dask,
}
"""By name: made from the number of processes; `dask` also takes where its scheduler is."""


@dataclass
class _Flight:
    """A batch under way, and how often its only scenario has killed a worker."""

    batch: Batch
    deaths: int = 0


def run_batches(
    executor: Executor,
    answer: Answer,
    batches: Iterator[Batch],
    in_flight: int,
    timeout_s: Callable[[Batch], float | None] = lambda _batch: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[list[Row]]:
    """Yield the rows of every batch as it is done, in no particular order; each scenario exactly once.

    Args:
        executor: what runs them.
        answer: what turns a batch into rows; picklable for executors in other processes.
        batches: what to run; drawn only as fast as there is room.
        in_flight: most batches under way.
        timeout_s: how long a batch may take, for executors that can kill a worker.
        stopping: asked between batches, and every 0.2 s while one is waited for; True ends the run.

    Raises:
        KeyboardInterrupt: `stopping` said so; everything that is finished has been yielded.
        SolverFailure: no worker can be kept alive for even one batch.
        Exception: what `answer` itself raised; the death of a worker is no such thing.
    """
    retry: deque[_Flight] = deque()
    flying: dict[Future[Any], _Flight] = {}
    more, renewals, refused = True, 0, False
    while more or retry or flying:
        if stopping():
            # What is finished is kept, also what nobody has picked up yet.
            for future in flying:
                if future.done() and not future.cancelled() and future.exception() is None:
                    yield future.result()
            raise KeyboardInterrupt
        suspect = any(flight.deaths for flight in flying.values()) and getattr(executor, "blames_neighbours", False)
        while len(flying) < in_flight and (retry or more) and not suspect:
            if retry and getattr(executor, "blames_neighbours", False) and retry[0].deaths:
                # Tried alone, so that nobody else's fault is taken for its own.
                if flying:
                    break
                suspect, flight = True, retry.popleft()
            elif retry:
                flight = retry.popleft()
            else:
                batch = next(batches, None)
                if batch is None:
                    more = False
                    break
                flight = _Flight(batch)
            limits = {"timeout_s": timeout_s(flight.batch)} if getattr(executor, "kills_late", False) else {}
            try:
                flying[executor.submit(answer, flight.batch, **limits)] = flight
            except RuntimeError as refusal:
                refused = isinstance(refusal, BrokenExecutor)  # as it says itself; asked again it might begin anew
                if not refused and not _is_broken(executor):
                    raise
                retry.appendleft(flight)
                break
            if suspect:
                break
        wait(flying, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        broken, refused = refused or _is_broken(executor), False
        for future in [each for each in flying if each.done()]:
            flight = flying.pop(future)
            error = CancelledError() if future.cancelled() else future.exception()
            if error is None:
                renewals = 0
                yield future.result()
            elif isinstance(error, (BrokenExecutor, CancelledError)):
                retry.append(flight)  # nothing says that it was this batch's fault
                broken = True
            elif _is_death(error):
                yield from _after_death(flight, error, retry)
            else:
                raise error
        if broken:
            renewals += 1
            if renewals > MOST_RENEWALS or not hasattr(executor, "renew"):
                raise SolverFailure("the processes that solve keep dying before they have done anything")
            retry.extend(flying.values())
            flying.clear()
            executor.renew()


def _is_broken(executor: Executor) -> bool:
    return bool(getattr(executor, "broken", False))


def _is_death(error: BaseException) -> bool:
    """Whether the worker died or was killed for taking too long, rather than the call having raised."""
    from pebble import ProcessExpired

    from solver.sweep.cluster import WorkerDied

    return isinstance(error, (ProcessExpired, TimeoutError, WorkerDied))


def _after_death(flight: _Flight, error: BaseException, retry: deque[_Flight]) -> Iterator[list[Row]]:
    scenarios = flight.batch.scenarios
    if len(scenarios) > 1:
        half = len(scenarios) // 2
        retry.extend(_Flight(flight.batch.part(part)) for part in (scenarios[:half], scenarios[half:]))
        return
    late = isinstance(error, TimeoutError)
    if not late and flight.deaths + 1 < DEATHS:
        retry.append(_Flight(flight.batch, flight.deaths + 1))
        return
    reason = "took longer than its time limit" if late else f"its worker died {DEATHS} times"
    yield [failed(scenarios[0], f"internal: {reason}")]


def worst_case_s(batch: Batch) -> float | None:
    """Seconds before a batch's worker is killed: the limit of every scenario, and some grace; None for ever."""
    if batch.time_limit_s is None:
        return None
    return batch.time_limit_s * len(batch.scenarios) + GRACE_S
