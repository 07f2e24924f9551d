"""What goes wrong around a server: a full disk under the run store or the log, clocks that are set, code that breaks, a
process that forks no more. The server goes on answering, and says what is the matter."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.api.v1 import run_service_pb2 as api_runs
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from solver.api.v1.run_service_pb2_grpc import RunServiceStub
from solver.client import Client
from tests.server.histories import FILES
from tests.server.questions import budget, details, slow
from tests.server.running import ROOT, Running, meddling, running, wait_until

# A full disk ---------------------------------------------------------------------------------------------------------

_FULL_STORE = """
import os, sqlite3
whole = sqlite3.connect

class Connection(sqlite3.Connection):
    full = False

    def execute(self, *arguments):
        full = os.path.exists({flag!r})
        if full != self.full:
            (pages,) = super().execute("PRAGMA page_count").fetchone()
            super().execute(f"PRAGMA max_page_count = {{pages if full else 2**30}}")
            self.full = full
        return super().execute(*arguments)

sqlite3.connect = lambda *arguments, **more: whole(*arguments, factory=Connection, **more)
"""
"""While the file is there the store cannot grow, which SQLite tells as it tells a full disk."""


def test_full_disk_under_the_run_store(tmp_path: Path) -> None:
    """Tests that what cannot be written is refused with its reason, that all else goes on, and that runs do later."""
    full = tmp_path / "full"
    environment = meddling(tmp_path, _FULL_STORE.format(flag=str(full)))
    kept = ("--workers", "2", "--run-store", str(tmp_path / "runs.sqlite"))
    draws = FILES["draws.yaml"].replace("draws: 2500", "draws: 6000").encode()
    with (
        running(*kept, environment=environment) as server,
        grpc.insecure_channel(server.address) as channel,
        server.stub() as stub,
        Client(server.address) as client,
    ):
        runs: Any = RunServiceStub(channel)

        def refused(call: Callable[[], Any]) -> None:
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert details(caught.value)["ErrorInfo"].reason == "RUN_STORE_FULL"
            assert details(caught.value)["QuotaFailure"].violations

        submission = api_runs.SubmitScenariosRequest(request_id="once", file_name="draws.yaml", file=draws)
        full.touch()
        refused(lambda: runs.SubmitScenarios(submission, timeout=20))
        assert list(client.list_runs()) == []
        full.unlink()
        run = runs.SubmitScenarios(submission, timeout=20).run
        wait_until(lambda: client.get_run(run.run_id).done > 100, 30)
        full.touch()
        wait_until(lambda: bool(server.events("run broke")), 10)
        assert "disk is full" in server.events("run broke")[0]["exception"]
        held = client.get_run(run.run_id)
        assert held.state == "running"
        assert client.run_results(run.run_id)[0]
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
        assert client.get_run(run.run_id).done < 6000
        full.unlink()
        wait_until(lambda: client.get_run(run.run_id).state == "finished", 60)
        assert client.get_run(run.run_id).done == 6000


@contextmanager
def unheard(stderr: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], OptimizerServiceStub]]:
    """A server whose log goes nowhere, and a stub; its port cannot be read in the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "server", "--workers", "1", "--listen", f"127.0.0.1:{port}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=stderr)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(30)
            yield process, OptimizerServiceStub(channel)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("fault", ["full disk", "closed pipe"])
def test_log_that_cannot_be_written(fault: str) -> None:
    """Tests that calls are answered, in solvers that are replaced too, and that the server ends as it should."""
    if fault == "full disk":
        stderr = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, stderr = os.pipe()
        os.close(reader)
    try:
        with unheard(stderr) as (process, stub):
            for _ in range(3):
                assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
            with pytest.raises(grpc.RpcError) as caught:
                stub.Optimize(budget(-1), timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            stub.Optimize.future(slow(), timeout=10).cancel()
            assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    finally:
        os.close(stderr)


# Clocks that are set -------------------------------------------------------------------------------------------------

_SET_CLOCK = """
import os, time
wall = time.time
def set_clock():
    try:
        with open({offset!r}) as file:
            return wall() + float(file.read() or 0)
    except OSError:
        return wall()
time.time = set_clock
"""


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_clock_set_while_a_call_waits(tmp_path: Path, jump_s: float) -> None:
    """Tests that deadline and limits of a call that has arrived do not depend on the wall clock."""
    offset = tmp_path / "offset"
    with (
        running("--workers", "1", environment=meddling(tmp_path, _SET_CLOCK.format(offset=str(offset)))) as server,
        server.stub() as stub,
    ):
        holder = stub.Optimize.future(slow(), timeout=30)
        server.busy_solver()
        began = time.monotonic()
        waiting = stub.Optimize.future(slow(), timeout=4)
        time.sleep(0.5)
        offset.write_text(str(jump_s))
        holder.cancel()
        result = waiting.result().result
        took = time.monotonic() - began
        assert result.status in (result_pb2.STATUS_NO_ANSWER, result_pb2.STATUS_FEASIBLE)
        assert 3.0 < took < 4.0
        offset.unlink()
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL


# Code that breaks ----------------------------------------------------------------------------------------------------

_BROKEN_TASK = """
import sys
if "server.solver_process" in sys.orig_argv:
    import server.tasks as tasks
    def broken(data, call):
        raise RuntimeError("secret-of-the-house")
    tasks.TASKS["ListCards"] = tasks.TASKS["StreamOptimize"] = broken
elif "server" in sys.orig_argv:
    import server.servicer as servicer
    def broken(self, caller, request):
        raise RuntimeError("secret-of-the-front")
    servicer.Servicer.stop_search = broken
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of which some code breaks."""
    with running("--workers", "1", environment=meddling(tmp_path_factory.mktemp("site"), _BROKEN_TASK)) as server:
        yield server


@pytest.mark.parametrize(
    ("call", "secret"),
    [
        (lambda stub: stub.ListCards(api.ListCardsRequest(), timeout=10), "secret-of-the-house"),
        (lambda stub: list(stub.StreamOptimize(api.StreamOptimizeRequest(), timeout=10)), "secret-of-the-house"),
        (lambda stub: stub.StopSearch(api.StopSearchRequest(request_id="x"), timeout=10), "secret-of-the-front"),
    ],
)
def test_code_that_breaks(broken: Running, call: Callable[[OptimizerServiceStub], Any], secret: str) -> None:
    """Tests that a fault of ours, in a solver or in the front, reaches the caller as an id and the log as a text."""
    solvers = broken.solvers()
    with broken.stub() as stub:
        with pytest.raises(grpc.RpcError) as caught:
            call(stub)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.INTERNAL
        match = re.fullmatch(r"internal error ([0-9a-f]{32}); the server's log has it under this id", error.details())
        assert match is not None
        assert "secret" not in str(error)
        assert set(details(error)) == {"ErrorInfo"}
        wait_until(lambda: any(match[1] in line and secret in line for line in broken.raw), 2)
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
    assert broken.solvers() == solvers, "a task that breaks does not cost its process"


def test_a_forking_process_that_hangs(broken: Running) -> None:
    """Tests that where the process that forks does not answer it is replaced, and with it what it should have made."""
    parent = broken.parent()
    os.kill(parent, signal.SIGSTOP)
    for pid in broken.solvers():
        os.kill(pid, signal.SIGKILL)
    with broken.stub() as stub:
        assert stub.Optimize(budget(), timeout=20).result.status == result_pb2.STATUS_OPTIMAL
    wait_until(lambda: len(broken.solvers()) == 2, 10)
    assert broken.parent() != parent
