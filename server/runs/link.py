"""The process that drives runs, as the server sees it: started, started again when it dies, its batches answered.

Runs in the server's event loop. What happens inside that process stands in process.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import asdict
from typing import Any

from google.rpc import code_pb2, status_pb2

from server import frames
from server.admission import Admission
from server.errors import Refused, draining
from server.frames import Job
from server.logs import NOTICE, log
from server.metrics import Metrics
from server.pool import SolverDied, SolverPool
from server.runs import config as wire
from server.runs.config import RunsConfig
from solver.domain.errors import InvalidProblem, SolverFailure

_START_S = 60.0
_STOP_S = 3.0
_RETRY_AFTER_S = 0.5


class Watcher:
    """Holds the newest word of a run for one caller who watches it; older words are of no use to a slow reader."""

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self.newest: bytes | None = None
        self.final = False
        self.news = asyncio.Event()


class RunLink:
    """Talks to the process that drives runs."""

    def __init__(self, config: RunsConfig, pool: SolverPool, admission: Admission, metrics: Metrics) -> None:
        """Remember what it needs; `start` makes the process."""
        self._config, self._pool, self._admission, self._metrics = config, pool, admission, metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._batches: dict[int, asyncio.Task[None]] = {}
        self._cancels: dict[int, asyncio.Future[bytes]] = {}
        self._cancel_number = 0
        self._watchers: dict[str, set[Watcher]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    async def start(self) -> None:
        """Start the process and wait until it is up.

        Raises:
            InvalidProblem: the store cannot be used, or another server has it.
        """
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._launch(up)
        async with asyncio.timeout(_START_S):
            await up

    async def close(self) -> None:
        """Let the process write what is finished, and end it; watchers are let go."""
        if self.closed:
            return
        self.closed = True
        for batch in list(self._batches.values()):
            batch.cancel()
        self._let_go()
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            process = self._process
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, _STOP_S)
            if process.poll() is None:
                process.kill()
                process.wait()
        for task in list(self._tasks):
            task.cancel()

    def news(self) -> None:
        """A run was submitted: have it taken up."""
        self._send(wire.NEWS)

    async def cancel_run(self, request: bytes) -> bytes:
        """Have a run ended; returns the response's bytes.

        Raises:
            Refused: no such run, or the process that drives runs is being started again.
        """
        if self._writer is None or self.closed:
            raise Refused(draining(_RETRY_AFTER_S))
        self._cancel_number += 1
        number = self._cancel_number
        reply = self._cancels[number] = asyncio.get_running_loop().create_future()
        self._send(wire.CANCEL, wire.NUMBER.pack(number) + request)
        try:
            response: bytes = await reply
            return response
        finally:
            self._cancels.pop(number, None)

    @contextlib.contextmanager
    def watching(self, run_id: str) -> Iterator[Watcher]:
        """A watcher of a run for the length of the block."""
        watcher = Watcher()
        self._watchers.setdefault(run_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[run_id].discard(watcher)
            if not self._watchers[run_id]:
                del self._watchers[run_id]

    # The process

    async def _launch(self, up: asyncio.Future[None] | None = None) -> None:
        ours, theirs = socket.socketpair()
        arguments = [str(theirs.fileno()), json.dumps(asdict(self._config)), str(self._admission.background_slots)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server.runs.process", *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        ours.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._metrics.run_process_starts.inc()
        self._spawn(self._listen(reader, up))

    async def _listen(self, reader: asyncio.StreamReader, up: asyncio.Future[None] | None) -> None:
        began = time.monotonic()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = frames.HEADER.unpack(await reader.readexactly(frames.HEADER.size))
                payload = await reader.readexactly(length) if length else b""
                if kind == wire.UP:
                    if up is not None and not up.done():
                        up.set_result(None)
                elif kind == wire.FAULT:
                    text = payload.decode(errors="replace")
                    log(logging.ERROR, "run store cannot be used", store=self._config.store, reason=text)
                    if up is not None and not up.done():
                        up.set_exception(InvalidProblem.of("run_store", self._config.store, text))
                        return
                else:
                    self._heard(kind, payload)
        if up is not None and not up.done():
            up.set_exception(
                InvalidProblem.of("run_store", self._config.store, "the process of the runs ended at once")
            )
        if not self.closed:
            await self._again(began)

    async def _again(self, began: float) -> None:
        """The process died: nothing is lost but what was under way, and the next one takes the runs up."""
        process = self._process
        code = None if process is None else await asyncio.to_thread(process.wait)
        log(logging.WARNING, "process of the runs died", exit_code=code)
        self._writer = None
        for batch in list(self._batches.values()):
            batch.cancel()
        for reply in self._cancels.values():
            if not reply.done():
                reply.set_exception(Refused(draining(_RETRY_AFTER_S)))
        if time.monotonic() - began < 1.0:
            await asyncio.sleep(1.0)  # it does not get far: no use in a rush
        if not self.closed:
            await self._launch()

    def _heard(self, kind: int, payload: bytes) -> None:
        if kind == wire.BATCH:
            number, timeout_s = wire.BATCH_HEAD.unpack_from(payload)
            body = payload[wire.BATCH_HEAD.size :]
            task = asyncio.get_running_loop().create_task(self._answer(number, timeout_s, body))
            self._batches[number] = task
            task.add_done_callback(lambda _task: self._batches.pop(number, None))
        elif kind == wire.DROP:
            (number,) = wire.NUMBER.unpack(payload)
            if number in self._batches:
                self._batches[number].cancel()
        elif kind == wire.EVENT:
            run_id, final, message = wire.event_of(payload)
            for watcher in self._watchers.get(run_id, ()):
                watcher.newest, watcher.final = message, final
                watcher.news.set()
        elif kind == wire.REPLY:
            (number,) = wire.NUMBER.unpack_from(payload)
            reply = self._cancels.get(number)
            good, body = payload[wire.NUMBER.size] == 1, payload[wire.NUMBER.size + 1 :]
            if reply is not None and not reply.done():
                if good:
                    reply.set_result(body)
                else:
                    reply.set_exception(Refused(status_pb2.Status.FromString(body)))
        elif kind == wire.NOTE:
            fields = json.loads(payload)
            event = fields.pop("event")
            log(logging.ERROR if "exception" in fields else NOTICE, event, **fields)

    async def _answer(self, number: int, timeout_s: float, body: bytes) -> None:
        """Have a batch answered in a slot that no call wants, and send what became of it."""
        slot = await self._admission.enter_background()
        began = time.monotonic()
        try:
            answer = await self._pool.run(Job(wire.ANSWER, began + timeout_s, body), slot)
        except SolverDied as death:
            self._lost(number, wire.DIED, death.cause)
        except Refused as refused:
            code = refused.status.code
            reason = {code_pb2.DEADLINE_EXCEEDED: wire.LATE, code_pb2.RESOURCE_EXHAUSTED: wire.DIED}
            self._lost(number, reason.get(code, wire.BROKEN), refused.status.message)
        except SolverFailure as failure:
            self._lost(number, wire.BROKEN, str(failure))
        else:
            self._metrics.run_batch_seconds.observe(time.monotonic() - began)
            self._send(wire.ROWS, wire.NUMBER.pack(number) + answer.response)

    def _lost(self, number: int, reason: int, text: str) -> None:
        self._send(wire.LOST, wire.LOST_HEAD.pack(number, reason) + text.encode())

    def _let_go(self) -> None:
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.news.set()

    def _send(self, kind: int, payload: bytes = b"") -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frames.frame(kind, payload))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
