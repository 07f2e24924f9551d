"""The solver processes as the server sees them: warm ones taken and given back, dead ones replaced, deaf ones killed.

Runs in the server's event loop. What happens inside a solver process stands in solver_process.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, replace
from typing import Any

from google.rpc import status_pb2

from server import frames
from server.admission import Slot
from server.errors import Refused, out_of_memory, too_late
from server.frames import EXIT_MEMORY, Answer, Config, Job
from server.logs import log
from server.metrics import Metrics
from solver.domain.errors import SolverFailure

GRACE_S = 0.5
"""How long a solver may take to end its search after it was told to stop."""
_GRACE_IF_LEFT_S = 0.04
"""The same where its caller has left. Most stop sooner; another is forked in less time than a deaf one would go on."""
_DEADLINE_SHARE = 0.4
_DEAD_ALREADY_S = 0.05
_PING_EVERY_S = 1.0
_PONG_WITHIN_S = 2.0
"""A solver process answers a ping from a thread of its own, also while it searches. Long enough for a busy machine."""
_START_S = 60.0
_FORK_S = 5.0
"""How long the process that forks may take to do so before it is taken for hung; it is some 10 ms."""
_READ_BYTES = 1 << 20


class SolverDied(SolverFailure):
    """A solver process ended in the middle of a call; `exit_code` is negative for a signal, None if not known."""

    def __init__(self, exit_code: int | None, before_the_job: bool = False, deaf: bool = False) -> None:
        """Keep how it ended.

        Args:
            exit_code: of the process.
            before_the_job: it seems to have been dead when it got the job.
            deaf: we killed it, because it did not stop when told to.
        """
        self.exit_code, self.before_the_job, self.deaf = exit_code, before_the_job, deaf
        super().__init__(f"a solver process ended with {exit_code}")

    @property
    def cause(self) -> str:
        """Name for log and metrics."""
        if self.deaf:
            return "did not stop"
        if self.exit_code is None:
            return "unknown"
        if self.exit_code == EXIT_MEMORY:
            return "memory"
        return f"signal {-self.exit_code}" if self.exit_code < 0 else f"exit {self.exit_code}"

    @property
    def out_of_memory(self) -> bool:
        """Whether the memory limit is the likely cause: said so, or aborted (C++ cannot allocate or start a thread)."""
        return self.exit_code in (EXIT_MEMORY, -6, 127)


class _Late(Exception):
    """A solver process was ended because it did not stop in time."""


class EarlyStop:
    """Lets a job's caller end its search and still have the answer: the best found so far."""

    def __init__(self) -> None:
        """Nothing is being searched yet."""
        self.asked = False
        self._watch: _Watch | None = None

    def now(self) -> bool:
        """End the search as if its time were over; whether one was under way."""
        if self._watch is None:
            return False
        self.asked = True
        self._watch.until(time.monotonic())
        return True

    @contextlib.contextmanager
    def of(self, watch: _Watch) -> Iterator[None]:
        """The search that `watch` times is under way inside the block."""
        self._watch = watch
        try:
            yield
        finally:
            self._watch = None


class _Process:
    """One solver process: its pid, its socket, and how it ended."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid, self._reader, self._writer = pid, reader, writer
        self.exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.warm = False
        self.busy = False

    async def read(self) -> tuple[int, bytes]:
        """The next frame; SolverDied, its cause not known yet, at the end of the socket."""
        try:
            kind, length = frames.HEADER.unpack(await self._reader.readexactly(frames.HEADER.size))
            return kind, await self._reader.readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            raise SolverDied(None) from None

    @property
    def gone(self) -> bool:
        """Whether it has ended while nobody read from it."""
        return self._reader.at_eof()

    async def ended(self) -> int | None:
        """The exit code, if it becomes known soon."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.exit_code), 0.3)
        except TimeoutError:
            return None

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Send a frame; to a dead process it is lost, which the next read tells."""
        if not self._writer.is_closing():
            self._writer.write(frames.frame(kind, payload))

    def close(self) -> None:
        """Close the socket, upon which the process ends."""
        self._writer.close()


class SolverPool:
    """Keeps `workers + spare_workers` warm solver processes and runs jobs on them.

    A process whose caller has left is told to stop and may not listen, so it does not count as one of them: where none
    is idle another is forked at once. Of such processes there are never more than of the others, and for moments only.
    """

    def __init__(self, config: Config, processes: int, metrics: Metrics) -> None:
        """Remember the settings; `start` makes the processes."""
        self._config, self._target, self._metrics = config, processes, metrics
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        self._takers = 0
        """Calls that wait for an idle process."""
        self._processes: dict[int, _Process] = {}
        self._stopping: list[_Process] = []
        """Processes that were told to stop a search nobody waits for, in that order."""
        self._forked: asyncio.Future[int] | None = None
        self._forking = asyncio.Lock()
        self._control: socket.socket | None = None
        self._control_writer: asyncio.StreamWriter | None = None
        self._parent: subprocess.Popen[bytes] | None = None
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
        if self._control_writer is not None:
            self._control_writer.close()
        if self._control is not None:
            self._control.close()
        if self._parent is not None:
            parent = self._parent
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(parent.wait, 1.0)
            if parent.poll() is None:
                parent.kill()
                parent.wait()

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

    async def _attempt(self, process: _Process, job: Job, emit: Callable[[bytes], None], early: EarlyStop) -> Answer:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        watch = _Watch(loop, process, self._kill, job.deadline)
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

    async def _settle(self, process: _Process) -> None:
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

    def _give_up(self, process: _Process) -> None:
        """Kill a process that was told to stop and does not."""
        self._kill(process)
        self._died(process, SolverDied(-9, deaf=True))

    def _refill(self) -> None:
        """Where no process is idle and one is being stopped, have another forked: the next call may not wait for it."""
        if self._stopping and self._idle.empty() and not self._closed:
            self._spawn(self._replace())

    async def _take(self) -> _Process:
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

    async def _bury(self, process: _Process) -> None:
        self._died(process, SolverDied(await process.ended()))

    def _give_back(self, process: _Process, retiring: bool = False) -> None:
        process.busy = False
        if retiring or self._serving > self._target:
            self._retire(process, "grown" if retiring else "surplus")
        else:
            self._idle.put_nowait(process)

    def _retire(self, process: _Process, cause: str) -> None:
        log(logging.INFO, "solver process replaced", pid=process.pid, cause=cause)
        self._forget(process)

    def _died(self, process: _Process, death: SolverDied) -> None:
        if self._processes.get(process.pid) is not process:
            return  # told already
        self._metrics.deaths.labels(death.cause).inc()
        level = logging.INFO if death.deaf else logging.WARNING
        log(level, "solver process died", pid=process.pid, cause=death.cause)
        self._forget(process)

    def _forget(self, process: _Process) -> None:
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
            await self._parent_process()
            assert self._control is not None
            ours, theirs = socket.socketpair()
            self._forked = asyncio.get_running_loop().create_future()
            try:
                socket.send_fds(self._control, [frames.frame(frames.FORK)], [theirs.fileno()])
            except OSError:
                ours.close()
                self._control.close()
                self._control = None
                raise
            finally:
                theirs.close()
            try:
                async with asyncio.timeout(_FORK_S):
                    pid = await self._forked
            except (TimeoutError, SolverDied) as error:
                ours.close()
                if isinstance(error, TimeoutError):
                    self._parent_hangs()
                raise
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_BYTES)
            process = _Process(pid, reader, writer)
            self._processes[pid] = process
        try:
            async with asyncio.timeout(_START_S):
                await process.read()
        except (TimeoutError, SolverDied):
            self._kill(process)
            process.close()
            self._processes.pop(pid, None)
            raise
        process.warm = True
        self._metrics.processes.set(len(self._processes))
        self._idle.put_nowait(process)
        # Forked in place of one that was being stopped, and has listened meanwhile?
        if self._serving > self._target and self._idle.qsize() > self._takers:
            self._retire(self._idle.get_nowait(), "surplus")

    async def _parent_process(self) -> None:
        """Start the process that forks, if there is none."""
        if self._control is not None and self._parent is not None and self._parent.poll() is None:
            return
        ours, theirs = socket.socketpair()
        config = json.dumps(asdict(self._config), default=str)
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "server.solver_process", str(theirs.fileno()), config],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # Threads that linear algebra would start count against the memory limit, and must not exist at a fork.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        theirs.close()
        self._control = ours
        ours.setblocking(False)
        reader, self._control_writer = await asyncio.open_connection(sock=ours.dup())
        ready = asyncio.get_running_loop().create_future()
        self._spawn(self._listen(reader, ready))
        async with asyncio.timeout(_START_S):
            await ready

    def _parent_hangs(self) -> None:
        """Kill the process that forks, and with it what it has forked: it could not even kill a deaf one any more."""
        log(logging.WARNING, "forking process hangs")
        if self._parent is not None:
            self._parent.kill()

    async def _listen(self, reader: asyncio.StreamReader, ready: asyncio.Future[None]) -> None:
        """What the process that forks has to say: pids of new processes, exit codes of ended ones."""
        try:
            while True:
                kind, length = frames.HEADER.unpack(await reader.readexactly(frames.HEADER.size))
                payload = await reader.readexactly(length) if length else b""
                if kind == frames.READY:
                    ready.set_result(None)
                elif kind == frames.FORKED:
                    if self._forked is not None and not self._forked.done():
                        self._forked.set_result(frames.PID.unpack(payload)[0])
                elif kind == frames.EXITED:
                    self._exited(*frames.PID_AND_STATUS.unpack(payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            if self._closed:
                return
            log(logging.WARNING, "forking process died")
            if self._control is not None:
                self._control.close()
                self._control = None
            if not ready.done():
                ready.set_exception(SolverDied(None))
            if self._forked is not None and not self._forked.done():
                self._forked.set_exception(SolverDied(None))
            for process in list(self._processes.values()):  # the kernel ends them all; those idle need not be tried
                if not process.exit_code.done():
                    process.exit_code.set_result(-9)
                if process.warm and not process.busy:
                    self._died(process, SolverDied(-9))

    def _exited(self, pid: int, code: int) -> None:
        process = self._processes.get(pid)
        if process is None:
            return
        if not process.exit_code.done():
            process.exit_code.set_result(code)
        if not process.busy and process.warm:
            self._died(process, SolverDied(code))

    def _kill(self, process: _Process) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(frames.frame(frames.KILL, frames.PID.pack(process.pid)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Watch:
    """Tells a process to stop when its time is over, and has it killed if it does not, or if it shows no life."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, process: _Process, kill: Callable[[_Process], None], deadline: float
    ) -> None:
        self._loop, self._process, self._kill, self._deadline = loop, process, kill, deadline
        self._timer: asyncio.TimerHandle | None = None
        self._pulse = loop.call_later(_PING_EVERY_S, self._ping)
        self._told = False
        self.killed = False

    def until(self, moment: float) -> None:
        """Set when the time is over, on the monotonic clock; once it is, it stays so."""
        if self._told:
            return
        self._cancel_timer()
        self._timer = self._loop.call_later(max(0.0, moment - time.monotonic()), self._stop)

    def _stop(self) -> None:
        self._told = True
        self._process.send(frames.LATE)
        left = self._deadline - time.monotonic()
        # What the solver has so far must still reach the caller, so it gets less than half of what is left.
        self._timer = self._loop.call_later(max(0.0, min(GRACE_S, _DEADLINE_SHARE * left)), self._end)

    def _end(self) -> None:
        self.killed = True
        self._kill(self._process)
        self._process.close()  # the end of a process that holds much memory takes long; nobody waits for it

    def lives(self) -> None:
        """It has answered: ask again later."""
        self._pulse.cancel()
        self._pulse = self._loop.call_later(_PING_EVERY_S, self._ping)

    def _ping(self) -> None:
        self._process.send(frames.PING)
        self._pulse = self._loop.call_later(_PONG_WITHIN_S, self._hangs)

    def _hangs(self) -> None:
        # Stopped, or stuck: its call goes to another, as if it had died, instead of waiting out its time here.
        self._kill(self._process)
        self._process.close()

    def cancel(self) -> None:
        """Watch no longer."""
        self._pulse.cancel()
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
