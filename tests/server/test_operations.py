"""Running the server: draining, TLS, tokens, logs, metrics, health and reflection."""

from __future__ import annotations

import datetime
import hmac
import ipaddress
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from server.auth import TokenCheck
from server.logs import Formatter
from server.metrics import Metrics
from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from solver.client import Client
from solver.domain.errors import InvalidProblem, ServerUnavailable
from tests.server.questions import budget, details, slow
from tests.server.running import ROOT, Running, running, wait_until
from tests.server.stalling import stalling

TOKEN = "correct-horse-battery-staple"


# Draining


def test_idle_server_exits_within_two_seconds() -> None:
    """Tests the exit of a server without calls."""
    with running("--workers", "1") as server:
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 2
        assert [e["event"] for e in server.log][-2:] == ["draining", "stopped"]


def test_drain() -> None:
    """Tests that SIGTERM lets running calls end, refuses new ones as UNAVAILABLE, and tells health watchers."""
    with running("--workers", "1") as server, server.stub() as stub:
        with grpc.insecure_channel(server.address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            watched = health.Watch(health_pb2.HealthCheckRequest(service="solver.api.v1.OptimizerService"), timeout=30)
            assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
            call = stub.Optimize.future(slow(15, 10), timeout=30)
            server.busy_solver()
            server.process.send_signal(signal.SIGTERM)
            assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.RpcError) as caught:
                stub.Optimize(budget(), timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "RetryInfo" in details(caught.value)
            assert call.result().result.status == result_pb2.STATUS_OPTIMAL
            watched.cancel()
        assert server.process.wait(5) == 0


def test_drain_has_an_end() -> None:
    """Tests that calls still running after drain_s are ended, and their solvers with them."""
    with running("--workers", "1", "--drain-s", "0.3") as server, server.stub() as stub:
        call = stub.Optimize.future(slow(), timeout=30)
        server.busy_solver()
        assert server.stop(4) == 0
        with pytest.raises(grpc.RpcError) as caught:
            call.result()
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


# TLS and tokens


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(key if issuer is None else issuer[1], hashes.SHA256())
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of two authorities (ca, other) and of a server and a client signed by `ca`, a client signed by `other`."""
    folder = tmp_path_factory.mktemp("pki")
    authorities = {}
    for name in ("ca", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, None)
        authorities[name] = (certificate, key)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, authorities[authority])
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(_pem(key))
    token = folder / "tokens"
    token.write_text(f"# who may ask\n{TOKEN}\nanother-token-0123456789\n")
    token.chmod(0o600)
    return folder


def test_tls_and_tokens(pki: Path) -> None:
    """Tests right and wrong certificates and tokens, for calls, streams, reflection and health."""
    with running(
        "--workers", "1", "--tls-cert", str(pki / "server.pem"), "--tls-key", str(pki / "server.key"),
        "--token-file", str(pki / "tokens"),
    ) as server:  # fmt: skip
        with Client(server.address, tls_ca=pki / "ca.pem", token=TOKEN) as client:
            assert client.optimize({}).status == "optimal"
            assert list(client.stream_optimize({}))[-1].status == "optimal"  # type: ignore[union-attr]
        for token in (None, "wrong-token-0123456789", TOKEN[:-1], TOKEN + "x", ""):
            with Client(server.address, tls_ca=pki / "ca.pem", token=token) as client:
                with pytest.raises(ServerUnavailable, match="does not let us in"):
                    client.optimize({})
                with pytest.raises(ServerUnavailable, match="does not let us in"):
                    list(client.stream_optimize({}))
        with Client(server.address, token=TOKEN, timeout_s=3) as client, pytest.raises(ServerUnavailable):
            client.optimize({})  # not encrypted
        for authority in (pki / "other.pem", None):
            client = Client(server.address, token=TOKEN, timeout_s=3, tls_ca=authority)
            with client, pytest.raises(ServerUnavailable):
                client.optimize({})
        credentials = grpc.ssl_channel_credentials((pki / "ca.pem").read_bytes())
        elsewhere = [("grpc.ssl_target_name_override", "elsewhere.example"), ("grpc.enable_retries", 0)]
        bearer = (("authorization", f"Bearer {TOKEN}"),)
        with grpc.secure_channel(server.address, credentials, elsewhere) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                OptimizerServiceStub(channel).Optimize(budget(), timeout=3, metadata=bearer)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # a certificate for another name
        with grpc.secure_channel(server.address, credentials) as channel:
            stub = OptimizerServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Optimize(budget(), timeout=5)
            assert details(caught.value)["ErrorInfo"].reason == "TOKEN"
            request = budget()
            request.problem.workload_id = TOKEN  # what a careless caller writes where
            with pytest.raises(grpc.RpcError):
                stub.Optimize(request, timeout=5, metadata=(*bearer, ("x-request-id", TOKEN)))
            wait_until(lambda: any("[redacted]" in line for line in server.raw), 5)
            health: Any = health_pb2_grpc.HealthStub(channel)
            assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
            reflect: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            with pytest.raises(grpc.RpcError) as caught:
                list(reflect.ServerReflectionInfo(iter([asked]), timeout=5))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not any(TOKEN in line for line in server.raw)


def test_mutual_tls(pki: Path) -> None:
    """Tests that a server that asks for client certificates lets in only those of its authority."""
    with running(
        "--workers", "1", "--tls-cert", str(pki / "server.pem"), "--tls-key", str(pki / "server.key"),
        "--tls-client-ca", str(pki / "ca.pem"),
    ) as server:  # fmt: skip

        def ask(name: str | None) -> str:
            cert, key = (None, None) if name is None else (pki / f"{name}.pem", pki / f"{name}.key")
            with Client(server.address, tls_ca=pki / "ca.pem", tls_cert=cert, tls_key=key, timeout_s=3) as client:
                return client.optimize({}).status

        assert ask("client") == "optimal"
        for name in ("stranger", None):
            with pytest.raises(ServerUnavailable):
                ask(name)


@pytest.mark.parametrize(
    ("text", "mode", "fault"),
    [
        (TOKEN, 0o644, "readable by its owner only"),
        ("short", 0o600, "at least 16 ASCII characters"),
        ("# nobody\n", 0o600, "at least one token"),
    ],
)
def test_token_files(tmp_path: Path, text: str, mode: int, fault: str) -> None:
    """Tests that a token file that others may read, or without a good token, is refused."""
    from server.auth import read_tokens

    file = tmp_path / "tokens"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(InvalidProblem, match=fault):
        read_tokens(file)


@pytest.mark.parametrize("right", [0, 1, 2, None])
def test_tokens_are_compared_in_constant_time(right: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that all tokens are compared, whichever is right, by digests of one length."""
    tokens = ("a" * 16, TOKEN, "b" * 400)
    compared: list[tuple[int, int]] = []
    equal = hmac.compare_digest

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((len(given), len(known)))
        return equal(given, known)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    check = TokenCheck(tokens, Metrics())
    given = "wrong" if right is None else tokens[right]
    assert check._allowed((("authorization", f"Bearer {given}"),)) is (right is not None)
    assert compared == [(32, 32)] * 3


def test_log_redacts_tokens() -> None:
    """Tests that a token that gets into a log entry is not printed."""
    import logging

    for as_json in (True, False):
        formatter = Formatter(as_json, (TOKEN,))
        record = logging.LogRecord("x", logging.INFO, "", 0, "call", None, None)
        record.fields = {"header": f"Bearer {TOKEN}", "other": f"a {TOKEN} b", "third": "bearer unknown-token"}
        line = formatter.format(record)
        assert TOKEN not in line
        assert "unknown-token" not in line
        assert line.count("[redacted]") == 3


# Watching


def test_logs_have_request_ids(server: Running) -> None:
    """Tests that a caller's request id is logged, comes back with errors, and that a hostile one is replaced."""
    with server.stub() as stub:
        stub.Optimize(budget(), timeout=10, metadata=(("x-request-id", "order-4711"),))
        wait_until(lambda: any(e["request_id"] == "order-4711" for e in server.events("call")), 2)
        entry = next(e for e in server.events("call") if e["request_id"] == "order-4711")
        assert entry["method"] == "Optimize"
        assert entry["code"] == "OK"
        assert entry["ms"] > 0
        with pytest.raises(grpc.RpcError) as caught:
            stub.Optimize(budget(-1), timeout=10, metadata=(("x-request-id", "x" * 99),))
    trailing: Any = caught.value.trailing_metadata()
    given = dict(trailing)["x-request-id"]
    assert len(given) == 32


def test_the_log_is_one_object_a_line(pki: Path) -> None:
    """Tests that each line of the log, from start to end, is a JSON object with time, level and event."""
    with running("--workers", "1", "--log-level", "debug", "--token-file", str(pki / "tokens")) as server:
        with Client(server.address, token=TOKEN) as client:
            client.optimize({})
            with pytest.raises(InvalidProblem):
                client.optimize({"limits": {"budget_cny": -1}})
        os.kill(server.solvers()[0], signal.SIGKILL)
        wait_until(lambda: bool(server.events("solver process died")), 5)
        assert server.stop() == 0
    entries = [json.loads(line) for line in server.raw]
    assert all({"time", "level", "event"} <= set(entry) for entry in entries)
    assert [entry["event"] for entry in entries if entry["event"] != "call"] == [
        "listening", "solver process died", "draining", "stopped",
    ]  # fmt: skip
    calls = [entry for entry in entries if entry["event"] == "call"]
    assert [entry["code"] for entry in calls] == ["OK", "INVALID_ARGUMENT"]
    assert all(datetime.datetime.fromisoformat(entry["time"]).tzinfo for entry in entries)


def test_metrics(tmp_path: Path) -> None:
    """Tests that every metric is served, and moves by what has happened."""
    name = "order-4711"
    with stalling(tmp_path, 2.0) as server, server.stub() as stub:
        still = server.metrics()
        assert still["solver_slots"] == 1
        assert still["solver_processes"] == 2
        moving = ["slots_in_use", "queue_length", "retries_total", "gap_count", "run_process_starts_total"]
        moving += [f"{kind}_seconds_count" for kind in ("queue", "solve", "first_incumbent", "run_batch")]
        assert {still[f"solver_{each}"] for each in moving} == {0}
        stub.Optimize(budget(10), timeout=10)  # infeasible: neither plan nor gap
        with pytest.raises(grpc.RpcError):
            stub.Optimize(budget(-1), timeout=10)
        ended = 'solver_request_seconds_count{method="Optimize"}'
        wait_until(lambda: server.metrics().get(ended) == 2, 5)
        figures = server.metrics()
        assert figures['solver_requests_total{code="OK",method="Optimize"}'] == 1
        assert figures['solver_requests_total{code="INVALID_ARGUMENT",method="Optimize"}'] == 1
        assert figures["solver_queue_seconds_count"] == 2
        assert figures["solver_solve_seconds_count"] == 1
        assert figures["solver_first_incumbent_seconds_count"] == figures["solver_gap_count"] == 0
        stub.Optimize(budget(), timeout=10)  # the best, proved
        figures = server.metrics()
        assert figures["solver_first_incumbent_seconds_count"] == figures["solver_gap_count"] == 1
        assert figures["solver_gap_sum"] == 0
        assert 0 < figures["solver_first_incumbent_seconds_sum"] < figures["solver_solve_seconds_sum"]
        found = len(server.events("found"))
        call = stub.Optimize.future(slow(8, 6), timeout=30, metadata=(("x-request-id", name),))
        wait_until(lambda: len(server.events("found")) > found, 10)
        stub.StopSearch(api.StopSearchRequest(request_id=name), timeout=5)  # not heard: killed, with a gap
        stopped = call.result().result
        assert stopped.status == result_pb2.STATUS_FEASIBLE
        wait_until(lambda: server.metrics()["solver_gap_count"] == 2, 5)
        figures = server.metrics()
        assert figures["solver_gap_sum"] == pytest.approx(stopped.bound / stopped.objective - 1)
        assert figures["solver_gap_sum"] > 0
        assert figures["solver_first_incumbent_seconds_count"] == 2
        assert figures['solver_process_deaths_total{cause="did not stop"}'] == 1
        calls = [stub.Optimize.future(slow(), timeout=30) for _ in range(2)]
        os.kill(server.busy_solver(), signal.SIGKILL)
        wait_until(lambda: server.metrics()["solver_retries_total"] == 1, 5)
        figures = server.metrics()
        assert figures['solver_process_deaths_total{cause="signal 9"}'] == 1
        assert figures["solver_slots_in_use"] == figures["solver_queue_length"] == 1
        for call in calls:
            call.cancel()
        wait_until(lambda: server.calls() == 0, 5)
        wait_until(lambda: server.metrics()['solver_requests_total{code="CANCELLED",method="Optimize"}'] == 2, 5)
        wait_until(lambda: server.metrics()["solver_processes"] == 2, 10)


def test_metrics_of_runs(tmp_path: Path) -> None:
    """Tests that the metrics of runs move."""
    kept = ("--workers", "1", "--metrics-listen", "127.0.0.1:0", "--run-store", str(tmp_path / "runs.sqlite"))
    with running(*kept) as server, Client(server.address) as client:
        run = client.submit_scenarios("one.csv", b"name,limits.budget_cny\none,300000\n")
        wait_until(lambda: client.get_run(run.run_id).state == "finished", 30)
        figures = server.metrics()
        assert figures["solver_run_process_starts_total"] == 1
        assert figures["solver_run_batch_seconds_count"] >= 1


def test_reflection(server: Running) -> None:
    """Tests that clients can ask for the API."""
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = list(stub.ServerReflectionInfo(iter([asked]), timeout=5))
    names = {service.name for service in answer.list_services_response.service}
    assert {"solver.api.v1.OptimizerService", "grpc.health.v1.Health"} <= names


def test_reflection_can_be_switched_off() -> None:
    """Tests that a server need not tell its API."""
    with running("--workers", "1", "--no-reflection") as server, grpc.insecure_channel(server.address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_catalogue_of_its_own(tmp_path: Path) -> None:
    """Tests a server with two catalogues, one asked for by name."""
    folder = tmp_path / "lab"
    folder.mkdir()
    for file in (ROOT / "catalog").glob("*.yaml"):
        text = file.read_text()
        (folder / file.name).write_text(text.replace("unit_price_cny: 27500", "unit_price_cny: 1"))
    with running("--workers", "1", "--catalogs", f"lab={folder}") as server, server.stub() as stub:
        request = budget(60_000)
        default = stub.Optimize(request, timeout=10).result
        request.problem.catalog_id = "lab"
        cheap = stub.Optimize(request, timeout=10).result
    assert cheap.fingerprint.catalog_sha256 != default.fingerprint.catalog_sha256
    assert cheap.plan.card_id == "rtx-a6000"
    assert cheap.plan.total_batch > default.plan.total_batch
