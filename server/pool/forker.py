"""The process that forks the solver processes, as the server sees it: started, started again when it dies or hangs.

What happens inside it stands in server/solver_process.py.
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
from collections.abc import Callable
from dataclasses import asdict

from server import frames
from server.frames import Config
from server.logs import log
from server.pool.process import Process, SolverDied

START_S = 60.0
_FORK_S = 5.0
"""How long the process that forks may take to do so before it is taken for hung; it is some 10 ms."""
_READ_BYTES = 1 << 20


class Forker:
    """Forks solver processes, and kills them: the server itself, full of gRPC's threads, is never forked."""

    def __init__(
        self, config: Config, exited: Callable[[int, int], None], died: Callable[[socket.socket], None]
    ) -> None:
        """Nothing is started yet.

        Args:
            config: what the solver processes need to know.
            exited: told pid and exit code of every solver process that has ended.
            died: told when a process that forks is gone, by the socket to it (`Process.control`), upon which the
                kernel ends all that it has forked. Another may have taken its place already.
        """
        self._config, self._tell_exit, self._tell_death = config, exited, died
        self._forked: asyncio.Future[int] | None = None
        self._control: socket.socket | None = None
        self._control_writer: asyncio.StreamWriter | None = None
        self._parent: subprocess.Popen[bytes] | None = None
        self._listeners: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        for listener in list(self._listeners):
            listener.cancel()
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

    async def fork(self) -> Process:
        """A solver process, not warm yet. Not to be called again before it has returned.

        Raises:
            OSError: the process that forks could not be told.
            TimeoutError: it hangs, and has been killed; or it did not start.
            SolverDied: it died meanwhile.
        """
        await self._start()
        control = self._control
        if control is None:  # it has died since it was ready
            raise SolverDied(None)
        ours, theirs = socket.socketpair()
        self._forked = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(control, [frames.frame(frames.FORK)], [theirs.fileno()])
        except OSError:
            ours.close()
            control.close()
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
                self._hangs()
            raise
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_BYTES)
        return Process(pid, control, reader, writer)

    def kill(self, process: Process) -> None:
        """Have a solver process killed, if there is somebody to do it."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(frames.frame(frames.KILL, frames.PID.pack(process.pid)))

    async def _start(self) -> None:
        """Start the process, if there is none."""
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
        listener = asyncio.get_running_loop().create_task(self._listen(ours, reader, self._control_writer, ready))
        self._listeners.add(listener)
        listener.add_done_callback(self._listeners.discard)
        async with asyncio.timeout(START_S):
            await ready

    def _hangs(self) -> None:
        """Kill the process, and with it what it has forked: it could not even kill a deaf one any more."""
        log(logging.WARNING, "forking process hangs")
        if self._parent is not None:
            self._parent.kill()

    async def _listen(
        self,
        control: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ready: asyncio.Future[None],
    ) -> None:
        """What a process has to say: pids of new processes, exit codes of ended ones.

        Its end may be heard when another has taken its place already, which then does not concern that one.
        """
        try:
            while True:
                kind, length = frames.HEADER.unpack(await reader.readexactly(frames.HEADER.size))
                payload = await reader.readexactly(length) if length else b""
                if kind == frames.READY:
                    ready.set_result(None)
                elif kind == frames.FORKED:
                    if self._control is control and self._forked is not None and not self._forked.done():
                        self._forked.set_result(frames.PID.unpack(payload)[0])
                elif kind == frames.EXITED:
                    self._tell_exit(*frames.PID_AND_STATUS.unpack(payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            if self._closed:
                return
            log(logging.WARNING, "forking process died")
            writer.close()
            control.close()
            if not ready.done():
                ready.set_exception(SolverDied(None))
            if self._control is control:
                self._control = None
                if self._forked is not None and not self._forked.done():
                    self._forked.set_exception(SolverDied(None))
            self._tell_death(control)
