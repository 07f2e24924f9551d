"""Runs as a service: the rows are those of a run here, whoever leaves or dies; limits, errors, sharing of slots."""

from __future__ import annotations

import contextlib
import os
import re
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
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from solver.api.v1 import run_service_pb2 as api
from solver.api.v1.run_service_pb2_grpc import RunServiceStub
from solver.catalog import default_library
from solver.client import Client
from solver.domain.errors import InvalidProblem, ServerUnavailable, UnknownName
from solver.sweep.file import read
from solver.sweep.follow import follow, mirrored
from solver.sweep.run import Settings, execute, register
from solver.sweep.scenario import Row
from solver.sweep.store import Store
from tests.conftest import RunCli
from tests.server.histories import FILES, History, reference
from tests.server.questions import budget
from tests.server.running import ROOT, Running, children, running, wait_until
from tests.whatif_equal import EXAMPLES, scenario_files

SLOW = FILES["draws.yaml"].replace("draws: 2500", "draws: 30000").encode()
SMALL = FILES["some.csv"].encode()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that keeps runs, with two slots."""
    store = tmp_path_factory.mktemp("runs") / "runs.sqlite"
    with running("--workers", "2", "--run-store", str(store), "--max-run-scenarios", "50000") as it:
        yield it


@pytest.fixture
def client(runs: Running) -> Iterator[Client]:
    with Client(runs.address) as it:
        yield it


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@contextlib.contextmanager
def stub(server: Running) -> Iterator[RunServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield RunServiceStub(channel)


def rows_here(folder: Path, path: Path) -> list[dict[str, Any]]:
    """The rows of a file as a run in this process stores them."""
    file, data = read(path)
    with Store(folder / "here.sqlite") as store:
        run = register(store, uuid.uuid4().hex, file, data, default_library(), Settings(executor="inline"))
        execute(store, run, Settings(executor="inline"))
        return [plain(row) for row in store.results(run)]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in Row._fields if name != "solve_ms"}


def fetched(folder: Path, client: Client, run_id: str) -> list[dict[str, Any]]:
    """The rows of a run of the server, once it is over."""
    with Store(folder / "there.sqlite") as store:
        run = mirrored(store, client, run_id)
        status = follow(store, run, client)
        assert status.state == "finished"
        assert store.run(run_id).state == "finished"
        return [plain(row) for row in store.results(run)]


def violation(error: grpc.RpcError) -> tuple[str, str]:
    """Code and message; the details must say what the message says."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code().name, f"{info.reason}: {status.message}"


# The same rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in scenario_files()])
def test_rows_are_those_of_a_run_here(client: Client, tmp_path: Path, path: Path) -> None:
    """Tests, for every file in examples/, that a run of the server has each row of a run in one process."""
    file, data = read(path)
    run = client.submit_scenarios(path.name, data, base=dict(file.question) or None)
    there = fetched(tmp_path, client, run.run_id)
    assert len(there) == file.total
    assert there == rows_here(tmp_path, path)


def test_a_base_and_a_catalogue_of_ones_own(client: Client, tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that quotes and a base read here make the same rows at the server, catalogue and all."""
    base = tmp_path / "base.yaml"
    base.write_text("goal: value\nlimits: {budget_cny: 200000}\nworkload: {reserve_gb: 1.25}\n")
    table = tmp_path / "plan.csv"
    table.write_text("name,limits.budget_cny,prices.rtx-a6000\na,100000,\nb,,25000\nc,500000,\n")
    options = ["whatif", "run", table, "--base", base, "--quotes", EXAMPLES / "quotes-2023.csv", "-q", "--raw-csv"]
    assert run_cli(*options, "-o", tmp_path / "here.csv", "--executor", "inline").code == 0
    at = ["--server", client._server, *options]
    assert run_cli(*at, "-o", tmp_path / "there.csv", "--run-id", uuid.uuid4().hex).code == 0
    assert stripped(tmp_path / "here.csv") == stripped(tmp_path / "there.csv")


def stripped(path: Path) -> list[list[str]]:
    """The lines of an export without the columns that differ from run to run."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0][-2:] == ["solve_ms", "finished_at"]
    return [line[:-2] for line in lines]


# Who leaves, who dies ----------------------------------------------------------------------------------------------


def test_histories(tmp_path: Path) -> None:
    """Tests that two random histories, with kills, hold against the model; `make histories N=20` runs more."""
    references = {name: reference(tmp_path, name) for name in FILES}
    for seed in (7, 8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        History(folder, seed, references).run(25)


def test_a_run_outlives_client_and_server(tmp_path: Path) -> None:
    """Tests that a run whose client is gone goes on after kill -9 of the server, and no answer changes."""
    options = ("--workers", "2", "--run-store", str(tmp_path / "runs.sqlite"), "--log-level", "notice")
    file = tmp_path / "draws.yaml"
    file.write_bytes(SLOW.replace(b"30000", b"6000"))
    with running(*options[:-2]) as server:
        with Client(server.address) as client:
            run = client.submit_scenarios(file.name, file.read_bytes(), request_id="once")
            wait_until(lambda: client.get_run(run.run_id).done > 300, 30)
            first, over = client.run_results(run.run_id)
        assert first
        assert not over
        server.kill()
    with running(*options[:-2]) as server, Client(server.address) as client:
        assert client.submit_scenarios(file.name, file.read_bytes(), request_id="once").run_id == run.run_id
        assert fetched(tmp_path, client, run.run_id) == rows_here(tmp_path, file)
        again, _ = client.run_results(run.run_id, page_size=len(first))
        assert again == first
        assert [each.run_id for each in client.list_runs()] == [run.run_id]


def test_an_idle_server_with_a_run_stops_at_once_and_goes_on_later(tmp_path: Path) -> None:
    """Tests that SIGTERM in a run ends the server soon, tells watchers, and that the run is taken up by the next."""
    options = ("--workers", "1", "--run-store", str(tmp_path / "runs.sqlite"))
    with running(*options) as server, stub(server) as calls:
        request = api.SubmitScenariosRequest(request_id="r", file_name="draws.yaml", file=SLOW)
        run = calls.SubmitScenarios(request).run
        watch = calls.WatchRun(api.WatchRunRequest(run_id=run.run_id))
        next(watch)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in watch:
                pass
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 3.0
    with running(*options) as server, Client(server.address) as client:
        before = client.get_run(run.run_id).done
        wait_until(lambda: client.get_run(run.run_id).done > before + 100, 30)
        assert client.cancel_run(run.run_id).state == "cancelled"


def test_one_server_a_store(tmp_path: Path) -> None:
    """Tests that a second server on the same store says so and does not start, and that a file that is none is left."""
    store = tmp_path / "runs.sqlite"
    command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--workers", "1", "--run-store"]
    with running("--workers", "1", "--run-store", str(store)):
        second = subprocess.run([*command, str(store)], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert second.returncode == 2
        assert "is in use by another server" in second.stderr.splitlines()[-1]
    broken = tmp_path / "text.sqlite"
    broken.write_text("not a database, but longer than its header would be " * 10)
    third = subprocess.run([*command, str(broken)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert third.returncode == 2
    assert third.stderr.splitlines()[-1].startswith("Error: run_store")


def test_the_process_of_the_runs_may_die(runs: Running, client: Client, tmp_path: Path) -> None:
    """Tests that kill -9 of what drives the runs, and of solver processes, loses nothing and tells nothing twice."""
    file = tmp_path / "draws.yaml"
    file.write_bytes(SLOW.replace(b"30000", b"4000"))
    run = client.submit_scenarios(file.name, file.read_bytes())
    for goal in (200, 1200, 2000):
        wait_until(lambda at=goal: client.get_run(run.run_id).done > at, 30)  # type: ignore[misc]
        for pid in (driver(runs), *runs.solvers()[:1]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: bool(drivers(runs)), 20)
    assert fetched(tmp_path, client, run.run_id) == rows_here(tmp_path, file)


def drivers(server: Running) -> list[int]:
    def is_driver(pid: int) -> bool:
        with contextlib.suppress(OSError):
            return b"server.runs.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    return [pid for pid in children(server.process.pid) if is_driver(pid)]


def driver(server: Running) -> int:
    (pid,) = drivers(server)
    return pid


# The calls -----------------------------------------------------------------------------------------------------------


def test_request_ids(client: Client) -> None:
    """Tests that a request id stands for one run: asked again the same, with anything else refused."""
    request_id = uuid.uuid4().hex
    run = client.submit_scenarios("some.csv", SMALL, request_id=request_id, time_limit_s=5)
    assert client.submit_scenarios("some.csv", SMALL, request_id=request_id, time_limit_s=5).run_id == run.run_id
    for name, file, limit in (("some.csv", SMALL, 6), ("other.csv", SMALL, 5), ("some.csv", SMALL + b"x,1,1,\n", 5)):
        with pytest.raises(InvalidProblem, match="request_id"):
            client.submit_scenarios(name, file, request_id=request_id, time_limit_s=limit)
    with pytest.raises(InvalidProblem, match="is the name of a run"):
        client.submit_scenarios("some.csv", SMALL, run_id=run.run_id)
    assert sum(each.request_id == request_id for each in client.list_runs()) == 1
    twice = uuid.uuid4().hex
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(client.submit_scenarios("some.csv", SMALL, request_id=twice).run_id)
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_pages(runs: Running, client: Client) -> None:
    """Tests pages of every size to the end, tokens that hold, and tokens that are none."""
    run = client.submit_scenarios("some.csv", SMALL)
    *_, last = client.watch_run(run.run_id)
    assert (last.state, last.done, last.total, last.failed) == ("finished", 41, 41, 1)
    with stub(runs) as calls:
        for size in (1, 7, 41, 42, 1000):
            token, places, tokens = None, [], []
            while True:
                request = api.ListRunResultsRequest(run_id=run.run_id, page_size=size, page_token=token)
                page = calls.ListRunResults(request)
                places += [result.position for result in page.results]
                assert len(page.results) <= size
                if not page.HasField("next_page_token"):
                    break
                token = page.next_page_token
                tokens.append((token, places[-1]))
            assert places == list(range(1, 42))
            for token, place in tokens:
                page = calls.ListRunResults(api.ListRunResultsRequest(run_id=run.run_id, page_token=token))
                assert [result.position for result in page.results] == list(range(place + 1, 42))
        bad = calls.ListRunResults(api.ListRunResultsRequest(run_id=run.run_id, after_position=40)).results[0]
        assert bad.status == api.SCENARIO_STATUS_FAILED
        assert "limits.budget_cny" in bad.error
        assert not bad.HasField("answer_json")
        other = client.submit_scenarios("some.csv", SMALL).run_id
        for fields in (
            {"page_size": 0}, {"page_size": 1001}, {"page_token": "x"}, {"page_token": "W10"}, {"page_token": "é"},
            {"page_token": "[" * 9999}, {"after_position": -1}, {"after_position": 1, "page_token": "W10"},
        ):  # fmt: skip
            with pytest.raises(grpc.RpcError) as caught:
                calls.ListRunResults(api.ListRunResultsRequest(run_id=run.run_id, **fields))
            assert violation(caught.value)[0] == "INVALID_ARGUMENT"
            assert next(iter(fields)) in violation(caught.value)[1]
        token = calls.ListRunResults(api.ListRunResultsRequest(run_id=run.run_id, page_size=1)).next_page_token
        with pytest.raises(grpc.RpcError) as caught:
            calls.ListRunResults(api.ListRunResultsRequest(run_id=other, page_token=token))
        assert "page_token" in violation(caught.value)[1]


def test_no_such_run(runs: Running, client: Client) -> None:
    """Tests that every call says which run there is not, and offers the nearest."""
    client.submit_scenarios("some.csv", SMALL, run_id="the-plan")
    with stub(runs) as calls:
        asked: list[Any] = [
            lambda: calls.GetRun(api.GetRunRequest(run_id="the-plam")),
            lambda: list(calls.WatchRun(api.WatchRunRequest(run_id="the-plam"))),
            lambda: calls.ListRunResults(api.ListRunResultsRequest(run_id="the-plam")),
            lambda: calls.CancelRun(api.CancelRunRequest(run_id="the-plam")),
        ]
        for call in asked:
            with pytest.raises(grpc.RpcError) as caught:
                call()
            code, message = violation(caught.value)
            assert code == "NOT_FOUND"
            assert 'run_id = "the-plam"' in message
            assert "did you mean the-plan?" in message
        with pytest.raises(grpc.RpcError) as caught:
            calls.CancelRun(api.CancelRunRequest())
        assert "run_id: is required" in violation(caught.value)[1]
        with pytest.raises(grpc.RpcError) as caught:
            calls.CancelRun(api.CancelRunRequest(run_id="x" * 2000))
        assert violation(caught.value)[0] == "INVALID_ARGUMENT"
    with pytest.raises(UnknownName):
        client.get_run("nothing-like-it")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"request_id": ""}, "request_id: is required"),
        ({"request_id": "a b"}, "must be 1 to 64 letters"),
        ({"request_id": "x" * 65}, "must be 1 to 64 letters"),
        ({"run_id": "../x"}, "must be 1 to 80 letters"),
        ({"file_name": ""}, "file_name: is required"),
        ({"file_name": "plan.exe"}, "must end in .yaml"),
        ({"file_name": "../plan.yaml"}, "without a folder"),
        ({"file": b""}, "file: is required"),
        ({"file": b"\x00\x01"}, "plan.yaml"),
        ({"file": b"&a [*a]"}, "plan.yaml"),
        ({"file": b"[" * 100_000}, "plan.yaml"),
        ({"file": b"base: {file: /etc/passwd}\nscenarios: [{name: a}]"}, "must name a file in the folder"),
        ({"file": b"base: {goal: best}\nscenarios: [{name: a}]"}, "goal"),
        ({"file": b"base: {workload: nix}\nscenarios: [{name: a}]"}, "nix"),
        (
            {"file": b"sweeps: [{grid: {limits.budget_cny: {from: 1, to: 9000000, step: 1}}}]"},
            "at most 50,000 scenarios",
        ),
        ({"file": b"#" * (9 * 2**20)}, "the most is 8,388,608"),
        ({"file": b"PK\x03\x04", "file_name": "plan.xlsx"}, "plan.xlsx"),
        ({"options": api.RunOptions(time_limit_s=0)}, "options.time_limit_s"),
        ({"options": api.RunOptions(time_limit_s=float("nan"))}, "options.time_limit_s"),
    ],
)
def test_hostile_and_faulty_files(runs: Running, fields: dict[str, Any], said: str) -> None:
    """Tests that what is wrong as a whole is refused in one line, registers nothing, and harms nobody."""
    request = api.SubmitScenariosRequest(
        **{"request_id": uuid.uuid4().hex, "file_name": "plan.yaml", "file": b"scenarios: [{name: a}]", **fields}
    )
    with stub(runs) as calls:
        before = len(calls.ListRuns(api.ListRunsRequest(page_size=1000)).runs)
        with pytest.raises(grpc.RpcError) as caught:
            calls.SubmitScenarios(request, timeout=60)
        assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
        assert said in violation(caught.value)[1]
        assert len(calls.ListRuns(api.ListRunsRequest(page_size=1000)).runs) == before


def test_faults_of_the_base(client: Client) -> None:
    """Tests that a fault of a base that is sent names its path."""
    with pytest.raises(InvalidProblem, match=re.escape("base.limits.budget_cny")):
        client.submit_scenarios("some.csv", SMALL, base={"limits": {"budget_cny": -1}})
    with pytest.raises(InvalidProblem, match=re.escape("base.catalog_id")):
        client.submit_scenarios("some.csv", SMALL, base={"catalog_id": "nix"})


def test_cancel(client: Client) -> None:
    """Tests that nothing is added after a cancel, that what was there stays, and that it cannot be undone."""
    run = client.submit_scenarios("draws.yaml", SLOW)
    wait_until(lambda: client.get_run(run.run_id).done > 100, 30)
    ended = client.cancel_run(run.run_id)
    assert ended.state == "cancelled"
    assert ended.ended_at is not None
    time.sleep(0.5)
    assert client.get_run(run.run_id) == client.cancel_run(run.run_id) == ended
    *_, last = client.watch_run(run.run_id)
    assert (last.state, last.done) == ("cancelled", ended.done)
    places: list[int] = []
    over = False
    while not over:
        rows, over = client.run_results(run.run_id, places[-1] if places else 0)
        places += [row.position for row in rows]
    assert len(places) == ended.done
    assert places == sorted(set(places))
    finished = client.submit_scenarios("some.csv", SMALL)
    list(client.watch_run(finished.run_id))
    assert client.cancel_run(finished.run_id).state == "finished"


def test_quotas_and_callers(tmp_path: Path) -> None:
    """Tests how many open runs a caller has, how many runs the store, and that tokens tell callers apart."""
    tokens = tmp_path / "tokens"
    tokens.write_text("first-token-of-sixteen\nsecond-token-of-sixteen\n")
    tokens.chmod(0o600)
    options = ("--workers", "1", "--run-store", str(tmp_path / "r.sqlite"), "--token-file", str(tokens))
    with running(*options, "--max-open-runs", "2", "--max-kept-runs", "4") as server:
        first = Client(server.address, token="first-token-of-sixteen")
        second = Client(server.address, token="second-token-of-sixteen")
        with first, second:
            mine = [first.submit_scenarios("draws.yaml", SLOW) for _ in range(2)]
            with pytest.raises(ServerUnavailable, match="open runs of a caller: 2 is the most"):
                first.submit_scenarios("draws.yaml", SLOW)
            theirs = second.submit_scenarios("some.csv", SMALL)
            assert mine[0].requested_by == mine[1].requested_by != theirs.requested_by
            assert re.fullmatch(r"token-[0-9a-f]{12}", theirs.requested_by)
            first.cancel_run(mine[0].run_id)
            first.submit_scenarios("some.csv", SMALL)
            with pytest.raises(ServerUnavailable, match="kept runs: 4 is the most"):
                second.submit_scenarios("some.csv", SMALL)
            assert second.get_run(mine[1].run_id).requested_by == mine[1].requested_by
            first.cancel_run(mine[1].run_id)
        assert "token-of-sixteen" not in "".join(server.raw)


def test_without_a_store(server: Running) -> None:
    """Tests that a server that keeps no runs says so in every call, and how it would."""
    with stub(server) as calls, Client(server.address) as client:
        with pytest.raises(grpc.RpcError) as caught:
            calls.ListRuns(api.ListRunsRequest())
        code, message = violation(caught.value)
        assert code == "FAILED_PRECONDITION"
        assert message.startswith("NO_RUN_STORE")
        assert "--run-store" in message
        with pytest.raises(ServerUnavailable, match="--run-store"):
            client.submit_scenarios("some.csv", SMALL)


def test_watchers(tmp_path: Path) -> None:
    """Tests that watchers are bounded, and that one who leaves makes room."""
    options = ("--workers", "1", "--run-store", str(tmp_path / "r.sqlite"), "--max-watchers", "2")
    with running(*options) as server, stub(server) as calls:
        request = api.SubmitScenariosRequest(request_id="r", file_name="draws.yaml", file=SLOW)
        asked = api.WatchRunRequest(run_id=calls.SubmitScenarios(request).run.run_id)
        watches = [calls.WatchRun(asked) for _ in range(2)]
        for watch in watches:
            next(watch)
        with pytest.raises(grpc.RpcError) as caught:
            next(calls.WatchRun(asked))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()

        def room() -> bool:
            with contextlib.suppress(grpc.RpcError):
                return next(calls.WatchRun(asked)).HasField("run")
            return False

        wait_until(room, 5)
        calls.CancelRun(api.CancelRunRequest(run_id=asked.run_id))


def test_health_and_reflection(runs: Running) -> None:
    """Tests that the service is healthy by its name where runs are kept."""
    with grpc.insecure_channel(runs.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service="solver.api.v1.RunService")
        assert health.Check(asked).status == health_pb2.HealthCheckResponse.SERVING


def test_single_questions_do_not_starve(runs: Running, client: Client) -> None:
    """Tests that questions are answered while a large run goes on, and the run goes on while questions are asked.

    The bench `server-runs` measures how soon; here only that neither waits for the other.
    """
    run = client.submit_scenarios("draws.yaml", SLOW)
    wait_until(lambda: client.get_run(run.run_id).done > 100, 30)
    before = client.get_run(run.run_id).done
    with runs.stub() as questions:
        began = time.monotonic()
        for _ in range(100):
            assert questions.Optimize(budget(), timeout=10).result.plan.total_batch == 26
        assert time.monotonic() - began < 10
    during = client.get_run(run.run_id)
    assert during.state == "running"
    assert during.done > before
    client.cancel_run(run.run_id)


# The command line ----------------------------------------------------------------------------------------------------


def test_command_line(runs: Running, run_cli: RunCli, tmp_path: Path) -> None:
    """Tests run, resume elsewhere, show, status, list, cancel, and what goes with a server."""
    file = tmp_path / "some.csv"
    file.write_bytes(SMALL)
    at = ("--server", runs.address, "whatif")
    ran = run_cli(*at, "run", file, "--run-id", "cli", "-o", tmp_path / "there.csv")
    assert ran.code == 6, ran.err  # one scenario is none
    assert "41 of 41 scenarios" in ran.out
    assert run_cli("whatif", "run", file, "-q", "-o", tmp_path / "here.csv").code == 6
    assert stripped(tmp_path / "here.csv") == stripped(tmp_path / "there.csv")
    elsewhere = tmp_path / "elsewhere.sqlite"
    again = run_cli(*at, "resume", "cli", "--store", elsewhere, "-o", tmp_path / "again.csv", "-q")
    assert again.code == 6
    assert stripped(tmp_path / "again.csv") == stripped(tmp_path / "there.csv")
    assert run_cli("whatif", "replay", "cli", "--store", elsewhere, "--every", "10").code == 0
    assert run_cli(*at, "show", "cli", "s3", "--format", "json").json["status"] == "optimal"
    status = run_cli(*at, "status", "cli", "--format", "json").json
    assert (status["state"], status["done"], status["failed"]) == ("finished", 41, 1)
    assert "cli" in [run["run"] for run in run_cli(*at, "list", "--format", "json").json]
    assert "is over already: finished" in run_cli(*at, "cancel", "cli").out
    for arguments, said in (
        (("whatif", "cancel", "cli"), "name it with --server"),
        ((*at, "diff", "a", "b"), "does not go with whatif diff"),
        ((*at, "run", file, "--jobs", "2"), "--jobs does not go with --server"),
        ((*at, "run", file, "--run-id", "cli"), "is the name of a run of this server already"),
        ((*at, "resume", "clj"), "did you mean"),
        ((*at, "run", file, "--patience", "-1"), "--patience"),
    ):
        refused = run_cli(*arguments)
        assert refused.code == 2
        assert said in refused.err
        assert "Traceback" not in refused.err
    other = tmp_path / "other.csv"
    other.write_text("name,goal\nx,cost\n")
    assert run_cli("whatif", "run", other, "--run-id", "cli", "--store", tmp_path / "o.sqlite", "-q").code == 0
    clash = run_cli(*at, "resume", "cli", "--store", tmp_path / "o.sqlite")
    assert clash.code == 2
    assert "another run of this name" in clash.err


def test_ctrl_c_leaves_the_run_going(runs: Running, client: Client, tmp_path: Path) -> None:
    """Tests that Ctrl-C ends the command with the way back, keeps what was fetched, and that the run goes on."""
    file = tmp_path / "draws.yaml"
    file.write_bytes(SLOW)
    store = tmp_path / "own.sqlite"
    command = [sys.executable, "-c", "from solver.cli import main; main()", "--server", runs.address, "whatif"]
    begun = [*command, "run", str(file), "--run-id", "left", "--store", str(store), "-q"]
    process = subprocess.Popen(begun, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def stored() -> int:
        if not store.exists():
            return 0
        with contextlib.suppress(Exception), Store(store) as opened:
            return opened.counts(opened.run("left")).done
        return 0

    wait_until(lambda: stored() > 200, 30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the run goes on at the server" in err
    assert f"whatif resume left --store {store}" in err
    assert "whatif cancel left" in err
    kept, before = stored(), client.get_run("left").done
    assert kept > 200
    wait_until(lambda: client.get_run("left").done > before + 100, 30)
    ended = client.cancel_run("left")
    back = subprocess.run(
        [*command, "resume", "left", "--store", str(store), "-q"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert back.returncode == 6
    assert "it was cancelled" in back.stderr
    assert stored() == ended.done


def test_a_server_that_is_away_for_a_while(tmp_path: Path) -> None:
    """Tests that following outlives kill -9 and restart of the server on the same address, and ends with all rows."""
    file = tmp_path / "draws.yaml"
    file.write_bytes(SLOW.replace(b"30000", b"5000"))
    options = ("--workers", "2", "--run-store", str(tmp_path / "runs.sqlite"))
    with running(*options) as server, Client(server.address) as client:
        run = client.submit_scenarios(file.name, file.read_bytes())
        found: list[list[dict[str, Any]]] = []
        follower = threading.Thread(target=lambda: found.append(fetched(tmp_path, client, run.run_id)))
        follower.start()
        wait_until(lambda: client.get_run(run.run_id).done > 300, 30)
        server.kill()
        time.sleep(1.0)
        with running(*options, "--listen", server.address):
            follower.join(60)
            assert not follower.is_alive()
    assert found == [rows_here(tmp_path, file)]
