"""Calls with a cap: in a process of their own, forked from this one, that is killed when its time is up.

The child inherits what is loaded and prepared here, so it measures the call and nothing else. What did not end is
`None` in the timing: the cap is then a lower bound, and is printed as one.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Ended:
    """How a capped call ended: in time, killed at the cap, or out of the memory it may have."""

    how: Literal["in time", "cap", "memory"]
    ms: float
    answer: Any = None


def capped(call: Callable[[], Any], seconds: float, memory_gb: float = 8) -> Ended:
    """Run `call` in a fork of this process for at most so long.

    Raises:
        RuntimeError: it raised something else than MemoryError, or died.
    """
    here, there = _FORK.Pipe(duplex=False)
    child = _FORK.Process(target=_run, args=(call, there, memory_gb), daemon=True)
    child.start()
    there.close()
    try:
        if not here.poll(seconds):
            return Ended("cap", seconds * 1000)
        told: tuple[str, float, Any] = here.recv()
    except EOFError:
        raise RuntimeError("a capped call died without a word") from None
    finally:
        child.kill()
        child.join()
        here.close()
    how, ms, answer = told
    if how == "in time":
        return Ended("in time", ms, answer)
    if how == "memory":
        return Ended("memory", ms)
    raise RuntimeError(answer)


def _run(call: Callable[[], Any], there: Connection, memory_gb: float) -> None:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    room = int(memory_gb * 2**30) + held
    resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    began = time.perf_counter()
    try:
        answer = call()
        told = ("in time", (time.perf_counter() - began) * 1000, answer)
    except MemoryError:
        told = ("memory", (time.perf_counter() - began) * 1000, None)
    except Exception as error:  # told to the parent, which raises it
        told = ("error", 0.0, f"{type(error).__name__}: {error}")
    there.send(told)
