"""The matrix of leaving: in the queue, in presolve, in the search, at the end and at any moment; by cancel, deadline, a
closed channel and the server's own end. Each time the slot is free soon after, and no solver computes for nobody."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from tests.server.questions import budget, slow
from tests.server.running import Running, alive, children, cpu_ticks, wait_until
from tests.server.stalling import AT_END, AT_PLAN, stalling

PHASES = ("queued", "presolve", "search", "end")
"""Before CP-SAT has begun; before its first plan; after it; between the search and the answer."""
WAYS = ("cancel", "deadline", "channel")
FREE_WITHIN_S = 1.5
"""Half a second for a solver that does not listen; the rest is for a busy machine."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what `stalled` is meddled with."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def stalled(site: Path) -> Iterator[Running]:
    """A server with one slot, whose searches hear nothing for 0.3 s after each plan."""
    with stalling(site, 0.3) as it:
        yield it


def streamed(request: api.OptimizeRequest) -> api.StreamOptimizeRequest:
    return api.StreamOptimizeRequest(problem=request.problem, options=request.options)


def told(server: Running, event: str) -> int:
    """How often a solver has told of an event of a search that is not a small one, or of the end of any."""
    return sum(entry.get("size", 0) > 1000 or event == "ending" for entry in server.events(event))


def enter(server: Running, site: Path, stub: OptimizerServiceStub, phase: str, timeout_s: float) -> Any:
    """Make a call and come back when it is in the phase; with None if it ended before, as on a busy machine."""
    for file, stalls_at in ((AT_PLAN, "search"), (AT_END, "end")):
        (site / file).touch() if phase == stalls_at else (site / file).unlink(missing_ok=True)
    if phase == "search":
        stream: Any = stub.StreamOptimize(streamed(budget(prune=False)), timeout=timeout_s)
        try:
            return stream if next(stream).HasField("incumbent") else None
        except grpc.RpcError:
            return None
    event = "ending" if phase == "end" else "searching"
    before = told(server, event)
    call = stub.Optimize.future(budget() if phase == "end" else slow(), timeout=timeout_s)

    def reached() -> bool:
        if phase == "queued":
            return server.metrics()["solver_queue_length"] == 1
        return told(server, event) > before

    wait_until(lambda: reached() or call.done(), 30)
    return None if call.done() else call


def idle(server: Running) -> bool:
    """Whether no solver computes."""
    before = {pid: cpu_ticks(pid) for pid in server.solvers()}
    time.sleep(0.1)
    return all(cpu_ticks(pid) <= ticks + 2 for pid, ticks in before.items())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
def test_leaving(stalled: Running, site: Path, phase: str, way: str) -> None:
    """Tests that a caller who leaves in any phase, in any way, costs the next one at most half a second."""
    wait_until(lambda: stalled.calls() == 0, 10)
    with stalled.stub() as others:
        holder = others.Optimize.future(slow(80, 60), timeout=60) if phase == "queued" else None
        if holder is not None:
            stalled.busy_solver()
        # Presolve has begun after one second and takes three, or twice, four, eight times as long where others work.
        for timeout_s in (2.0, 4.0, 8.0, 16.0) if way == "deadline" else (50.0,):
            found = told(stalled, "found")
            with stalled.stub() as stub:
                call = enter(stalled, site, stub, phase, timeout_s)
                if call is not None and way == "cancel":
                    call.cancel()
                elif call is not None and way == "deadline":
                    with contextlib.suppress(grpc.RpcError):
                        list(call) if phase == "search" else call.result()
                # leaving the block closes the channel
            if call is not None:
                break
        assert call is not None, "it has never been in this phase"
        assert phase != "presolve" or told(stalled, "found") == found, "it had a plan already"
        for file in (AT_PLAN, AT_END):
            (site / file).unlink(missing_ok=True)
        if holder is not None:
            wait_until(lambda: stalled.metrics()["solver_queue_length"] == 0, FREE_WITHIN_S)
            holder.cancel()
        began = time.monotonic()
        assert others.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
        assert time.monotonic() - began < FREE_WITHIN_S
    wait_until(lambda: stalled.calls() == 0 and idle(stalled), FREE_WITHIN_S)
    wait_until(lambda: len(stalled.solvers()) == 2, 5)


@pytest.mark.parametrize("way", WAYS)
def test_leaving_at_any_moment(stalled: Running, way: str) -> None:
    """Tests the same within the first 20 ms, which is about as long as a small question takes."""
    rng = random.Random(way)
    for _ in range(10):
        with stalled.stub() as stub:
            call = stub.Optimize.future(budget(), timeout=rng.uniform(0.001, 0.02) if way == "deadline" else 30)
            if way != "deadline":
                time.sleep(rng.uniform(0, 0.02))
            if way == "cancel":
                call.cancel()
    with stalled.stub() as stub:
        began = time.monotonic()
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
        assert time.monotonic() - began < FREE_WITHIN_S
    wait_until(lambda: stalled.calls() == 0 and idle(stalled), FREE_WITHIN_S)


@pytest.mark.parametrize("phase", PHASES)
def test_server_stops_in_every_phase(tmp_path: Path, phase: str) -> None:
    """Tests that a server told to stop with no time to drain is gone in two seconds, with all its processes."""
    with stalling(tmp_path, 0.3, "--drain-s", "0") as server, server.stub() as stub:
        holder = stub.Optimize.future(slow(80, 60), timeout=60) if phase == "queued" else None
        if holder is not None:
            server.busy_solver()
        call = enter(server, tmp_path, stub, phase, 50)
        assert call is not None
        family = [*children(server.process.pid), *server.solvers()]
        began = time.monotonic()
        assert server.stop(5) == 0
        assert time.monotonic() - began < 2.0
        wait_until(lambda: not any(alive(pid) for pid in family), 1)
        if phase == "search":
            with contextlib.suppress(grpc.RpcError):
                list(call)  # a stream's code comes after what it has sent
        over = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert call.code() in over


def test_a_death_in_a_stream_repeats_nothing(stalled: Running) -> None:
    """Tests that a streamed call whose solver dies is answered by another, without telling of a plan twice."""
    wait_until(lambda: stalled.calls() == 0 and len(stalled.solvers()) == 2, 10)
    with stalled.stub() as stub:
        undisturbed = list(stub.StreamOptimize(streamed(budget(prune=False)), timeout=20))
        retries = stalled.metrics()["solver_retries_total"]
        events = stub.StreamOptimize(streamed(budget(prune=False)), timeout=20)
        told = [next(events)]
        for pid in stalled.solvers():
            os.kill(pid, signal.SIGKILL)
        told += list(events)
        assert stalled.metrics()["solver_retries_total"] == retries + 1
    assert [event.incumbent.choice for event in told[:-1]] == [e.incumbent.choice for e in undisturbed[:-1]]
    assert told[-1].result.plan == undisturbed[-1].result.plan
    assert told[-1].result.status == result_pb2.STATUS_OPTIMAL
