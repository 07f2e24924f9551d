"""Runs on a Dask cluster: the same rows as without, and nothing lost whatever dies. All of it on loopback."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from solver.catalog import default_library
from solver.domain.errors import InvalidProblem, ServerUnavailable
from solver.sweep import cluster, cluster_worker
from solver.sweep.engine import answer_batch
from solver.sweep.executors import run_batches
from solver.sweep.file import read
from solver.sweep.library_text import sha256, text_of
from solver.sweep.run import Settings, execute, register
from solver.sweep.scenario import Batch, Row, Scenario
from solver.sweep.store import Store
from tests.test_sweep_run import INLINE, PRICES, registered, rows
from tests.whatif_equal import scenario_files

pytestmark = pytest.mark.timeout(120)
QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
"""Without an address its server of state listens on all of them."""


@dataclass
class Cluster:
    """A scheduler and workers, each a process of its own."""

    folder: Path
    tls: tuple[str, ...] = ()
    scheme: str = "tcp"
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    def start(self, workers: int, port: int = 0) -> Cluster:
        """Begin the scheduler, then the workers."""
        with (self.folder / "scheduler.log").open("wb") as log:
            self.scheduler = self._begin(
                ["dask_scheduler", "--host", f"{self.scheme}://127.0.0.1", "--port", str(port), *QUIET], log
            )
        for _ in range(300):
            text = (self.folder / "scheduler.log").read_text()
            if "Scheduler at:" in text:
                self.address = text.partition("Scheduler at:")[2].split()[0]
                break
            time.sleep(0.1)
        assert self.address, text
        for _ in range(workers):
            self.worker()
        return self

    def worker(self) -> subprocess.Popen[bytes]:
        """One worker more, with a nanny that begins it again."""
        listen = ["--host", f"{self.scheme}://127.0.0.1"] if self.scheme == "tls" else ["--host", "127.0.0.1"]
        more = ["--nthreads", "1", *QUIET, "--local-directory", str(self.folder)]
        return self._begin(["dask_worker", self.address, *listen, *more], subprocess.DEVNULL)

    def _begin(self, command: list[str], err: object) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command[0]}", *command[1:], *self.tls],
            stderr=err,  # type: ignore[call-overload]
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End all of it, by the sessions it began."""
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def begin(workers: int = 2, tls: tuple[str, ...] = (), scheme: str = "tcp") -> Cluster:
        folder = tmp_path / f"cluster-{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, tls, scheme))
        return made[-1].start(workers)

    yield begin
    for each in made:
        each.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite") as opened:
        yield opened


def on(address: str) -> Settings:
    return Settings(executor="dask", cluster={"scheduler": address})


def test_every_example_has_the_same_rows_on_a_cluster(store: Store, begun: Callable[..., Cluster]) -> None:
    there = on(begun().address)
    for path in scenario_files():
        file, data = read(path)
        if file.total > 1000:
            continue  # all of it in `make whatif-cluster`
        found = []
        for name, settings in (("inline", INLINE), ("local", Settings(jobs=2)), ("dask", there)):
            run = register(store, f"{path.stem}-{name}", file, data, default_library(), settings)
            execute(store, run, settings)
            found.append(rows(store, run))
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == file.total


def test_a_cluster_of_its_own_on_this_machine(store: Store) -> None:
    alone, mine = registered(store, run_id="inline"), registered(store, run_id="dask")
    execute(store, alone, INLINE)
    execute(store, mine, Settings(executor="dask", jobs=2))
    assert rows(store, mine) == rows(store, alone)


def test_a_cluster_of_its_own_listens_on_loopback_only_and_needs_no_port_of_its_choice() -> None:
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # somebody else's is as good
            other.bind(("127.0.0.1", 8787))
            other.listen()
        executor = cluster.DaskExecutor(1)
        try:
            me = psutil.Process()
            ports = [c for p in (me, *me.children(recursive=True)) for c in p.net_connections() if c.status == "LISTEN"]
        finally:
            executor.shutdown()
    assert len(ports) >= 4
    assert {port.laddr.ip for port in ports} == {"127.0.0.1"}


BATCHES = [tuple(Scenario(first + at, f"s{first + at}", {}) for at in range(5)) for first in range(1, 41, 5)]


def poisoned(batch: Batch) -> list[Row]:
    if any(scenario.position == 13 for scenario in batch.scenarios):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer_batch(batch)


def slow(batch: Batch) -> list[Row]:
    time.sleep(30 if any(scenario.position == 13 for scenario in batch.scenarios) else 0)
    return answer_batch(batch)


def batches() -> Iterator[Batch]:
    whole = Batch(text_of(default_library()), "{}", ())
    return (whole.part(scenarios) for scenarios in BATCHES)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [poisoned, slow])
def test_a_scenario_that_kills_or_holds_its_worker_fails_alone(answer: Callable[[Batch], list[Row]]) -> None:
    executor = cluster.DaskExecutor(2)
    try:
        limit = (lambda _batch: 1.0) if answer is slow else (lambda _batch: None)
        found = [row for done in run_batches(executor, answer, batches(), 5, limit) for row in done]
    finally:
        executor.shutdown()
    assert sorted(row.position for row in found) == list(range(1, 41))
    assert [row.position for row in found if row.status == "failed"] == [13]


def test_workers_killed_cost_nothing(store: Store, begun: Callable[..., Cluster]) -> None:
    made = begun()
    alone, killed = registered(store, run_id="inline"), registered(store, run_id="killed")
    execute(store, alone, INLINE)
    struck: list[int] = []

    def strike(_progress: object) -> None:
        if not struck:
            os.killpg(made.processes[-1].pid, signal.SIGKILL)  # nanny and worker
            struck.append(1)
            made.worker()

    execute(store, killed, on(made.address), strike)
    assert struck
    assert rows(store, killed) == rows(store, alone)


def test_a_scheduler_that_dies_is_told_and_resume_finishes(
    store: Store, begun: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 2.0)
    made = begun()
    alone, run = registered(store, run_id="inline"), registered(store, run_id="cut")
    execute(store, alone, INLINE)

    def strike(_progress: object) -> None:
        made.scheduler.kill()

    with pytest.raises(ServerUnavailable, match="no Dask scheduler answers at tcp://127"):
        execute(store, run, on(made.address), strike, sluggish)
    done = store.counts(run).done
    assert 0 < done < run.total
    execute(store, store.run("cut"), INLINE)
    assert rows(store, run) == rows(store, alone)


def test_what_dask_says_of_a_lost_scheduler_stays_off_the_screen(begun: Callable[..., Cluster]) -> None:
    made = begun(1)
    code = (
        "import sys, time\nfrom solver.domain.errors import ServerUnavailable\nfrom solver.sweep import cluster\n"
        "cluster.CONNECT_S = 1.5\nexecutor = cluster.DaskExecutor(1, sys.argv[1])\nprint(flush=True)\ninput()\n"
        "while not executor.broken: time.sleep(0.05)\n"
        "time.sleep(1)\n"
        "try: executor.renew()\n"
        "except ServerUnavailable as error: print(error)"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, made.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    client.stdout.readline()
    made.scheduler.kill()
    out, err = client.communicate("\n", timeout=60)
    assert out.startswith("no Dask scheduler answers at tcp://127")
    assert err == ""


def sluggish(batch: Batch) -> list[Row]:
    time.sleep(0.6)
    return answer_batch(batch)


def test_a_client_that_is_killed_resumes(store: Store, begun: Callable[..., Cluster], tmp_path: Path) -> None:
    made = begun()
    file = tmp_path / "plan.yaml"
    file.write_bytes(PRICES.replace(b"draws: 150", b"draws: 1500"))
    whatif = [sys.executable, "-c", "from solver.cli import main; main()", "whatif"]
    where = ["--scheduler", made.address, "--store", str(store.path), "-q"]
    process = subprocess.Popen([*whatif, "run", str(file), "--run-id", "k", *where])
    while process.poll() is None:
        if store.query("SELECT count(*) FROM result")[0][0]:
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 0 < store.counts(store.run("k")).done < 3000
    subprocess.run([*whatif, "resume", "k", *where], check=True)
    whole = registered(store, file.read_bytes(), "whole")
    execute(store, whole, INLINE)
    assert rows(store, store.run("k")) == rows(store, whole)


def test_other_versions_on_the_workers_are_an_error_that_names_both(
    store: Store, begun: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(1)
    here = {**cluster_worker.versions(), "ortools": "9.99"}
    monkeypatch.setattr(cluster, "versions", lambda: here)
    with pytest.raises(InvalidProblem, match=r"ortools 9\.99 here, 9\.15.* there"):
        execute(store, registered(store), on(made.address))


def test_another_catalogue_on_a_worker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    library = text_of(default_library())
    digest = sha256(library)
    monkeypatch.setitem(cluster_worker._libraries, digest, library + b" ")
    with pytest.raises(cluster_worker.Mismatch, match=f"catalogue {digest[:12]} here"):
        cluster_worker.answer_on_worker(
            answer_batch, Batch(b"", "{}", BATCHES[0]), digest, cluster_worker.versions(), None
        )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scheduler": "127.0.0.1:8786"}, "must be tcp://host:port or tls://host:port"),
        ({"scheduler": "http://a:1"}, "must be tcp://host:port or tls://host:port"),
        ({"scheduler": "tls://a:1"}, "--tls-ca: is needed for tls://"),
        ({"scheduler": "tcp://a:1", "tls_ca": "x"}, "takes TLS files only with tls://host:port"),
    ],
)
def test_an_address_that_is_none(options: dict[str, str], told: str) -> None:
    given = {"scheduler": "", "tls_ca": "", "tls_cert": "", "tls_key": "", **options}
    with pytest.raises(InvalidProblem, match=told):
        cluster.check_cluster(**given)


def test_nobody_at_the_address(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 1.0)
    with pytest.raises(ServerUnavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        execute(store, registered(store), on("tcp://127.0.0.1:9"))


class _Silent:
    """A client of a cluster with a worker that does not answer the first times it is asked."""

    status = "running"

    def __init__(self, times: int) -> None:
        self.left = times

    def run(self, *_: object) -> None:
        if self.left:
            self.left -= 1
            raise OSError("Timed out trying to connect")


def test_a_silent_worker_is_waited_for_until_it_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a worker that fell silent costs time, not the run; and for ever silent, one clear error."""
    monkeypatch.setattr("solver.sweep.cluster.time.sleep", lambda _s: None)
    made = object.__new__(cluster.DaskExecutor)
    made._scheduler, made._sent = "tcp://10.0.0.1:8786", {}
    made._prepare(_Silent(3))
    monkeypatch.setattr(cluster, "ALONE_S", -1.0)
    with pytest.raises(ServerUnavailable, match=r"a worker of tcp://10\.0\.0\.1:8786 does not answer: Timed out"):
        made._prepare(_Silent(10**9))


def test_an_error_is_never_its_own_cause() -> None:
    """Tests what is raised of an error that is nothing of ours: itself, in a chain that ends."""
    error = OSError("x")
    with pytest.raises(OSError, match="x") as caught:
        cluster._raise_told(error, "")
    assert caught.value is error
    assert caught.value.__cause__ is None


def certificates(folder: Path) -> tuple[str, str, str]:
    """A self-signed certificate for 127.0.0.1 that is its own authority: CA, certificate and key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(cert), str(cert), str(secret)


def test_tls_lets_in_those_with_a_certificate_only(
    store: Store, begun: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, cert, key = certificates(tmp_path)
    made = begun(1, ("--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key), "tls")
    assert made.address.startswith("tls://")
    run = registered(store)
    files = {"tls_ca": ca, "tls_cert": cert, "tls_key": key}
    execute(store, run, Settings(executor="dask", cluster={"scheduler": made.address, **files}))
    assert store.counts(run).done == run.total
    monkeypatch.setattr(cluster, "CONNECT_S", 3.0)
    other = tmp_path / "other"
    other.mkdir()
    stranger = dict(zip(files, certificates(other), strict=True))
    with pytest.raises(ServerUnavailable):
        cluster.DaskExecutor(1, made.address, **stranger)
    with pytest.raises(ServerUnavailable):
        cluster.DaskExecutor(1, made.address.replace("tls://", "tcp://"))
