"""Settings: where they come from, which are refused, and that each limit is one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import grpc
import pytest

from server.settings import is_loopback, read_settings
from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.domain.errors import InvalidProblem
from tests.server.questions import asking, budget, slow
from tests.server.running import ROOT, running


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
        (["--metrics-listen", "0.0.0.0:9464"], "metrics_listen = 0.0.0.0:9464 is beyond loopback and not encrypted"),
        (["--tls-client-ca", "x.pem"], "tls_client_ca needs tls_cert and tls_key"),
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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("wrokers = 3\n", "Error: wrokers: "),
        ("workers = 'three'\n", 'Error: workers = "three": '),
        ("workers = 3 4\n", "is not TOML"),
        ("print_config = true\n", "Error: config.print_config: cannot be set in the file"),
    ],
)
def test_wrong_settings_files(tmp_path: Path, text: str, line: str) -> None:
    """Tests that a fault of the file is one line too, also where the environment names the file."""
    file = tmp_path / "server.toml"
    file.write_text(text)
    for ended in (start_failing("--config", str(file)), start_failing(SOLVER_SERVER_CONFIG=str(file))):
        assert ended.returncode == 2
        assert line in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1


def test_wrong_setting_of_the_environment() -> None:
    """Tests that a variable with a wrong value is refused by the setting's name."""
    ended = start_failing(SOLVER_SERVER_MAX_TIME_S="-1")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: max_time_s = ")


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    """Tests SOLVER_SERVER_CONFIG, that --config goes before it, and the console script."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text("workers = 3\n")
    second.write_text("workers = 4\n")
    script = Path(sys.executable).with_name("solver-server")
    environment = {**os.environ, "SOLVER_SERVER_CONFIG": str(first)}
    for flags, workers in (((), 3), (("--config", second), 4)):
        command = [script, *flags, "--print-config"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
        assert tomllib.loads(ended.stdout)["workers"] == workers


def test_unknown_variables_are_told() -> None:
    """Tests that a misspelt variable is named in the log, its value not; and that what Kubernetes sets is not told."""
    strange = {"SOLVER_SERVER_TOKEN_FIEL": "/etc/secret", "SOLVER_SERVER_PORT_50051_TCP": "tcp://10.0.0.1:50051"}
    with running("--workers", "1", environment={**strange, "SOLVER_SERVER_QUEUE_LENGTH": "3"}) as server:
        (warning,) = server.events("no such settings; these variables are ignored")
        assert warning["variables"] == ["SOLVER_SERVER_TOKEN_FIEL"]
        assert not any("/etc/secret" in line for line in server.raw)


def test_printed_settings_hold_no_secret(tmp_path: Path) -> None:
    """Tests that of tokens and keys only the names of their files are printed, also where something is wrong."""
    token, key = "correct-horse-battery-staple", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"
    (tmp_path / "tokens").write_text(token + "\n")
    (tmp_path / "server.key").write_text(key)
    files = {"--token-file": "tokens", "--tls-key": "server.key", "--tls-cert": "server.key"}
    flags = [part for flag, name in files.items() for part in (flag, str(tmp_path / name))]
    (tmp_path / "tokens").chmod(0o600)
    printed = start_failing(*flags, "--print-config", SOLVER_SERVER_TOKEN=token)
    assert printed.returncode == 0
    assert tomllib.loads(printed.stdout)["token_file"] == str(tmp_path / "tokens")
    (tmp_path / "tokens").chmod(0o644)
    refused = start_failing(*flags)
    assert refused.returncode == 2
    for ended in (printed, refused):
        assert token not in ended.stdout + ended.stderr
        assert "c2VjcmV0" not in ended.stdout + ended.stderr


def test_every_limit_is_a_setting() -> None:
    """Tests the limits on messages, catalogues, workers and the queue at values that are not the defaults.

    That on time is in test_limits.py.
    """
    limits = ("--max-message-mib", "1", "--max-catalog-entries", "200", "--max-search-workers", "1")
    with running("--workers", "1", "--queue-length", "0", *limits) as server, server.stub() as stub:

        def refused(request: api.OptimizeRequest) -> tuple[grpc.StatusCode, str]:
            with pytest.raises(grpc.RpcError) as caught:
                stub.Optimize(request, timeout=10)
            return caught.value.code(), str(caught.value.details())

        code, text = refused(asking({"workloadId": "x" * 2**20}))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in text
        code, text = refused(asking({"limits": {"include": ["rtx-4090"] * 201}}))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert text.endswith("ids; the most is 200")
        code, text = refused(budget(workers=2))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert text == "options.workers = 2: must be between 1 and 1"
        assert stub.Optimize(budget(workers=1), timeout=10).result.status == result_pb2.STATUS_OPTIMAL
        holder = stub.Optimize.future(slow(), timeout=30)
        server.busy_solver()
        code, text = refused(budget())
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text.startswith("all solvers are busy and 0 calls wait")
        holder.cancel()
