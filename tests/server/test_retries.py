"""The Python client against servers that fail: what is asked again, how often, and a deadline on every call."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import pytest

from solver.api.v1 import optimizer_service_pb2, run_service_pb2
from solver.client import Client
from solver.domain.errors import ServerUnavailable, SolverFailure
from tests.server.running import Running

TIMEOUT_S = 25.0


class _Failing(grpc.GenericRpcHandler):
    """Ends the first calls of each method with a code, and all later ones with an empty answer.

    Empty bytes stand for any response message; `deadlines` has the seconds that the calls brought.
    """

    def __init__(self, code: grpc.StatusCode, failures: int) -> None:
        self._code, self._failures = code, failures
        self.calls: Counter[str] = Counter()
        self.deadlines: dict[str, set[float]] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        name = details.method.rpartition("/")[2]

        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            self.calls[name] += 1
            self.deadlines.setdefault(name, set()).add(context.time_remaining())  # some 10^18 where it brought none
            if self.calls[name] <= self._failures:
                context.abort(self._code, "not now")
            return b""

        def answers(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield answer(request, context)

        if name in ("StreamOptimize", "WatchRun"):
            return grpc.unary_stream_rpc_method_handler(answers)
        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def failing(code: grpc.StatusCode, failures: int) -> Iterator[tuple[_Failing, str]]:
    """A server of this process that fails so often, and its address."""
    handler = _Failing(code, failures)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler], options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield handler, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_unavailable_is_asked_again(failures: int) -> None:
    """Tests that a server that says UNAVAILABLE up to three times is asked once more each time, of either service."""
    with failing(grpc.StatusCode.UNAVAILABLE, failures) as (server, address), Client(address) as client:
        assert client.list_workloads() == ()
        assert list(client.list_runs()) == []
    assert server.calls == {"ListWorkloads": failures + 1, "ListRuns": failures + 1}


def test_unavailable_for_good_is_told() -> None:
    """Tests that the fourth UNAVAILABLE is the caller's."""
    told = pytest.raises(ServerUnavailable, match="not now")
    with failing(grpc.StatusCode.UNAVAILABLE, 100) as (server, address), Client(address) as client, told:
        client.list_workloads()
    assert server.calls == {"ListWorkloads": 4}


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED]
)
def test_other_codes_are_not_asked_again(code: grpc.StatusCode) -> None:
    """Tests that what repeating would only make worse is told at once."""
    told = pytest.raises((ServerUnavailable, SolverFailure), match="not now")
    with failing(code, 1) as (server, address), Client(address) as client, told:
        client.list_workloads()
    assert server.calls == {"ListWorkloads": 1}


def test_a_call_that_nobody_cancelled_is_asked_again_once() -> None:
    """Tests CANCELLED as servers that shut down say it at times."""
    for failures, calls in ((1, 2), (5, 2)):
        with failing(grpc.StatusCode.CANCELLED, failures) as (server, address), Client(address) as client:
            if failures == 1:
                assert client.list_workloads() == ()
            else:
                with pytest.raises(ServerUnavailable, match="broke off"):
                    client.list_workloads()
        assert server.calls == {"ListWorkloads": calls}


CALLS: dict[str, Callable[[Client], Any]] = {
    "Optimize": lambda client: client.optimize({}),
    "StreamOptimize": lambda client: list(client.stream_optimize({})),
    "Explain": lambda client: client.explain({}),
    "ComputeFrontier": lambda client: client.frontier({}),
    "CheckPlan": lambda client: client.check({}, "rtx-4090"),
    "ListCards": lambda client: client.list_cards(),
    "ListPlatforms": lambda client: client.list_platforms(),
    "ListWorkloads": lambda client: client.list_workloads(),
    "ValidateProblem": lambda client: client.validate({}),
    "StopSearch": lambda client: _stopped(client),
    "SubmitScenarios": lambda client: client.submit_scenarios("x.csv", b""),
    "GetRun": lambda client: client.get_run("x"),
    "WatchRun": lambda client: list(client.watch_run("x")),
    "ListRuns": lambda client: list(client.list_runs()),
    "ListRunResults": lambda client: client.run_results("x"),
    "CancelRun": lambda client: client.cancel_run("x"),
}


def _stopped(client: Client) -> None:
    stop = threading.Event()
    stop.set()
    client._stop_on(stop, _Done(), "x")


class _Done:
    """A call that has ended."""

    def done(self) -> bool:
        return True

    def cancel(self) -> None:
        pass


def test_calls_are_all_there() -> None:
    """Tests that the test below leaves no call of the API out."""
    described = (
        optimizer_service_pb2.DESCRIPTOR.services_by_name["OptimizerService"],
        run_service_pb2.DESCRIPTOR.services_by_name["RunService"],
    )
    assert set(CALLS) == {method.name for service in described for method in service.methods}


@pytest.mark.parametrize("method", CALLS)
def test_every_call_brings_a_deadline(method: str) -> None:
    """Tests that no call of the client could wait for ever; of a watch, which goes on by itself, no part could."""
    with (
        failing(grpc.StatusCode.INTERNAL, 100) as (server, address),
        Client(address, timeout_s=TIMEOUT_S) as client,
        suppress(SolverFailure),
    ):
        CALLS[method](client)
    (deadline,) = server.deadlines[method]
    assert deadline <= (60.5 if method == "WatchRun" else TIMEOUT_S + 0.5)


# Connections


class _Flaky:
    """A TCP front before a server that breaks the first connections off."""

    def __init__(self, target: str, failures: int) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._failures = (host, int(port)), failures
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._failures:
                self._failures -= 1
                connection.close()
                continue
            onward = socket.create_connection(self._target)
            for source, sink in ((connection, onward), (onward, connection)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()

    def close(self) -> None:
        self._listener.close()


def test_client_retries_what_is_unavailable_for_a_moment(server: Running) -> None:
    """Tests the client's retries: connections that break do not reach the caller."""
    flaky = _Flaky(server.address, 2)
    try:
        with Client(flaky.address, timeout_s=15) as client:
            assert client.optimize({"limits": {"budget_cny": 300_000}}).status == "optimal"
    finally:
        flaky.close()


def test_client_gives_up() -> None:
    """Tests that a server that is not there is told within the deadline."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with Client(address, timeout_s=10) as client, pytest.raises(ServerUnavailable, match="is not available"):
        client.optimize({})
