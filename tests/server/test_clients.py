"""The same question by library, command line, command line over the server, Python client and plain gRPC."""

from __future__ import annotations

import datetime
import json
import random
import re
import threading
import time
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from solver.catalog import default_library, default_problem, resolve
from solver.client import Client
from solver.domain.errors import InvalidProblem, UnknownName
from solver.domain.plan import Incumbent, Result
from solver.report.json_form import result_object
from solver.solve import optimize
from solver.wire import record_of
from tests.builders import random_problem
from tests.conftest import RunCli
from tests.server.questions import asking, slow
from tests.server.running import Running

QUESTIONS: list[tuple[list[object], dict[str, Any]]] = [
    (["--budget", 300000], {"limits": {"budget_cny": 300000}}),
    (["--budget", "30万", "--goal", "value"], {"goal": "value", "limits": {"budget_cny": 300000}}),
    (["--goal", "cost", "--min-batch", 12], {"goal": "cost", "limits": {"min_batch": 12}}),
    (["--budget", "150000.50", "--goal", "epoch", "--price", "rtx-4090=12999.99", "--price", "rtx-3090=1"],
     {"goal": "epoch", "limits": {"budget_cny": 150000.5}, "prices": {"rtx-3090": 1, "rtx-4090": 12999.99}}),
    (["--samples", 7, "--reserve-gb", "0.3", "--socket-amps", 16], {
        "workload": {"samples": 7, "reserve_gb": 0.3}, "site": {"socket_amps": 16}}),
    (["--budget", 10], {"limits": {"budget_cny": 10}}),
    (["--exclude", "a100-80gb-pcie", "--require-nvlink"],
     {"limits": {"exclude": ["a100-80gb-pcie"], "require_nvlink": True}}),
    (["--workload", "llama-7b", "--seq-len", 4096, "--budget", 300000, "--confidence", "high"],
     {"workload": {"id": "llama-7b", "seq_len": 4096}, "limits": {"budget_cny": 300000}, "confidence": "high"}),
    (["--workload", "qwen2.5-7b", "--seq-len", 512, "--zero-stage", 2, "--offload", "optimizer",
      "--gradient-accumulation", 8, "--goal", "epoch", "--budget", 300000],
     {"workload": {"id": "qwen2.5-7b", "seq_len": 512, "zero_stage": 2, "offload": "optimizer",
                   "gradient_accumulation": 8}, "goal": "epoch", "limits": {"budget_cny": 300000}}),
]  # fmt: skip


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """The JSON of an answer without what it took."""
    kept = {key: value for key, value in answer["statistics"].items() if not key.endswith("_ms")}
    return {**answer, "statistics": kept}


def camel(data: dict[str, Any]) -> dict[str, Any]:
    """The same question in the JSON of protobuf."""
    made = {key: f"{key}_{data[key]}".upper() if key in ("goal", "confidence") else data[key] for key in data}
    if "offload" in data.get("workload", {}):
        made["workload"] = {**data["workload"], "offload": f"OFFLOAD_{data['workload']['offload']}".upper()}
    return made


@pytest.mark.parametrize(("flags", "question"), QUESTIONS)
def test_same_answer_every_way(server: Running, run_cli: RunCli, flags: list[object], question: dict[str, Any]) -> None:
    """Tests that plan, figures and fingerprint do not depend on the way a question takes."""
    library = timeless(result_object(optimize(resolve(question, default_library()))))
    local = timeless(run_cli("optimize", *flags, "--format", "json").json)
    remote = timeless(run_cli("--server", server.address, "optimize", *flags, "--format", "json").json)
    with Client(server.address) as client:
        by_client = timeless(result_object(client.optimize(question)))
        whole = timeless(result_object(client.optimize(resolve(question, default_library()))))
    with server.stub() as stub:
        response = stub.Optimize(asking(camel(question)), timeout=20)
    by_grpc = timeless(result_object(record_of(response.result, Result)))
    expected = json.loads(json.dumps(library))
    assert local == remote
    assert all(end["same"] or end["rig"] for end in local.pop("outlook"))
    assert local == expected
    assert json.loads(json.dumps(by_client)) == json.loads(json.dumps(whole)) == expected
    assert json.loads(json.dumps(by_grpc)) == expected
    assert MessageToDict(response)["result"]["fingerprint"]["problemSha256"] == library["fingerprint"]["problem_sha256"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["optimize", "--budget", 300000],
        ["optimize", "--budget", 10],
        ["optimize", "--budget", -3],
        ["optimize", "--budget", 1.005],
        ["optimize", "--price", "rtx-4091=3"],
        ["optimize", "--max-cards", 10**17],
        ["optimize", "--goal", "fast"],
        ["optimize", "--goal", "cost", "--no-prune", "--min-batch", "9"],
        ["optimize", "--include", "a100"],
        ["optimize", "--budget", 200000, "--top", 3],
        ["optimize", "--budget", 200000, "--top", 0],
        ["optimize", "--budget", 200000, "--format", "markdown"],
        ["explain", "--budget", 300000],
        ["explain", "--budget", 300000, "--format", "json", "--top", 2],
        ["explain", "--budget", 60000, "--min-batch", 12],
        ["explain", "--budget", 60000, "--min-batch", 12, "--format", "json"],
        ["frontier", "--from", 30000, "--to", 600000],
        ["frontier", "--goal", "epoch", "--against", "watts", "--format", "json"],
        ["frontier", "--goal", "cost"],
        ["frontier", "--budget", 10],
        ["check", "--card", "rtx-4090-blower", "--count", 4, "--power-limit", 450],
        ["check", "--card", "rtx-4090-blower", "--count", 4, "--power-limit", 450, "--format", "json"],
        ["check", "--card", "a100-80gb-pcie", "--budget", 100],
        ["check", "--card", "rtx-4091"],
        ["check", "--card", "rtx-4090", "--count", 99],
        ["check", "--card", "rtx-4090", "--power-limit", 9999],
    ],
)
def test_same_output(server: Running, run_cli: RunCli, arguments: list[object]) -> None:
    """Tests that the command line prints the same over the server, errors and exit codes included, but for timings."""
    local, remote = run_cli(*arguments), run_cli("--server", server.address, *arguments)
    assert (remote.code, remote.err) == (local.code, local.err)
    assert without_times(remote.out) == without_times(local.out)


def without_times(text: str) -> str:
    """What a command printed, with its timings left out."""
    text = re.sub(r"[0-9.,]+ (ms|s)\b", "TIME", text)
    return re.sub(r'("[a-z_]+_ms": )[0-9.]+', r"\1TIME", text)


def test_command_line_without_server(run_cli: RunCli) -> None:
    """Tests exit code 7 and one line where there is no server."""
    ran = run_cli("--server", "127.0.0.1:1", "optimize")
    assert ran.code == 7
    assert ran.err.startswith("Error: the server 127.0.0.1:1 is not available")
    assert len(ran.err.splitlines()) == 1


def test_server_of_the_environment(server: Running, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that SOLVER_CLI_SERVER is used where it can be, and that --server is refused where it cannot."""
    monkeypatch.setenv("SOLVER_CLI_SERVER", "127.0.0.1:1")
    assert run_cli("optimize").code == 7
    assert run_cli("schema").code == 0
    ran = run_cli("--server", server.address, "schema")
    assert ran.code == 2
    assert "--server does not go with schema" in ran.err


@pytest.mark.parametrize("seed", range(25))
def test_whole_problems(server: Running, seed: int) -> None:
    """Tests that any problem, on any catalogue, is answered as the library answers it."""
    problem = random_problem(random.Random(seed))
    today = datetime.date(2024, 1, 1)
    from solver.solve import Options

    here = optimize(problem, Options(today=today))
    with Client(server.address) as client:
        there = client.optimize(problem, today=today)
    assert timeless(result_object(there)) == timeless(result_object(here))


def test_client_records(server: Running) -> None:
    """Tests the client's other calls: records in, records out."""
    library = default_library()
    with Client(server.address) as client:
        cards, card_offers = client.list_cards()
        platforms, platform_offers = client.list_platforms()
        assert cards == library.catalog.cards
        assert platforms == library.catalog.platforms
        assert {*card_offers, *platform_offers} == set(library.catalog.offers)
        assert client.list_workloads() == library.workloads
        assert client.validate({}).problem_sha256 == default_problem().digest
        with pytest.raises(InvalidProblem) as caught:
            client.validate({"limits": {"budget_cny": -1, "max_cards": 9}})
        assert [fault.field for fault in caught.value.violations] == ["limits.budget_cny", "limits.max_cards"]
        with pytest.raises(UnknownName):
            client.list_cards("nowhere")
        events = list(client.stream_optimize({"limits": {"budget_cny": 300_000}}))
    assert isinstance(events[0], Incumbent)
    assert isinstance(events[-1], Result)


def test_explanations_and_curves(server: Running) -> None:
    """Tests that the client's records are those of the library, but for the time they took."""
    from solver.explain import ExplainOptions, explain, top
    from solver.frontier import frontier

    today = datetime.date(2024, 1, 1)
    with Client(server.address) as client:
        for limits in ({"budget_cny": 300_000}, {"budget_cny": 60_000, "min_batch": 12}):
            problem = default_problem(limits=limits)
            here, there = (
                explain(problem, ExplainOptions(top=3, today=today)),
                client.explain(problem, top=3, today=today),
            )
            assert timed(here.model_dump(mode="json")) == timed(there.model_dump(mode="json"))
        problem = default_problem()
        curve, remote = frontier(problem, ("cost", "batch")), client.frontier({})
        assert timed(curve.model_dump(mode="json")) == timed(remote.model_dump(mode="json"))
        assert len(curve.points) > 3
        watts = client.frontier({}, ("watts", "epoch"), from_cny=50_000)
        assert watts.axes == ("watts", "epoch")
        result, others = client.best(problem, 3, today=today)
        assert others == top(problem, 3)
        assert result.status == "optimal"
        with pytest.raises(InvalidProblem, match="axes"):
            client.frontier({}, ("cost", "cost"))
        with pytest.raises(InvalidProblem, match="top = 0: must be at least 1"):
            client.explain({}, top=0)
        assert client.explain(problem, time_limit_s=0).complete is False


def timed(data: Any) -> Any:
    """Plain data without what took time, and without the number of solves, which lots of another size change."""
    if isinstance(data, dict):
        return {key: timed(value) for key, value in data.items() if not key.endswith("_ms") and key != "what_ifs"}
    return [timed(value) for value in data] if isinstance(data, list) else data


def test_client_gives_up_when_told(server: Running) -> None:
    """Tests that `stop` ends a call: with what is known by then, not called proved; and the next one is answered."""
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    from solver.wire import asked

    problem = asked(slow().problem, {"default": default_library()})
    with Client(server.address) as client:
        began = time.monotonic()
        assert client.optimize(problem, prune=False, stop=stop).status in ("feasible", "no_answer")
        assert time.monotonic() - began < 3, "it waited for the search"
        assert client.optimize({}).status == "optimal"


def test_every_call_has_a_deadline(server: Running) -> None:
    """Tests that the client's deadline reaches the server, also where the caller names none."""
    from solver.domain.errors import ServerUnavailable

    with Client(server.address, timeout_s=0.001) as client, pytest.raises(ServerUnavailable, match="in time"):
        client.optimize({})


def test_unary_call_by_hand(server: Running) -> None:
    """Tests that an empty request, of no bytes at all, is the default question."""
    with grpc.insecure_channel(server.address) as channel:
        ask: Any = channel.unary_unary("/solver.api.v1.OptimizerService/Optimize")
        assert ask(b"", timeout=10)
