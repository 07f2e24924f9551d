"""Ending a search early: StopSearch, the client's `stop`, and Ctrl-C on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.catalog import default_problem
from solver.client import Client
from solver.domain.errors import Interrupted
from solver.domain.recheck import broken, figures_of
from solver.solve import optimize
from tests.server.questions import budget, details, slow
from tests.server.running import ROOT, Running, running, wait_until
from tests.server.stalling import stalling

CLI = Path(sys.executable).with_name("solver-cli")


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose searches hear nothing for two seconds after each plan."""
    with stalling(tmp_path_factory.mktemp("site"), 2.0) as it:
        yield it


def interrupted(
    server: Running, *arguments: str, times: int = 1, searching: bool = True
) -> tuple[int, str, str, float]:
    """Ctrl-C on `solver-cli --server ...`: exit code, output, and what it still took.

    It comes once a plan has been found, upon which the search stalls for two seconds; or, if not `searching`, once
    the server has the call.
    """
    wait_until(lambda: server.calls() in (0, 2), 10)
    before, found = server.calls(), len(server.events("found"))
    command = [str(CLI), "--server", server.address, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(server.events("found")) > found if searching else server.calls() > before, 30)
    began = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err, time.monotonic() - began


def test_ctrl_c_prints_the_best_so_far(stalled: Running) -> None:
    """Tests exit 130 and the plan found so far, sound and not called proved, as the local command prints it."""
    code, out, err, took = interrupted(stalled, "optimize", "--budget", "300000", "--no-prune", "--format", "json")
    assert code == 130
    assert err.strip() == "stopping; Ctrl-C again to give up at once"
    assert took < 1.9, "it waited for the search"
    answer = json.loads(out)
    assert answer["status"] == "feasible"
    problem = default_problem(limits={"budget_cny": 300_000})
    best = optimize(problem)
    assert best.plan is not None
    assert answer["objective"] <= best.objective <= answer["bound"]
    assert answer["plan"]["cost_cny"] <= 300_000
    assert answer["usage"]
    assert answer["fingerprint"]["problem_sha256"] == problem.digest
    assert answer["statistics"]["pairs"] == best.statistics.pairs


def test_ctrl_c_prints_for_people(stalled: Running) -> None:
    """Tests that the table does not claim a proof."""
    code, out, _, _ = interrupted(stalled, "optimize", "--budget", "300000", "--no-prune")
    assert code == 130
    assert "a plan, but time ran out before it was proved best" in out
    assert "CNY" in out


def test_second_ctrl_c_gives_up(stalled: Running) -> None:
    """Tests that the second Ctrl-C waits for nothing."""
    code, out, err, took = interrupted(stalled, "optimize", "--no-prune", times=2)
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert took < 1.0


def test_ctrl_c_while_waiting_for_a_solver(stalled: Running) -> None:
    """Tests that a question that no solver has begun is given up: there is nothing to print."""
    wait_until(lambda: stalled.calls() == 0, 10)
    with stalled.stub() as stub:
        call = stub.Optimize.future(slow(80, 60), timeout=60)
        holder = stub.Optimize.future(slow(80, 60), timeout=60)
        wait_until(lambda: stalled.calls() == 2, 10)
        code, out, err, took = interrupted(stalled, "optimize", "--no-prune", searching=False)
        call.cancel()
        holder.cancel()
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert took < 1.5


def test_client_stop_brings_the_best_so_far(stalled: Running) -> None:
    """Tests `stop` of the Python client: the plan, recomputed here, without a proof."""
    problem = default_problem(limits={"budget_cny": 300_000})
    stop, found, began = threading.Event(), len(stalled.events("found")), 0.0

    def stop_when_found() -> None:
        nonlocal began
        wait_until(lambda: len(stalled.events("found")) > found, 20)
        began = time.monotonic()
        stop.set()

    threading.Thread(target=stop_when_found).start()
    with Client(stalled.address) as client:
        result = client.optimize(problem, prune=False, stop=stop)
        assert time.monotonic() - began < 1.9
    assert result.status == "feasible"
    assert result.plan is not None
    assert result.bound is not None
    from solver.domain.plan import Choice

    choice = Choice(**{name: getattr(result.plan, name) for name in Choice.model_fields})
    figures = figures_of(problem, choice)
    assert not broken(problem, figures)
    assert figures.total_batch == result.plan.total_batch == result.objective


@pytest.mark.parametrize("wait_s", [0.02, 0.1, 0.3])
def test_stop_in_every_phase(server: Running, wait_s: float) -> None:
    """Tests that a call stopped in reading, building, presolve or search answers half a second later at most."""
    name = uuid.uuid4().hex
    with server.stub() as stub:
        call = stub.Optimize.future(slow(30, 20), timeout=30, metadata=(("x-request-id", name),))
        time.sleep(wait_s)
        wait_until(lambda: stub.StopSearch(api.StopSearchRequest(request_id=name), timeout=5).stopped, 5)
        began = time.monotonic()
        result = call.result().result
        assert time.monotonic() - began < 1.5
        assert result.status in (result_pb2.STATUS_NO_ANSWER, result_pb2.STATUS_FEASIBLE)
        assert result.HasField("plan") is (result.status == result_pb2.STATUS_FEASIBLE)
        assert not stub.StopSearch(api.StopSearchRequest(request_id=name), timeout=5).stopped, "it has ended"
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL


def test_stop_of_a_stream(stalled: Running) -> None:
    """Tests that a stream ends with the best plan it has told of."""
    name = uuid.uuid4().hex
    request = budget(prune=False)
    asked = api.StreamOptimizeRequest(problem=request.problem, options=request.options)
    with stalled.stub() as stub:
        events = stub.StreamOptimize(asked, timeout=30, metadata=(("x-request-id", name),))
        told = next(events).incumbent
        assert stub.StopSearch(api.StopSearchRequest(request_id=name), timeout=5).stopped
        *_, last = events
    assert last.result.status == result_pb2.STATUS_FEASIBLE
    assert last.result.plan.card_id == told.choice.card_id
    assert last.result.objective == told.objective


def test_stop_of_an_explanation(server: Running) -> None:
    """Tests that Explain, stopped, sends what it has proved, and says that it is not complete."""
    name = uuid.uuid4().hex
    with server.stub() as stub:
        request = api.ExplainRequest(problem=slow().problem)
        call = stub.Explain.future(request, timeout=30, metadata=(("x-request-id", name),))
        wait_until(lambda: stub.StopSearch(api.StopSearchRequest(request_id=name), timeout=5).stopped, 5)
        began = time.monotonic()
        assert call.result().explanation.complete is False
        assert time.monotonic() - began < 1.5


def test_stop_requests(server: Running) -> None:
    """Tests that ids nobody has are not found, and that what is no id is refused."""
    with server.stub() as stub, grpc.insecure_channel(server.address) as channel:
        assert not stub.StopSearch(api.StopSearchRequest(request_id="nobody"), timeout=5).stopped
        ask: Any = channel.unary_unary("/solver.api.v1.OptimizerService/StopSearch")
        long = api.StopSearchRequest(request_id="x" * 2000).SerializeToString()
        for data, message in ((b"", "request_id: is required"), (long, "request: must have"), (b"\xff", "request: is")):
            with pytest.raises(grpc.RpcError) as caught:
                ask(data, timeout=5)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert str(caught.value.details()).startswith(message)
            assert details(caught.value)["BadRequest"].field_violations


def test_a_call_is_stopped_by_its_own_caller_only(tmp_path: Path) -> None:
    """Tests that another caller's token does not stop a call, even with its id."""
    tokens = tmp_path / "tokens"
    tokens.write_text("first-caller-0123456789\nsecond-caller-012345678\n")
    tokens.chmod(0o600)
    first, second = ((("authorization", f"Bearer {line}"),) for line in tokens.read_text().split())
    with running("--workers", "1", "--token-file", str(tokens)) as server, server.stub() as stub:
        call = stub.Optimize.future(slow(), timeout=30, metadata=(*first, ("x-request-id", "order-4711")))
        server.busy_solver()
        stop = api.StopSearchRequest(request_id="order-4711")
        assert not stub.StopSearch(stop, timeout=5, metadata=second).stopped
        assert stub.StopSearch(stop, timeout=5, metadata=first).stopped
        assert call.result().result.status == result_pb2.STATUS_NO_ANSWER


def test_stop_where_no_server_is(stalled: Running) -> None:
    """Tests that a server that dies while it is to stop is told as given up, not as a failure."""
    stop = threading.Event()
    with Client("127.0.0.1:1", timeout_s=5) as client:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Interrupted):
            client.optimize({}, stop=stop)
