"""What runs in the processes behind the server: one that forks, and the solver processes it forks.

`python -m server.solver_process FD CONFIG` imports the solver, reads the catalogues and then forks a warm solver
process for every socket it is handed over FD: some 10 ms each, where a fresh interpreter takes half a second. It has
one thread, and none is left of the one search it does beforehand, so forking it is safe; the server itself, full of
gRPC's threads, is never forked.

No orphans: a solver process ends itself when its socket closes (a thread of its own waits for that), and the kernel
ends it when its parent is gone, which catches also one that hangs; the parent ends when the server's socket closes.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import queue
import resource
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping

from server import frames
from server.catalogs import libraries
from server.errors import Refused, invalid
from server.frames import EXIT_MEMORY, Answer, Config, Job
from server.runs.tasks import RUN_TASKS
from server.tasks import TASKS, Call
from solver.catalog import Library, default_problem
from solver.domain.errors import InvalidProblem
from solver.solve import optimize

_RETIRE_SHARE = 0.6
"""A solver process that holds more than this share of its memory limit after an answer is replaced."""
_LARGE_REQUEST_BYTES = 4096
"""A request above this may bring a catalogue of which the model takes long to build, in which no stop is heard: what is
said if time runs out meanwhile is then said beforehand."""
_PR_SET_PDEATHSIG = 1


# The process that forks


def main(arguments: list[str]) -> None:
    """Fork a solver process for each socket received; report the pid, and later the exit status."""
    faulthandler.enable()  # the processes it forks inherit this
    control = socket.socket(fileno=int(arguments[0]))
    config = Config(**json.loads(arguments[1]))
    known = libraries(config.catalogs)
    optimize(default_problem())  # what a first search sets up, 10 ms of it, each child then has from the start
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; only the server may act on it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # the children then share these pages
    wake, waker = socket.socketpair()
    wake.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: set[int] = set()
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    control.sendall(frames.frame(frames.READY))
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            _reap(children, control)
        if control in ready:
            try:
                header, descriptors, _, _ = socket.recv_fds(control, frames.HEADER.size, 1)
            except ConnectionError:  # the server was killed with something of ours unread
                header = b""
            if not header:
                os._exit(0)
            kind, length = frames.HEADER.unpack(header)
            payload = control.recv(length) if length else b""
            if kind == frames.KILL:
                (pid,) = frames.PID.unpack(payload)
                if pid in children:
                    os.kill(pid, signal.SIGKILL)
            elif kind == frames.FORK and descriptors:
                pid = _fork(descriptors[0], (control, wake, waker), config, known)
                children.add(pid)
                control.sendall(frames.frame(frames.FORKED, frames.PID.pack(pid)))


def _reap(children: set[int], control: socket.socket) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        children.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        control.sendall(frames.frame(frames.EXITED, frames.PID_AND_STATUS.pack(pid, code)))


def _fork(descriptor: int, inherited: tuple[socket.socket, ...], config: Config, known: Mapping[str, Library]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for opened in inherited:
            opened.close()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() == parent:
            _Solver(socket.socket(fileno=descriptor), config, known).run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


# A solver process


class _Solver:
    """Answers one job at a time. A thread of its own reads the socket, so that a stop is heard during a search."""

    def __init__(self, connection: socket.socket, config: Config, known: Mapping[str, Library]) -> None:
        self._connection, self._config, self._libraries = connection, config, known
        self._jobs: queue.SimpleQueue[tuple[Job, Call]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._limit_bytes = config.memory_limit_mib * 2**20

    def run(self) -> None:
        """Warm up, say so, and answer until the server is gone."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (self._limit_bytes, self._limit_bytes))
        optimize(default_problem())  # the first search of a process is the slowest, even so
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(frames.READY)
        while True:
            job, call = self._jobs.get()
            try:
                self._answer(job, call)
            except MemoryError:
                os._exit(EXIT_MEMORY)

    def _listen(self) -> None:
        """Read until the server is gone; a fault in here ends the process, which would be deaf otherwise."""
        try:
            self._read()
        except MemoryError:
            os._exit(EXIT_MEMORY)
        except Exception:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _read(self) -> None:
        call: Call | None = None
        while (received := frames.receive(self._connection)) is not None:
            kind, payload = received
            if kind == frames.JOB:
                job = Job.unpacked(payload)
                call = self._call(job)
                self._jobs.put((job, call))
            elif kind == frames.PING:
                self._send(frames.PONG)
            elif kind in (frames.STOP, frames.LATE) and call is not None:
                call.stop.set()  # of the last job received; a job that has not begun finds it set
                if kind == frames.LATE and call.fallback is not None:
                    self._send(frames.FALLBACK, call.fallback().packed())

    def _call(self, job: Job) -> Call:
        def started(limit_s: float | None) -> None:
            if limit_s is not None:
                self._send(frames.STARTED, frames.SECONDS.pack(limit_s))
            if len(job.request) > _LARGE_REQUEST_BYTES and call.fallback is not None:
                self._send(frames.FALLBACK, call.fallback().packed())

        call = Call(
            libraries=self._libraries,
            max_entries=self._config.max_entries,
            max_workers=self._config.max_workers,
            stop_at=job.stop_at,
            stop=threading.Event(),
            started=started,
            emit=lambda message: self._send(frames.EVENT, message),
            runs=self._config.runs,
        )
        return call

    def _answer(self, job: Job, call: Call) -> None:
        try:
            task = TASKS.get(job.method) or RUN_TASKS[job.method]
            response = task(job.request, call)
        except InvalidProblem as error:
            self._send(frames.REFUSED, invalid(error).SerializeToString())
        except Refused as refused:
            self._send(frames.REFUSED, refused.status.SerializeToString())
        except MemoryError:
            raise
        except Exception:
            self._send(frames.BROKEN, traceback.format_exc().encode())
        else:
            retiring = self._held_bytes() > _RETIRE_SHARE * self._limit_bytes
            answer = Answer(response, call.solve_s, call.first_incumbent_s, call.gap, retiring)
            self._send(frames.RESULT, answer.packed())
            if retiring:
                time.sleep(10)  # the server closes the socket, which ends this process; this is for a server that hangs
                os._exit(0)

    def _send(self, kind: int, payload: bytes = b"") -> None:
        try:
            with self._sending:
                self._connection.sendall(frames.frame(kind, payload))
        except OSError:
            os._exit(0)

    @staticmethod
    def _held_bytes() -> int:
        if sys.platform != "linux":
            return 0
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  a tenth of the time of Path.read_bytes
            return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1:])
