"""Solver processes that die, hang or eat memory; and the server's own death."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from tests.server.questions import budget, details, slow
from tests.server.running import Running, alive, children, cpu_ticks, meddling, running, wait_until


@pytest.fixture(scope="module")
def fragile() -> Iterator[Running]:
    """A server with one slot and one spare solver, for tests that kill its processes."""
    with running("--workers", "1", "--memory-limit-mib", "1024", "--max-time-s", "20") as server:
        yield server


def answers(stub: OptimizerServiceStub) -> bool:
    return stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL


def whole(server: Running) -> None:
    """Wait until the pool has been filled again."""
    wait_until(lambda: len(server.solvers()) == 2, 10)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_dying_solver_costs_one_retry(fragile: Running, number: signal.Signals) -> None:
    """Tests that a call whose solver dies is answered by another, and that the dead one is replaced."""
    whole(fragile)
    with fragile.stub() as stub:
        call = stub.Optimize.future(slow(15, 15), timeout=30)
        victim = fragile.busy_solver()
        os.kill(victim, number)
        result = call.result().result
        assert result.status == result_pb2.STATUS_OPTIMAL
        assert answers(stub)
    whole(fragile)
    assert victim not in fragile.solvers()
    assert fragile.events("solver process died")[-1]["cause"] == f"signal {number.value}"


def test_a_hanging_solver_costs_one_retry(fragile: Running) -> None:
    """Tests that a call does not wait out its time on a process that shows no life, but goes to another."""
    whole(fragile)
    with fragile.stub() as stub:
        call = stub.Optimize.future(slow(15, 15), timeout=60)
        os.kill(fragile.busy_solver(), signal.SIGSTOP)
        began = time.monotonic()
        assert call.result().result.status == result_pb2.STATUS_OPTIMAL
        assert time.monotonic() - began < 15


def test_two_deaths_are_an_internal_error_that_says_nothing(fragile: Running) -> None:
    """Tests INTERNAL with an id and nothing else, the log's entry under that id, and the next answer."""
    whole(fragile)
    with fragile.stub() as stub:
        call = stub.Optimize.future(slow(), timeout=30)
        for _ in range(2):
            os.kill(fragile.busy_solver(), signal.SIGKILL)
        with pytest.raises(grpc.RpcError) as caught:
            call.result()
        error = caught.value
        assert error.code() is grpc.StatusCode.INTERNAL
        match = re.fullmatch(
            r"internal error ([0-9a-f]{32}); the server's log has it under this id", str(error.details())
        )
        assert match is not None
        assert set(details(error)) == {"ErrorInfo"}
        assert dict(details(error)["ErrorInfo"].metadata) == {"error_id": match[1]}
        wait_until(lambda: any(match[1] in line for line in fragile.raw), 2)
        assert answers(stub)


def test_a_solver_that_says_nothing_in_time() -> None:
    """Tests DEADLINE_EXCEEDED with its reason where the time is over and a hanging solver has nothing to say."""
    with running("--workers", "1", "--max-time-s", "0.3") as server, server.stub() as stub:
        for pid in server.solvers():
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            stub.Optimize(budget(), timeout=20)
        assert time.monotonic() - began < 2
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert details(caught.value)["ErrorInfo"].reason == "SOLVER_ENDED"


def test_a_call_does_not_wait_out_the_grace_of_deaf_solvers() -> None:
    """Tests that where every process was told to stop and does not listen, the next call gets a new one at once.

    Stopped processes stand for deaf ones.
    """
    with running("--workers", "2", "--spare-workers", "0") as server, server.stub() as stub:
        calls = [stub.Optimize.future(slow(), timeout=30) for _ in range(2)]
        deaf = server.solvers()
        wait_until(lambda: all(cpu_ticks(pid) > 20 for pid in deaf), 5)
        for pid in deaf:
            os.kill(pid, signal.SIGSTOP)
        for call in calls:
            call.cancel()
        began = time.monotonic()
        assert answers(stub)
        assert time.monotonic() - began < 0.4
        wait_until(lambda: len(server.solvers()) == 2 and not set(deaf) & set(server.solvers()), 5)


def test_cancels_in_close_succession(fragile: Running) -> None:
    """Tests that the next call never waits for deaf solvers, and that there are few of these, told apart."""
    whole(fragile)
    with fragile.stub() as stub:
        for _ in range(6):
            call = stub.Optimize.future(slow(), timeout=30)
            os.kill(fragile.busy_solver(), signal.SIGSTOP)
            call.cancel()
            began = time.monotonic()
            assert answers(stub)
            assert time.monotonic() - began < 0.4
            assert len(fragile.solvers()) <= 4
    whole(fragile)
    deaths = [event["cause"] for event in fragile.events("solver process died")[-6:]]
    assert deaths == ["did not stop"] * 6


def test_stopped_searches_leave_no_surplus(fragile: Running) -> None:
    """Tests that the process forked in place of one that is being stopped goes when that one listens."""
    whole(fragile)
    with fragile.stub() as stub:
        for _ in range(10):
            call = stub.Optimize.future(budget(prune=False), timeout=30)
            wait_until(lambda call=call: call.running(), 5)  # type: ignore[misc]
            time.sleep(0.03)
            call.cancel()
            assert answers(stub)
            assert len(fragile.solvers()) <= 4
    wait_until(lambda: len(fragile.solvers()) == 2, 10)
    time.sleep(0.2)
    assert len(fragile.solvers()) == 2


def test_what_forks_has_one_thread(fragile: Running) -> None:
    """Tests that the search which the forking process does beforehand leaves no thread, which a fork would not copy."""
    assert len(list(Path(f"/proc/{fragile.parent()}/task").iterdir())) == 1


def test_every_solver_has_the_memory_limit(fragile: Running) -> None:
    """Tests that the kernel holds each solver process to the setting, also those forked later."""
    whole(fragile)
    os.kill(fragile.solvers()[0], signal.SIGKILL)
    with fragile.stub() as stub:
        assert answers(stub)
    whole(fragile)
    for pid in fragile.solvers():
        wait_until(lambda pid=pid: address_space(pid) == [str(2**30)] * 2, 5)  # type: ignore[misc]
    assert address_space(fragile.process.pid) == address_space(os.getpid())


def address_space(pid: int) -> list[str]:
    """The soft and the hard limit of a process, bytes."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Max address space")]
    return line.split()[3:5]


def test_memory_limit(fragile: Running) -> None:
    """Tests that a question too large for a solver's memory is RESOURCE_EXHAUSTED, and the next one is answered."""
    whole(fragile)
    with fragile.stub() as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Optimize(slow(200, 200), timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1024 MiB" in str(caught.value.details())
        assert details(caught.value)["ErrorInfo"].reason == "SOLVER_MEMORY"
        assert details(caught.value)["QuotaFailure"].violations[0].subject == "memory"
        assert {event["cause"] for event in fragile.events("solver process died")[-2:]} <= {"memory", "signal 6"}
        assert answers(stub)


def test_idle_solvers_that_die_are_replaced(fragile: Running) -> None:
    """Tests that deaths between calls cost no call anything."""
    whole(fragile)
    before = fragile.solvers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    with fragile.stub() as stub:
        assert answers(stub)
    whole(fragile)
    assert not set(before) & set(fragile.solvers())


def test_death_of_the_forking_process(fragile: Running) -> None:
    """Tests that the process that forks the solvers is started again."""
    whole(fragile)
    parent = fragile.parent()
    os.kill(parent, signal.SIGKILL)
    with fragile.stub() as stub:
        assert answers(stub)
    whole(fragile)
    assert fragile.parent() != parent


@pytest.mark.parametrize("hanging", [False, True])
def test_no_orphans(hanging: bool) -> None:
    """Tests that nothing survives kill -9 of the server, in the middle of a search; not even a solver that hangs."""
    with running("--workers", "2") as server, server.stub() as stub:
        call = stub.Optimize.future(slow(), timeout=30)
        busy = server.busy_solver()
        if hanging:
            os.kill(busy, signal.SIGSTOP)
        family = [*children(server.process.pid), *server.solvers()]
        assert len(family) == 4
        server.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in family), 1.0)
        with pytest.raises(grpc.RpcError):
            call.result()


_SLOW_FORKS = """
import sys, time
if "server.solver_process" in sys.orig_argv:
    import server.solver_process as process
    import server.tasks as tasks
    fork = process._fork

    def slowly(*arguments):
        time.sleep(0.3)
        return fork(*arguments)

    def waiting(data, call):
        sys.stderr.write('{"event": "waiting"}\\n')
        sys.stderr.flush()
        call.stop.wait(30)
        return b""

    process._fork = slowly
    tasks.TASKS["ListCards"] = waiting
elif "server" in sys.orig_argv:
    import server.pool as pool
    pool._GRACE_IF_LEFT_S = 10.0
"""


def test_a_process_that_comes_too_late_goes_again(tmp_path: Path) -> None:
    """Tests one forked in place of one that is being stopped, which has listened before the other was there."""
    serving = ("--workers", "1", "--spare-workers", "0")
    with running(*serving, environment=meddling(tmp_path, _SLOW_FORKS)) as server, server.stub() as stub:
        assert len(server.solvers()) == 1
        call = stub.ListCards.future(api.ListCardsRequest(), timeout=30)
        wait_until(lambda: bool(server.events("waiting")), 10)
        call.cancel()
        wait_until(lambda: bool(server.events("solver process replaced")), 10)
        wait_until(lambda: len(server.solvers()) == 1, 5)
        assert server.events("solver process replaced")[0]["cause"] == "surplus"
        assert answers(stub)
