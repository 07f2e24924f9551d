"""Admission: as many calls at once as there are solvers, a bounded queue in order of arrival, and no more.

A queue of our own, because gRPC's limit on concurrent calls would refuse health checks too. Batches of runs use the
same slots in the background: one slot is left to calls where there are several, a call that waits goes first, and where
a spare process stands by, it overtakes a batch that is under way: takes its slot, while the batch ends on the side.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

from server.metrics import Metrics

_PATIENCE_S = 2.0
"""A batch that has waited so long goes before the calls that wait, one at a time: runs go on under any load."""


class QueueFull(Exception):
    """Nobody else may wait; `waiting` calls do."""

    def __init__(self, waiting: int) -> None:
        """Keep how many wait."""
        self.waiting = waiting
        super().__init__(waiting)


class Slot:
    """The right to have one call answered; given back once."""

    def __init__(self, admission: Admission, background: bool = False) -> None:
        self._admission: Admission | None = admission
        self._background = background

    def release(self) -> None:
        """Give it back: to the call that has waited longest."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission._released(self._background)


class Admission:
    """Counts slots and keeps the queue. Used from one event loop."""

    def __init__(self, slots: int, queue_length: int, metrics: Metrics, spare: int = 0) -> None:
        """Begin with every slot free; `spare` processes more than slots are there for batches that are overtaken."""
        self._free, self._slots, self._queue_length, self._metrics = slots, slots, queue_length, metrics
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._background_slots = max(1, slots - 1)
        self._in_background = 0
        self._spare, self._overtaken = spare, 0
        self._batches: deque[tuple[float, asyncio.Future[None]]] = deque()
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
        if self._overtake():
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

    @property
    def background_slots(self) -> int:
        """How many batches of runs may be answered at once, while no call waits."""
        return self._background_slots

    async def enter_background(self) -> Slot:
        """Wait for a slot that no call wants, however long; for batches of runs, which the link bounds in number."""
        turn = asyncio.get_running_loop().create_future()
        self._batches.append((time.monotonic(), turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._released(background=True)
            raise
        return Slot(self, background=True)

    async def idle(self) -> None:
        """Wait until no call is being answered and none waits."""
        await self._idle.wait()

    def _released(self, background: bool = False) -> None:
        if background and self._overtaken:  # which of the batches was overtaken makes no difference
            self._overtaken -= 1
        else:
            self._in_background -= background
            self._free += 1
        self._admit()

    def _admit(self) -> None:
        """Hand out what is free: to the calls that wait, then to batches, which calls that still wait may overtake.

        So no call that comes later finds something to overtake while another waits.
        """
        while self._free:
            batch = self._next_batch()
            if self._waiting and not (batch and not self._in_background + self._overtaken and _waits_long(batch)):
                turn = self._waiting.popleft()
                if turn.done():
                    continue
            elif batch and self._in_background + self._overtaken < self._background_slots:
                turn = batch[1]
                self._batches.popleft()
                self._in_background += 1
            else:
                break
            self._free -= 1
            turn.set_result(None)
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif self._overtake():
                self._waiting.popleft().set_result(None)
            else:
                break
        self._count()

    def _overtake(self) -> bool:
        """Take the slot of a batch, which ends on a spare process, if there is one; whether a slot was had."""
        if not self._in_background or self._overtaken >= self._spare:
            return False
        self._in_background -= 1
        self._overtaken += 1
        return True

    def _next_batch(self) -> tuple[float, asyncio.Future[None]] | None:
        while self._batches and self._batches[0][1].done():  # whoever wanted it has left
            self._batches.popleft()
        return self._batches[0] if self._batches else None

    def _count(self) -> None:
        used = self._slots - self._free
        self._metrics.slots_in_use.set(used)
        self._metrics.waiting.set(len(self._waiting))
        if used or self._waiting:
            self._idle.clear()
        else:
            self._idle.set()


def _waits_long(batch: tuple[float, asyncio.Future[None]]) -> bool:
    return time.monotonic() - batch[0] > _PATIENCE_S
