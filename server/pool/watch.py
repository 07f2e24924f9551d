"""The time of a search: over when it is over or the caller says so, and what becomes of a process that does not stop.

Modify this module when a solver process is told to stop, or is given up, for another reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from server import frames
from server.pool.process import Process

GRACE_S = 0.5
"""How long a solver may take to end its search after it was told to stop."""
_DEADLINE_SHARE = 0.4
_PING_EVERY_S = 1.0
_PONG_WITHIN_S = 2.0
"""A solver process answers a ping from a thread of its own, also while it searches. Long enough for a busy machine."""


class Watch:
    """Tells a process to stop when its time is over, and has it killed if it does not, or if it shows no life."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, process: Process, kill: Callable[[Process], None], deadline: float
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


class EarlyStop:
    """Lets a job's caller end its search and still have the answer: the best found so far."""

    def __init__(self) -> None:
        """Nothing is being searched yet."""
        self.asked = False
        self._watch: Watch | None = None

    def now(self) -> bool:
        """End the search as if its time were over; whether one was under way."""
        if self._watch is None:
            return False
        self.asked = True
        self._watch.until(time.monotonic())
        return True

    @contextlib.contextmanager
    def of(self, watch: Watch) -> Iterator[None]:
        """The search that `watch` times is under way inside the block."""
        self._watch = watch
        try:
            yield
        finally:
            self._watch = None
