"""A server whose searches stall when they have found a plan, so that tests can act in the middle of a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server.running import Running, meddling, running

_CODE = """
import sys, time
if "server.solver_process" in sys.orig_argv:
    import solver.solve
    told = solver.solve._Callback.OnSolutionCallback
    def stalling(self):
        told(self)
        time.sleep({seconds})
    solver.solve._Callback.OnSolutionCallback = stalling
"""


@contextmanager
def stalling(folder: Path, seconds: float, *arguments: str) -> Iterator[Running]:
    """A server with one slot; for `seconds` after each plan its searches hear no stop."""
    serving = ("--workers", "1", "--metrics-listen", "127.0.0.1:0", *arguments)
    with running(*serving, environment=meddling(folder, _CODE.format(seconds=seconds))) as server:
        yield server
