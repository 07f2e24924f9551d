"""Clients that nobody here wrote, against a real server: buf curl through reflection, and grpc-js on Node."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from solver.api.v1 import result_pb2
from solver.catalog import default_library, resolve
from solver.solve import optimize
from tests.server.questions import budget
from tests.server.running import ROOT, Running, running, wait_until
from tests.server.stalling import stalling

pytestmark = pytest.mark.extras

BUF = Path(sys.executable).with_name("buf")
NODE = ROOT / "examples" / "node"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server with default settings but for the port."""
    with running() as it:
        yield it


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one slot, whose searches hear nothing for ten seconds after each plan."""
    with stalling(tmp_path_factory.mktemp("site"), 10.0) as it:
        yield it


def free_again(server: Running, cancelled: int) -> None:
    """Whether as many streams as said were cancelled so far, and the only slot answers the next question at once."""
    name = 'solver_requests_total{code="CANCELLED",method="StreamOptimize"}'
    wait_until(lambda: server.calls() == 0, 3)
    assert server.metrics().get(name, 0) == cancelled
    with server.stub() as stub:
        assert stub.Optimize(budget(10), timeout=5).result.status == result_pb2.STATUS_INFEASIBLE


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


def buf_curl(server: Running, method: str, request: str) -> subprocess.CompletedProcess[str]:
    url = f"http://{server.address}/solver.api.v1.OptimizerService/{method}"
    return run(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", request, url)


def expected(question: dict[str, Any]) -> Any:
    return optimize(resolve(question, default_library()))


def test_buf_curl(server: Running) -> None:
    """Tests the README's call: reflection tells buf the API, and the answer is the library's."""
    ran = buf_curl(server, "Optimize", '{"problem":{"limits":{"budget_cny":300000}}}')
    assert ran.returncode == 0, ran.stderr
    result, wanted = json.loads(ran.stdout)["result"], expected({"limits": {"budget_cny": 300000}})
    assert result["status"] == "STATUS_OPTIMAL"
    assert result["plan"]["cardId"] == wanted.plan.card_id
    assert result["plan"]["costCny"] == float(wanted.plan.cost_cny)
    assert result["fingerprint"]["problemSha256"] == wanted.fingerprint.problem_sha256
    assert result["fingerprint"]["catalogSha256"] == wanted.fingerprint.catalog_sha256


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("StreamOptimize", "{}"),
        ("Explain", '{"problem":{"limits":{"budget_cny":60000,"min_batch":12}}}'),
        ("ComputeFrontier", "{}"),
        ("CheckPlan", '{"card":"rtx-4090-blower","count":4}'),
        ("ListCards", "{}"),
        ("ListPlatforms", "{}"),
        ("ListWorkloads", "{}"),
        ("ValidateProblem", '{"problem":{"workload_id":"guide-6b"}}'),
        ("StopSearch", '{"request_id":"nobody"}'),
    ],
)
def test_buf_curl_calls_everything(server: Running, method: str, request_: str) -> None:
    """Tests that every RPC answers a client that knows it by reflection only."""
    ran = buf_curl(server, method, request_)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_buf_curl_errors(server: Running) -> None:
    """Tests that a fault reaches buf curl with its code, message and details."""
    ran = buf_curl(server, "Optimize", '{"problem":{"limits":{"budget_cny":-1}}}')
    assert ran.returncode != 0
    error = json.loads(ran.stderr)
    assert error["code"] == "invalid_argument"
    assert error["message"] == "problem.limits.budget_cny = -1: must be between 0 and 1000000000000"
    assert [detail["type"] for detail in error["details"]] == [
        "google.rpc.ErrorInfo", "google.rpc.BadRequest", "solver.api.v1.InvalidProblem",
    ]  # fmt: skip


def test_grpc_js(server: Running) -> None:
    """Tests the example for Node, which loads the .proto files as they are."""
    node = shutil.which("node")
    assert node is not None, "make test-extras needs node and npm"
    ran = run(node, NODE / "ask.mjs", server.address, "300000")
    assert ran.returncode == 0, ran.stderr
    printed, wanted = json.loads(ran.stdout), expected({"limits": {"budget_cny": 300000}})
    assert printed["result"]["status"] == "STATUS_OPTIMAL"
    assert printed["result"]["plan"]["card_id"] == wanted.plan.card_id
    assert printed["result"]["plan"]["total_batch"] == wanted.plan.total_batch
    assert printed["result"]["fingerprint"]["problem_sha256"] == wanted.fingerprint.problem_sha256
    assert printed["events"][-1] == "result"
    assert "incumbent" in printed["events"]
    assert printed["report"]["holds"] is False
    assert "a100-80gb-pcie" in printed["cards"]
    assert printed["refused"]["code"] == 3
    assert printed["refused"]["details"].startswith("problem.limits.budget_cny = -1")


def test_grpc_js_leaves_a_stream(stalled: Running) -> None:
    """Tests a stream that Node stops after its first plan, and one that it cancels: the slot is free both times."""
    node = shutil.which("node")
    assert node is not None, "make test-extras needs node and npm"
    before = stalled.metrics().get('solver_requests_total{code="CANCELLED",method="StreamOptimize"}', 0)
    ran = run(node, NODE / "stop.mjs", stalled.address, "stop")
    printed = json.loads(ran.stdout)
    assert printed["stopped"] is True
    assert printed["events"] == ["incumbent", "result"]
    assert printed["code"] == 0
    assert printed["result"]["status"] == "STATUS_FEASIBLE"
    assert printed["result"]["plan"]["cost_cny"] <= 300_000
    free_again(stalled, int(before))
    ran = run(node, NODE / "stop.mjs", stalled.address, "cancel")
    printed = json.loads(ran.stdout)
    assert (printed["events"], printed["code"], printed["result"]) == (["incumbent"], 1, None)
    free_again(stalled, int(before) + 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_buf_curl_leaves_a_stream(stalled: Running, number: signal.Signals) -> None:
    """Tests that a stream whose client is ended after the first plan, by Ctrl-C or kill -9, frees its slot."""
    before = stalled.metrics().get('solver_requests_total{code="CANCELLED",method="StreamOptimize"}', 0)
    url = f"http://{stalled.address}/solver.api.v1.OptimizerService/StreamOptimize"
    command = [
        str(BUF),
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "-d",
        '{"options":{"prune":false}}',
        url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as curl:
        assert curl.stdout is not None
        text = ""
        while "incumbent" not in text:
            line = curl.stdout.readline()
            assert line, text
            text += line
        assert stalled.calls() == 1
        curl.send_signal(number)
    free_again(stalled, int(before) + 1)


def test_python_example(server: Running) -> None:
    """Tests the example for Python."""
    ran = run(sys.executable, "examples/ask_server.py", server.address, "300000")
    assert ran.returncode == 0, ran.stderr
    assert "optimal: batch 26" in ran.stdout
    assert run(sys.executable, "examples/ask_server.py", server.address, "-1").returncode == 2
    assert run(sys.executable, "examples/ask_server.py", "127.0.0.1:1").returncode == 7
