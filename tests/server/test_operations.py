"""Running the server: settings, draining, TLS, tokens, logs, metrics, health and reflection."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
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

from server.logs import Formatter
from server.settings import is_loopback, read_settings
from solver.api.v1 import result_pb2
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from solver.client import Client
from solver.domain.errors import InvalidProblem, ServerUnavailable
from tests.server.questions import budget, details, slow
from tests.server.running import ROOT, Running, running, wait_until

TOKEN = "correct-horse-battery-staple"


def start_failing(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# Settings


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--workers", "0"], "Error: workers = "),
        (["--listen", "nowhere"], 'Error: listen = "nowhere": must be HOST:PORT'),
        (["--listen", "0.0.0.0:50051"], "is beyond loopback and not encrypted"),
        (["--tls-cert", "x.pem"], "tls_cert and tls_key must be given together"),
        (["--token-file", "/nowhere"], 'Error: token_file = "/nowhere": cannot be read'),
        (["--config", "/nowhere"], 'Error: config = "/nowhere": no such file'),
        (["--catalogs", "lab=/nowhere"], "no such folder"),
        (["--frobnicate"], "frobnicate"),
        (["--max-time-s", "soon"], "max_time_s"),
    ],
)
def test_wrong_settings(arguments: list[str], line: str) -> None:
    """Tests that a wrong setting is one line on stderr and exit code 2."""
    ended = start_failing(*arguments)
    assert ended.returncode == 2
    assert line in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ended.stdout == ""


def test_sources_of_settings(tmp_path: Path) -> None:
    """Tests flags before environment before file before defaults, and that --print-config prints what is in force."""
    file = tmp_path / "server.toml"
    file.write_text("workers = 3\nqueue_length = 5\nmax_time_s = 7.5\n[catalogs]\nlab = 'here'\n")
    ended = start_failing(
        "--workers", "2", "--config", str(file), "--print-config", SOLVER_SERVER_QUEUE_LENGTH="6",
        SOLVER_SERVER_WORKERS="9",
    )  # fmt: skip
    assert ended.returncode == 0
    printed = tomllib.loads(ended.stdout)
    assert (printed["workers"], printed["queue_length"], printed["max_time_s"]) == (2, 6, 7.5)
    assert printed["catalogs"] == {"lab": "here"}
    assert printed["listen"] == "127.0.0.1:50051"
    again = tmp_path / "again.toml"
    again.write_text(ended.stdout)
    assert start_failing("--config", str(again), "--print-config").stdout == ended.stdout


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("localhost:1", True), ("[::1]:1", True), ("0.0.0.0:1", False),
     ("[::]:1", False), ("example.com:1", False), ("192.168.0.1:1", False)],
)  # fmt: skip
def test_loopback(address: str, loopback: bool) -> None:
    """Tests which addresses need TLS or --insecure."""
    assert is_loopback(address) is loopback
    if loopback:
        assert read_settings(["--listen", address]).listen == address
    else:
        with pytest.raises(InvalidProblem, match="beyond loopback"):
            read_settings(["--listen", address])
        assert read_settings(["--listen", address, "--insecure"]).insecure


def test_taken_port() -> None:
    """Tests that a port that is taken is an error in one line, not shared in silence."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = start_failing("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert ended.returncode == 2
    assert "is the port taken?" in ended.stderr


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


def test_metrics() -> None:
    """Tests that every metric is served, and counts."""
    with running("--workers", "1", "--metrics-listen", "127.0.0.1:0") as server:
        with server.stub() as stub:
            stub.Optimize(budget(), timeout=10)
            with pytest.raises(grpc.RpcError):
                stub.Optimize(budget(-1), timeout=10)
            call = stub.Optimize.future(slow(), timeout=30)
            os.kill(server.busy_solver(), signal.SIGKILL)
            server.busy_solver()
            figures = server.metrics()
            call.cancel()
            wait_until(lambda: server.calls() == 0, 5)
        assert figures['solver_requests_total{code="OK",method="Optimize"}'] == 1
        assert figures['solver_requests_total{code="INVALID_ARGUMENT",method="Optimize"}'] == 1
        assert figures['solver_process_deaths_total{cause="signal 9"}'] == 1
        assert figures["solver_retries_total"] == 1
        assert figures["solver_slots"] == figures["solver_slots_in_use"] == 1
        for name in ("queue", "solve", "first_incumbent"):
            assert figures[f"solver_{name}_seconds_count"] >= 1
        assert figures["solver_gap_count"] == 1
        assert figures["solver_gap_sum"] == 0


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
