"""Which of the three limits of a search binds: the request's, the server's, or 95 % of what the deadline leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from tests.server.questions import budget
from tests.server.running import Running, meddling, running, wait_until

_CAP_S = 120.0
_SLACK_S = 1.5
"""What a call may take on its way to the search: seconds of a busy machine, yet far less than the limits differ by."""
_ROUNDING_S = 0.1
"""gRPC sends a time that is left in three digits, rounded up."""
_CODE = """
import json, sys
if "server.solver_process" in sys.orig_argv:
    import server.tasks as tasks
    begin = tasks.Call.begin

    def telling(self, *arguments):
        limit = begin(self, *arguments)
        sys.stderr.write(json.dumps(dict(event="limit", seconds=limit)) + "\\n")
        sys.stderr.flush()
        return limit

    tasks.Call.begin = telling
"""


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose log tells how long each search may take."""
    environment = meddling(tmp_path_factory.mktemp("site"), _CODE)
    with running("--workers", "1", "--max-time-s", str(_CAP_S), environment=environment) as it:
        yield it


def ask(server: Running, method: str, limit_s: float | None, deadline_s: float | None) -> float:
    """The seconds that the search of a call was given."""
    seen = len(server.events("limit"))
    problem = budget().problem
    with server.stub() as stub:
        if method == "Optimize":
            options = api.SearchOptions(time_limit_s=limit_s)
            stub.Optimize(api.OptimizeRequest(problem=problem, options=options), timeout=deadline_s)
        elif method == "StreamOptimize":
            options = api.SearchOptions(time_limit_s=limit_s)
            list(stub.StreamOptimize(api.StreamOptimizeRequest(problem=problem, options=options), timeout=deadline_s))
        elif method == "Explain":
            stub.Explain(api.ExplainRequest(problem=problem, time_limit_s=limit_s), timeout=deadline_s)
        else:
            asked = api.ComputeFrontierRequest(problem=problem, time_limit_s=limit_s)
            stub.ComputeFrontier(asked, timeout=deadline_s)
    # The log's line was written before the answer, but another thread reads it here.
    wait_until(lambda: len(server.events("limit")) > seen, 5)
    return float(server.events("limit")[seen]["seconds"])


@pytest.mark.parametrize("method", ["Optimize", "StreamOptimize", "Explain", "ComputeFrontier"])
@pytest.mark.parametrize(
    ("limit_s", "deadline_s", "binding_s"),
    [
        (33.0, 80.0, 33.0),
        (33.0, None, 33.0),
        (None, 80.0, 76.0),
        (78.0, 80.0, 76.0),
        (None, None, _CAP_S),
        (1000.0, 1000.0, _CAP_S),
        (None, 1000.0, _CAP_S),
    ],
)
def test_the_least_limit_binds(
    telling: Running, method: str, limit_s: float | None, deadline_s: float | None, binding_s: float
) -> None:
    """Tests each of the three as the least, and a deadline's 95 % as neither more nor, by much, less."""
    given = ask(telling, method, limit_s, deadline_s)
    if binding_s == limit_s:
        assert given == limit_s
    else:
        assert binding_s - _SLACK_S < given <= binding_s + (_ROUNDING_S if binding_s < _CAP_S else 0.0)
