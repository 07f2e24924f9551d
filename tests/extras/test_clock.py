"""Clocks that are set under a running server: all its code, gRPC's and CP-SAT's too, sees the time of libfaketime.

That breaks Python's time.sleep (OSError), which what is tested here does not use.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from tests.server.questions import budget, slow
from tests.server.running import Running, running, wait_until
from tests.server.stalling import stalling

pytestmark = pytest.mark.extras

ANSWERED = (result_pb2.STATUS_OPTIMAL, result_pb2.STATUS_FEASIBLE, result_pb2.STATUS_NO_ANSWER)
DAY_S = 86_400
LIBRARIES = "/usr/lib"


@dataclass
class Clock:
    """The wall clock of a server; the monotonic one stays what it is."""

    file: Path

    def set(self, offset_s: int) -> None:
        """Set it to so many seconds from now."""
        self.file.with_suffix(".new").write_text(f"{offset_s:+d}\n")
        self.file.with_suffix(".new").replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        """What a server is started with to have this clock."""
        library = next(Path(LIBRARIES).glob("*/faketime/libfaketimeMT.so.1"), None)
        assert library is not None, "make test-extras needs libfaketime"
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that goes right until it is set."""
    made = Clock(tmp_path / "clock")
    made.set(0)
    return made


def day(server: Running) -> str:
    """The date in the last line of the log."""
    return str(server.log[-1]["time"])[:10]


@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])
def test_a_clock_that_is_set(clock: Clock, jump_s: int) -> None:
    """Tests deadline and limits of a call under way and of calls after it, and that the clock really was set."""
    with running("--workers", "1", environment=clock.environment) as server, server.stub() as stub:
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
        wait_until(lambda: bool(server.events("call")), 5)
        before = day(server)
        began = time.monotonic()
        call = stub.Optimize.future(slow(80, 60), timeout=4)
        server.busy_solver()
        clock.set(jump_s)
        assert call.result().result.status in ANSWERED
        assert 3.0 < time.monotonic() - began < 4.0
        wait_until(lambda: day(server) != before, 5)
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
        began = time.monotonic()
        assert stub.Optimize(slow(80, 60), timeout=3).result.status in ANSWERED
        assert 2.0 < time.monotonic() - began < 3.0
        began = time.monotonic()
        assert stub.Optimize(slow(80, 60, time_limit_s=1.0), timeout=30).result.status in ANSWERED
        assert 0.9 < time.monotonic() - began < 3.0


@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])
def test_a_clock_that_is_set_in_a_search(tmp_path: Path, clock: Clock, jump_s: int) -> None:
    """Tests CP-SAT in its search, which counts on the clock that was set: back, the server ends it; forward, it ends.

    The search stalls after each of its plans, of which it has more than fit into its time.
    """
    request = slow(8, 6, time_limit_s=2.0)
    asked = api.StreamOptimizeRequest(problem=request.problem, options=request.options)
    with stalling(tmp_path, 0.5, **clock.environment) as server, server.stub() as stub:
        events = stub.StreamOptimize(asked, timeout=30)
        assert next(events).HasField("incumbent")
        began = time.monotonic()
        clock.set(jump_s)
        *found, last = events
        took = time.monotonic() - began
        assert last.result.status == result_pb2.STATUS_FEASIBLE
        assert last.result.objective < last.result.bound
        assert all(0 < event.incumbent.elapsed_s < 3.5 for event in found)
        assert 1.5 < took < 3.5 if jump_s < 0 else took < 2.0
        assert stub.Optimize(budget(10), timeout=10).result.status == result_pb2.STATUS_INFEASIBLE
