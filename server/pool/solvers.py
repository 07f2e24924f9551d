"""The solver processes of the server: warm ones taken and given back, dead ones replaced, jobs run on them."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from google.rpc import status_pb2

from server import frames
from server.admission import Slot
from server.errors import Refused, out_of_memory, too_late
from server.frames import Answer, Config, Job
from server.logs import log
from server.metrics import Metrics
from server.pool.forker import START_S, Forker
from server.pool.process import Process, SolverDied
from server.pool.watch import EarlyStop, Watch
from solver.domain.errors import SolverFailure

_GRACE_IF_LEFT_S = 0.04
"""How long a solver may take to end a search whose caller has left. Most need less; another is forked in less time
than a deaf one would go on."""
_DEAD_ALREADY_S = 0.05


class _Late(Exception):
    """A solver process was ended because it did not stop in time."""


class SolverPool:
    """Keeps `workers + spare_workers` warm solver processes and runs jobs on them.

    A process whose caller has left is told to stop and may not listen, so it does not count as one of them: where none
    is idle another is forked at once. Of such processes there are never more than of the others, and for moments only.
    """

    def __init__(self, config: Config, processes: int, metrics: Metrics) -> None:
        """Remember the settings; `start` makes the processes."""
        self._config, self._target, self._metrics = config, processes, metrics
        self._idle: asyncio.LifoQueue[Process] = asyncio.LifoQueue()
        self._takers = 0
        """Calls that wait for an idle process."""
        self._processes: dict[int, Process] = {}
        self._stopping: list[Process] = []
        """Processes that were told to stop a search nobody waits for, in that order."""
        self._forker = Forker(config, self._exited, self._all_died)
        self._forking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the processes and wait until all are warm."""
        await asyncio.gather(*(self._launch() for _ in range(self._target)))

    async def close(self) -> None:
        """End all processes."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        for process in list(self._processes.values()):
            process.close()
        await self._forker.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the solver processes that live."""
        return list(self._processes)

    @property
    def warm(self) -> int:
        """How many solver processes live."""
        return len(self._processes)

    # Jobs

    async def run(
        self,
        job: Job,
        slot: Slot,
        emit: Callable[[bytes], None] = lambda _message: None,
        early: EarlyStop | None = None,
    ) -> Answer:
        """Run a job on a warm process; if that dies, once more on another.

        Gives the slot back in every case, and at once if the caller leaves: the next call then gets a spare process,
        while this one's is stopped or killed.

        Raises:
            Refused: the request is invalid, needs more memory than allowed, or its solver did not stop in time.
            SolverDied: twice.
            SolverFailure: the task broke; the message has the traceback, for the log only.
            asyncio.CancelledError: the caller left.
        """
        emitted = 0
        early = early or EarlyStop()
        try:
            attempts = 0
            dead_already = 0
            while True:
                process = await self._take()
                attempts += 1
                seen = 0

                def pass_on(message: bytes, after: int = emitted) -> None:
                    nonlocal seen, emitted
                    seen += 1
                    if seen > after:  # a second attempt finds the same plans again
                        emitted += 1
                        emit(message)

                try:
                    return await self._attempt(process, job, pass_on, early)
                except SolverDied as death:
                    self._died(process, death)
                    if death.before_the_job and dead_already < self._target:
                        dead_already += 1  # killed while idle, which nobody had noticed yet: not this call's doing
                        attempts -= 1
                        continue
                    if attempts == 2 or early.asked or time.monotonic() >= job.stop_at:
                        if death.out_of_memory:
                            raise Refused(out_of_memory(self._config.memory_limit_mib)) from None
                        raise
                    self._metrics.retries.inc()
                except _Late as late:
                    self._died(process, SolverDied(-9, deaf=True))
                    raise Refused(too_late(float(late.args[0]))) from None
                except asyncio.CancelledError:
                    self._spawn(self._settle(process))
                    raise
        finally:
            slot.release()

    async def _attempt(self, process: Process, job: Job, emit: Callable[[bytes], None], early: EarlyStop) -> Answer:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        watch = Watch(loop, process, self._forker.kill, job.deadline)
        watch.until(job.stop_at)
        fallback: Answer | None = None
        heard = False
        process.send(frames.JOB, job.packed())
        try:
            with early.of(watch):
                while True:
                    kind, payload = await process.read()
                    heard = True
                    if kind == frames.EVENT:
                        emit(payload)
                    elif kind == frames.STARTED:
                        watch.until(min(job.stop_at, time.monotonic() + frames.SECONDS.unpack(payload)[0]))
                    elif kind == frames.PONG:
                        watch.lives()
                    elif kind == frames.FALLBACK:
                        fallback = Answer.unpacked(payload)
                    elif kind == frames.RESULT:
                        answer = Answer.unpacked(payload)
                        self._give_back(process, answer.retiring)
                        return answer
                    elif kind == frames.REFUSED:
                        self._give_back(process)
                        raise Refused(status_pb2.Status.FromString(payload))
                    elif kind == frames.BROKEN:
                        self._give_back(process)
                        raise SolverFailure(payload.decode(errors="replace"))
        except SolverDied:
            if not watch.killed:
                before_the_job = not heard and time.monotonic() - began < _DEAD_ALREADY_S
                raise SolverDied(await process.ended(), before_the_job) from None
            if fallback is None:
                raise _Late(time.monotonic() - began) from None
            self._died(process, SolverDied(-9, deaf=True))
            return replace(fallback, solve_s=time.monotonic() - began)
        finally:
            watch.cancel()

    async def _settle(self, process: Process) -> None:
        """Stop a search nobody waits for; kill the process if it does not listen."""
        process.send(frames.STOP)
        self._stopping.append(process)
        if len(self._stopping) > self._target:
            self._give_up(self._stopping[0])
        self._refill()
        try:
            async with asyncio.timeout(_GRACE_IF_LEFT_S):
                while True:
                    kind, payload = await process.read()
                    if kind in (frames.RESULT, frames.REFUSED, frames.BROKEN):
                        break
        except TimeoutError:
            self._give_up(process)
        except SolverDied:
            self._died(process, SolverDied(await process.ended()))
        else:
            self._stopping.remove(process)
            self._give_back(process, kind == frames.RESULT and Answer.unpacked(payload).retiring)

    def _give_up(self, process: Process) -> None:
        """Kill a process that was told to stop and does not."""
        self._forker.kill(process)
        self._died(process, SolverDied(-9, deaf=True))

    def _refill(self) -> None:
        """Where no process is idle and one is being stopped, have another forked: the next call may not wait for it."""
        if self._stopping and self._idle.empty() and not self._closed:
            self._spawn(self._replace())

    async def _take(self) -> Process:
        """A warm process; those that died while idle are passed over."""
        while True:
            self._takers += 1
            try:
                process = await self._idle.get()
            finally:
                self._takers -= 1
            if self._processes.get(process.pid) is not process:
                continue
            if process.gone:
                self._spawn(self._bury(process))
                continue
            process.busy = True
            self._refill()
            return process

    async def _bury(self, process: Process) -> None:
        self._died(process, SolverDied(await process.ended()))

    def _give_back(self, process: Process, retiring: bool = False) -> None:
        process.busy = False
        if retiring or self._serving > self._target:
            self._retire(process, "grown" if retiring else "surplus")
        else:
            self._idle.put_nowait(process)

    def _retire(self, process: Process, cause: str) -> None:
        log(logging.INFO, "solver process replaced", pid=process.pid, cause=cause)
        self._forget(process)

    def _died(self, process: Process, death: SolverDied) -> None:
        if self._processes.get(process.pid) is not process:
            return  # told already
        self._metrics.deaths.labels(death.cause).inc()
        level = logging.INFO if death.deaf else logging.WARNING
        log(level, "solver process died", pid=process.pid, cause=death.cause)
        self._forget(process)

    def _forget(self, process: Process) -> None:
        process.close()
        self._processes.pop(process.pid, None)
        if process in self._stopping:
            self._stopping.remove(process)
        self._metrics.processes.set(len(self._processes))
        if not self._closed:
            self._spawn(self._replace())

    # Processes

    @property
    def _serving(self) -> int:
        """How many processes there are but for those being stopped."""
        return len(self._processes) - len(self._stopping)

    async def _replace(self) -> None:
        wait_s = 0.05
        while not self._closed and self._serving < self._target:
            try:
                await self._launch()
            except (OSError, TimeoutError, SolverDied) as error:
                log(logging.ERROR, "solver process does not start", cause=type(error).__name__, retry_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, 5.0)

    async def _launch(self) -> None:
        """Have one solver process forked, wait until it is warm, and offer it."""
        async with self._forking:
            if self._serving >= self._target:
                return
            process = await self._forker.fork()
            self._processes[process.pid] = process
        try:
            async with asyncio.timeout(START_S):
                await process.read()
        except (TimeoutError, SolverDied):
            self._forker.kill(process)
            process.close()
            self._processes.pop(process.pid, None)
            raise
        process.warm = True
        self._metrics.processes.set(len(self._processes))
        self._idle.put_nowait(process)
        # Forked in place of one that was being stopped, and has listened meanwhile?
        if self._serving > self._target and self._idle.qsize() > self._takers:
            self._retire(self._idle.get_nowait(), "surplus")

    def _exited(self, pid: int, code: int) -> None:
        process = self._processes.get(pid)
        if process is None:
            return
        if not process.exit_code.done():
            process.exit_code.set_result(code)
        if not process.busy and process.warm:
            self._died(process, SolverDied(code))

    def _all_died(self, control: socket.socket) -> None:
        """A process that forks is gone, and the kernel ends what it has forked: those idle need not be tried."""
        for process in [each for each in self._processes.values() if each.control is control]:
            if not process.exit_code.done():
                process.exit_code.set_result(-9)
            if process.warm and not process.busy:
                self._died(process, SolverDied(-9))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
