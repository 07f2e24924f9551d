"""Time limits, deadlines and cancelling, in every phase of a call."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import grpc
import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from tests.server.questions import budget, slow
from tests.server.running import Running, alive, running, wait_until

ANSWERED = (result_pb2.STATUS_OPTIMAL, result_pb2.STATUS_FEASIBLE, result_pb2.STATUS_NO_ANSWER)


def time_to_free_slot(server: Running) -> float:
    """Seconds until the only slot answers the next call."""
    began = time.monotonic()
    with server.stub() as stub:
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
    return time.monotonic() - began


@pytest.mark.parametrize("deadline_s", [2.0, 3.0])
def test_deadline_brings_the_best_so_far(server: Running, deadline_s: float) -> None:
    """Tests that a caller with a deadline gets an answer before it, not DEADLINE_EXCEEDED; also in a long presolve."""
    with server.stub() as stub:
        began = time.monotonic()
        result = stub.Optimize(slow(), timeout=deadline_s).result
        took = time.monotonic() - began
    assert result.status in ANSWERED
    assert took < deadline_s
    time_to_free_slot(server)


def test_time_limit_of_the_request(server: Running) -> None:
    """Tests that the request's own limit holds where it is the least, with half a second to end."""
    with server.stub() as stub:
        began = time.monotonic()
        result = stub.Optimize(slow(time_limit_s=0.5), timeout=30).result
        took = time.monotonic() - began
    assert result.status in ANSWERED
    assert 0.3 < took < 1.6


def test_time_limit_of_the_server() -> None:
    """Tests that the server's own limit holds where a request asks for more, or for nothing."""
    with running("--workers", "1", "--max-time-s", "0.5") as server, server.stub() as stub:
        for asked in (1000.0, None):
            began = time.monotonic()
            result = stub.Optimize(slow(time_limit_s=asked), timeout=30).result
            assert result.status in ANSWERED
            assert 0.3 < time.monotonic() - began < 1.6
        with pytest.raises(grpc.RpcError) as caught:
            stub.Optimize(slow(time_limit_s=1_000_001.0), timeout=30)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7])
def test_cancel_in_every_phase(server: Running, after_s: float) -> None:
    """Tests that a cancelled call frees its solver, from before its start to after its end, and at most 0.5 s later.

    The question takes about half a second: reading, building, presolve, search and answer all lie on the way.
    """
    with server.stub() as stub:
        call = stub.Optimize.future(slow(10, 10), timeout=30)
        time.sleep(after_s)
        call.cancel()
        assert time_to_free_slot(server) < 1.5


@pytest.mark.parametrize("way", ["cancel", "deadline", "channel"])
@pytest.mark.parametrize("streaming", [False, True])
def test_ways_to_leave(server: Running, way: str, streaming: bool) -> None:
    """Tests that cancel, deadline and a closed channel stop the solver, of unary and of streamed calls."""
    request = slow()
    with server.stub() as stub:
        timeout = 0.25 if way == "deadline" else 30
        call: Any
        if streaming:
            asked = api.StreamOptimizeRequest(problem=request.problem, options=request.options)
            call = stub.StreamOptimize(asked, timeout=timeout)
        else:
            call = stub.Optimize.future(request, timeout=timeout)
        busy = server.busy_solver() if way != "deadline" else None
        if way == "cancel":
            call.cancel()
        elif way == "deadline":
            time.sleep(0.3)
        # leaving the block closes the channel
    assert time_to_free_slot(server) < 1.5
    if busy is not None and alive(busy):
        wait_until(lambda: busy not in server.solvers() or not _computes(busy), 2)


def _computes(pid: int) -> bool:
    from tests.server.running import cpu_ticks

    before = cpu_ticks(pid)
    time.sleep(0.1)
    return cpu_ticks(pid) > before + 2


@pytest.mark.parametrize("leaving", [True, False])
def test_a_deaf_solver_is_killed(server: Running, leaving: bool) -> None:
    """Tests that a solver that does not listen is gone half a second after it was told to stop."""
    with server.stub() as stub:
        call = stub.Optimize.future(slow(time_limit_s=None if leaving else 1.5), timeout=30)
        deaf = server.busy_solver()
        os.kill(deaf, signal.SIGSTOP)
        began = time.monotonic()
        if leaving:
            call.cancel()
        else:
            assert call.result().result.status == result_pb2.STATUS_NO_ANSWER
        wait_until(lambda: not alive(deaf), 3)
        assert time.monotonic() - began < (1.0 if leaving else 3.0)
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL


def test_stream_tells_of_plans_and_ends_with_the_result(server: Running) -> None:
    """Tests that plans come with objective, bound and time, and the result last, equal to that of a unary call."""
    with server.stub() as stub:
        request = budget()
        asked = api.StreamOptimizeRequest(problem=request.problem, options=request.options)
        events = list(stub.StreamOptimize(asked, timeout=20))
        single = stub.Optimize(request, timeout=20).result
    *found, last = events
    assert last.WhichOneof("event") == "result"
    assert found
    for event in found:
        plan = event.incumbent
        assert plan.HasField("objective")
        assert plan.HasField("bound")
        assert plan.elapsed_s >= 0
    assert found[-1].incumbent.choice.card_id == last.result.plan.card_id
    assert last.result.plan == single.plan
    assert last.result.fingerprint == single.fingerprint


def test_stream_errors(server: Running) -> None:
    """Tests that a streamed call fails with the same status as a unary one."""
    request = budget(-1)
    with server.stub() as stub, pytest.raises(grpc.RpcError) as caught:
        list(stub.StreamOptimize(api.StreamOptimizeRequest(problem=request.problem), timeout=10))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith("problem.limits.budget_cny = -1")
