"""Every error code with its details, against a real server."""

from __future__ import annotations

import math
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import problem_pb2, result_pb2
from tests.server.questions import asking, budget, details, slow
from tests.server.running import Running, wait_until

SERVICE = api.DESCRIPTOR.services_by_name["OptimizerService"]
PREFIX = "/solver.api.v1.OptimizerService/"


def failure(call: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("request_", "message", "field"),
    [
        (budget(-5), "problem.limits.budget_cny = -5: must be between 0 and 1000000000000", None),
        (budget(math.nan), "problem.limits.budget_cny = nan: must be a finite number", None),
        (budget(1.005), "problem.limits.budget_cny = 1.005: must have at most 2 decimals", None),
        (asking({"cards": [{"id": "x"}]}), "problem.cards.0.name: is required", "problem.cards.0.name"),
        (budget(1, time_limit_s=-1.0), "options.time_limit_s = -1: must be at least 0", None),
        (budget(1, workers=64), "options.workers = 64: must be between 1 and 2", None),
        (budget(1, today="yesterday"), 'options.today = "yesterday": must be a date such as 2023-07-01', None),
    ],
)
def test_invalid_argument(server: Running, request_: api.OptimizeRequest, message: str, field: str | None) -> None:
    """Tests that status message and details name field path, value and what is allowed."""
    with server.stub() as stub:
        error = failure(lambda: stub.Optimize(request_, timeout=10))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(message)
    found = details(error)
    path = message.split(" = ")[0] if field is None else field
    assert found["BadRequest"].field_violations[0].field == path
    assert found["BadRequest"].field_violations[0].reason == "INVALID_VALUE"
    assert found["InvalidProblem"].violations[0].field == path
    assert found["ErrorInfo"].domain == "solver.api.v1"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ({"prices": {"rtx-4091": 1}}, ["problem.prices", "rtx-4091", "did you mean", "rtx-4090"]),
        ({"limits": {"include": ["rtx-4091"]}}, ["problem.limits.include", "did you mean", "rtx-4090"]),
        ({"workloadId": "guide-7b"}, ["problem.workload_id", "did you mean guide-6b"]),
        ({"catalogId": "defalt"}, ["problem.catalog_id", "did you mean default"]),
    ],
)
def test_not_found(server: Running, problem: dict[str, Any], words: list[str]) -> None:
    """Tests that unknown names come back with the nearest ones."""
    with server.stub() as stub:
        error = failure(lambda: stub.Optimize(asking(problem), timeout=10))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert all(word in error.details() for word in words)
    found = details(error)
    assert found["ErrorInfo"].reason == "UNKNOWN_NAME"
    assert found["BadRequest"].field_violations[0].field.startswith(words[0])
    assert found["InvalidProblem"].violations[0].field.startswith(words[0])


def test_unknown_card_of_a_check(server: Running) -> None:
    """Tests NOT_FOUND and INVALID_ARGUMENT of CheckPlan."""
    with server.stub() as stub:
        error = failure(lambda: stub.CheckPlan(api.CheckPlanRequest(card="rtx-4091"), timeout=10))
        assert error.code() is grpc.StatusCode.NOT_FOUND
        error = failure(lambda: stub.CheckPlan(api.CheckPlanRequest(), timeout=10))
        assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "card: is required")
        error = failure(lambda: stub.CheckPlan(api.CheckPlanRequest(card="rtx-4090", count=65), timeout=10))
        assert error.details() == "count = 65: must be between 1 and 64"


@pytest.mark.parametrize("method", [method.name for method in SERVICE.methods])
def test_undecodable_bytes(server: Running, method: str) -> None:
    """Tests that bytes that are no request are the caller's fault, in every call."""
    with grpc.insecure_channel(server.address) as channel:
        if method == "StreamOptimize":
            stream: Any = channel.unary_stream(PREFIX + method)
            error = failure(lambda: list(stream(b"\xff\xff", timeout=10)))
        else:
            ask: Any = channel.unary_unary(PREFIX + method)
            error = failure(lambda: ask(b"\xff\xff", timeout=10))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == f"request: is not a solver.api.v1.{method}Request message"
    assert details(error)["BadRequest"].field_violations[0].field == "request"


def test_unknown_field(server: Running) -> None:
    """Tests that a field of a later version is refused, with its path: a limit must not be dropped in silence."""
    data = problem_pb2.Problem(limits=problem_pb2.Limits.FromString(b"\xc0\x3e\x01"))  # field 1000
    with server.stub() as stub:
        error = failure(lambda: stub.Optimize(api.OptimizeRequest(problem=data), timeout=10))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("problem.limits.#1000: ")
    assert details(error)["BadRequest"].field_violations[0].field == "problem.limits.#1000"


def test_unknown_method(server: Running) -> None:
    """Tests that a method of a later version is UNIMPLEMENTED."""
    with grpc.insecure_channel(server.address) as channel:
        ask: Any = channel.unary_unary(PREFIX + "Conquer")
        error = failure(lambda: ask(b"", timeout=10))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_server_speaks_english() -> None:
    """Tests that a server answers in English whatever the locale it was started in."""
    chinese = Running(environment={"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "SOLVER_CLI_LANG": "zh"})
    try:
        with chinese.stub() as stub:
            error = failure(lambda: stub.Optimize(budget(-5), timeout=15))
            answer = stub.Optimize(budget(300_000), timeout=30)
        assert "must be between 0 and" in error.details()
        assert any("more than a year old" in warning.message for warning in answer.result.warnings)
    finally:
        chinese.kill()


def test_many_long_faults_fit_into_a_status(server: Running) -> None:
    """Tests that thousands of faults with long names still reach the caller as a status of its size."""
    limits = problem_pb2.Limits(include=[f"{'n' * 70}-{i}" for i in range(2000)], exclude=["漢" * 50] * 50)
    request = api.OptimizeRequest(problem=problem_pb2.Problem(limits=limits))
    with server.stub() as stub:
        began = time.monotonic()
        error = failure(lambda: stub.Optimize(request, timeout=15))
    assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    assert "more" in error.details()
    assert details(error)["BadRequest"].field_violations
    assert time.monotonic() - began < 5


def test_too_many_entries(server: Running) -> None:
    """Tests the limit on the catalogue that a request brings."""
    request = asking({"prices": {f"x-{i}": 1.0 for i in range(10_001)}})
    with server.stub() as stub:
        error = failure(lambda: stub.Optimize(request, timeout=10))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "problem: names 10,001 cards" in error.details()


def test_infeasible_and_no_answer_are_answers(server: Running) -> None:
    """Tests that what cannot be bought is OK with a status."""
    with server.stub() as stub:
        assert stub.Optimize(budget(10), timeout=10).result.status == result_pb2.STATUS_INFEASIBLE
        late = stub.Optimize(slow(time_limit_s=0.0), timeout=20).result
    assert late.status in (result_pb2.STATUS_NO_ANSWER, result_pb2.STATUS_FEASIBLE)
    assert late.fingerprint.problem_sha256


def test_full_queue_and_health(server: Running) -> None:
    """Tests RESOURCE_EXHAUSTED with RetryInfo when queue and slots are taken, while health checks answer at once."""
    with server.stub() as stub, grpc.insecure_channel(server.address) as channel:
        calls = [stub.Optimize.future(slow(), timeout=60) for _ in range(3)]  # one slot, two wait
        server.busy_solver()
        refused = None
        for _ in range(50):
            try:
                stub.Optimize(budget(), timeout=0.2)
            except grpc.RpcError as error:
                refused = error
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    break
            time.sleep(0.02)
        assert refused is not None
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        found = details(refused)
        assert found["ErrorInfo"].reason == "QUEUE_FULL"
        assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert found["QuotaFailure"].violations
        health: Any = health_pb2_grpc.HealthStub(channel)
        waits = []
        for name in ("", "solver.api.v1.OptimizerService") * 10:
            began = time.monotonic()
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=2)
            waits.append(time.monotonic() - began)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert sorted(waits)[len(waits) // 2] < 0.1
        for call in calls:
            call.cancel()
        # Cancelled calls free slot and queue.
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL


def test_largest_message(server: Running) -> None:
    """Tests that 4 MiB + 1 and 16 MiB are read and answered, and 16 MiB + 1 refused without harm."""

    def of_size(size: int) -> api.OptimizeRequest:
        request = budget()
        request.problem.workload_id = "x" * (size - request.ByteSize() - 12)
        request.problem.workload_id += "x" * (size - request.ByteSize())
        assert request.ByteSize() == size
        return request

    with server.stub() as stub:
        for size in (4 * 2**20 + 1, 16 * 2**20):
            accepted = failure(lambda size=size: stub.Optimize(of_size(size), timeout=20))
            assert accepted.code() is grpc.StatusCode.NOT_FOUND  # it was read: there is no workload of that name
            assert "problem.workload_id" in accepted.details()
        refused = failure(lambda: stub.Optimize(of_size(16 * 2**20 + 1), timeout=20))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in refused.details()
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL


def test_deadline_exceeded_before_a_solver_is_free(server: Running) -> None:
    """Tests that a caller whose time ends in the queue gets DEADLINE_EXCEEDED, and costs no solver."""
    with server.stub() as stub:
        holder = stub.Optimize.future(slow(), timeout=30)
        server.busy_solver()
        error = failure(lambda: stub.Optimize(budget(), timeout=0.3))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        holder.cancel()
        wait_until(lambda: any(e["code"] == "DEADLINE_EXCEEDED" for e in server.events("call")), 5)
        assert stub.Optimize(budget(), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
