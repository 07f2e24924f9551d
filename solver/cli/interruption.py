"""Ctrl-C and a polite kill while a run is under way: heard between two steps, never in the middle of one.

Python raises KeyboardInterrupt wherever the main thread happens to be. Where threads share locks that is anywhere: an
exception between taking a lock and the block that gives it back leaves it taken for ever, and the run that was to stop
hangs instead (it happened: `concurrent.futures.wait` holds the locks that the pool's threads need). So the signal only
leaves a note, which the run looks at. Modify this module when a run is told to stop in another way.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from solver.domain.language import say

_HEARD = (signal.SIGINT, signal.SIGTERM)
EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Inside the block the first signal is noted, the second ends this process at once; workers see that and end.

    Yields:
        What tells whether one has come.
    """
    came = 0

    def note(_number: int, _frame: object) -> None:
        nonlocal came
        came += 1
        if came > 1:
            os.write(2, (say("given up at once; what is stored is kept") + "\n").encode())
            os._exit(EXIT_INTERRUPTED)

    with _handled(note):
        yield lambda: came > 0


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside the block a polite kill raises KeyboardInterrupt as Ctrl-C does, in the middle of whatever is under way.

    For work that is one long call in this thread, with no other thread to share a lock with.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    # Who started us in the background of a script with Ctrl-C ignored wants it ignored.
    heard = [number for number in _HEARD if signal.getsignal(number) is not signal.SIG_IGN]
    held = [signal.signal(number, handler) for number in heard]
    try:
        yield
    finally:
        for number, former in zip(heard, held, strict=True):
            signal.signal(number, former)
