"""Admission: as many calls at once as there are solvers, a bounded queue in order of arrival, and no more.

A queue of our own, because gRPC's limit on concurrent calls would refuse health checks too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from server.metrics import Metrics


class QueueFull(Exception):
    """Nobody else may wait; `waiting` calls do."""

    def __init__(self, waiting: int) -> None:
        """Keep how many wait."""
        self.waiting = waiting
        super().__init__(waiting)


class Slot:
    """The right to have one call answered; given back once."""

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission

    def release(self) -> None:
        """Give it back: to the call that has waited longest."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission._released()


class Admission:
    """Counts slots and keeps the queue. Used from one event loop."""

    def __init__(self, slots: int, queue_length: int, metrics: Metrics) -> None:
        """Begin with every slot free."""
        self._free, self._slots, self._queue_length, self._metrics = slots, slots, queue_length, metrics
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        metrics.slots.set(slots)

    async def enter(self) -> Slot:
        """Wait for a slot.

        Raises:
            QueueFull: as many calls wait already as may.
        """
        if self._free:
            self._free -= 1
            self._count()
            return Slot(self)
        if len(self._waiting) >= self._queue_length:
            raise QueueFull(len(self._waiting))
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._count()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._released()  # the slot came at the moment the caller left: pass it on
            else:
                with contextlib.suppress(ValueError):  # skipped already by a release
                    self._waiting.remove(turn)
                self._count()
            raise
        return Slot(self)

    async def idle(self) -> None:
        """Wait until no call is being answered and none waits."""
        await self._idle.wait()

    def _released(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._count()
                return
        self._free += 1
        self._count()

    def _count(self) -> None:
        used = self._slots - self._free
        self._metrics.slots_in_use.set(used)
        self._metrics.waiting.set(len(self._waiting))
        if used or self._waiting:
            self._idle.clear()
        else:
            self._idle.set()
