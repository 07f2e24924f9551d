"""One solver process as the server sees it: its socket, and how it ended."""

from __future__ import annotations

import asyncio
import socket

from server import frames
from server.frames import EXIT_MEMORY
from solver.domain.errors import SolverFailure


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


class Process:
    """One solver process: its pid, the socket to the process that forked it, its own, and how it ended."""

    def __init__(
        self, pid: int, control: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid, self.control, self._reader, self._writer = pid, control, reader, writer
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
