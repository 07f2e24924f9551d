"""A server that tells of its searches and stalls in them, so that tests can act in the middle of a phase."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server.running import Running, meddling, running

AT_PLAN, AT_END = "stall-at-plan", "stall-at-end"
_LONG_S = 60
_CODE = """
import json, os, sys, threading
if "server.solver_process" in sys.orig_argv:
    import solver.solve as solve
    told, search, result_of = solve._Callback.OnSolutionCallback, solve._solve, solve.result_of

    def tell(event, size):
        sys.stderr.write(json.dumps(dict(event=event, size=size)) + "\\n")
        sys.stderr.flush()

    def searching(wrapper, model):
        tell("searching", model.size)
        return search(wrapper, model)

    def stalling(self):
        told(self)
        tell("found", self._model.size)
        threading.Event().wait({long} if os.path.exists({at_plan!r}) else {seconds})

    def ending(*arguments, **more):
        if os.path.exists({at_end!r}):
            tell("ending", 0)
            threading.Event().wait({long})
        return result_of(*arguments, **more)

    solve._solve, solve._Callback.OnSolutionCallback, solve.result_of = searching, stalling, ending
"""


@contextmanager
def stalling(folder: Path, seconds: float, *arguments: str, **environment: str) -> Iterator[Running]:
    """A server with one slot; for `seconds` after each plan its searches hear no stop.

    Its log tells with the size of the model when CP-SAT begins ("searching") and has a plan ("found"). While there is a
    file AT_PLAN or AT_END in the folder, solvers stall for very long after each plan or between their search and their
    answer ("ending").
    """
    at = {"at_plan": str(folder / AT_PLAN), "at_end": str(folder / AT_END)}
    code = _CODE.format(seconds=seconds, long=_LONG_S, **at)
    serving = ("--workers", "1", "--metrics-listen", "127.0.0.1:0", *arguments)
    with running(*serving, environment={**environment, **meddling(folder, code)}) as server:
        yield server
