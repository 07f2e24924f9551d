"""A real server process on a free loopback port, and what tests do to it: read its log, find and kill its solvers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub

ROOT = Path(__file__).resolve().parents[2]
CRASHES = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE)
"""Exit codes of a process whose native code has failed."""


class Running:
    """A server that runs; `log` holds its log lines, parsed."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.log: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(60) or not self.events("listening"):
            self.kill()
            raise RuntimeError("the server does not start: " + "".join(self.raw))
        self.address: str = next(entry["address"] for entry in self.log if entry["event"] == "listening")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw.append(line)
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            self.log.append(entry)
            if entry["event"] == "listening":
                self._listening.set()
        self._listening.set()

    @contextmanager
    def stub(self, **options: Any) -> Iterator[OptimizerServiceStub]:
        """A plain stub: no retries, large messages."""
        settings = [("grpc.enable_retries", 0), ("grpc.max_receive_message_length", 2**26), *options.items()]
        with grpc.insecure_channel(self.address, settings) as channel:
            yield OptimizerServiceStub(channel)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's entries of one kind."""
        return [entry for entry in self.log if entry["event"] == event]

    def metrics(self) -> dict[str, float]:
        """What Prometheus is told, of a server that was started with --metrics-listen."""
        port = self.events("listening")[0]["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}

    def calls(self) -> int:
        """How many calls are being answered or wait, of a server that was started with --metrics-listen."""
        figures = self.metrics()
        return int(figures["solver_slots_in_use"] + figures["solver_queue_length"])

    def parent(self) -> int:
        """The process that forks the solvers."""
        (pid,) = children(self.process.pid)
        return pid

    def solvers(self) -> list[int]:
        """The solver processes."""
        return [pid for parent in children(self.process.pid) for pid in children(parent)]

    def busy_solver(self, within_s: float = 20.0) -> int:
        """The solver process that computes: the first to have used more than it takes a new one to get warm."""
        until = time.monotonic() + within_s
        seen: dict[int, int] = {}
        while time.monotonic() < until:
            for pid in self.solvers():
                ticks = cpu_ticks(pid)
                if ticks > seen.setdefault(pid, ticks) + 5:
                    return pid
            time.sleep(0.01)
        raise AssertionError("no solver computes")

    def rss_kib(self) -> int:
        """Resident memory of the server and all its processes."""
        return sum(resident_kib(pid) for pid in (self.process.pid, *children(self.process.pid), *self.solvers()))

    def stop(self, within_s: float = 10.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError("the server does not stop: " + "".join(self.raw[-20:])) from None
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, if it still runs.

        Raises:
            AssertionError: it had crashed, which a test that expects calls to be cut off would not notice.
        """
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait()
        self._reader.join(5)
        if self.process.stderr is not None and not self._reader.is_alive():
            self.process.stderr.close()
        if code in CRASHES:
            raise AssertionError(f"the server crashed with {signal.Signals(-code).name}: " + "".join(self.raw[-40:]))


@contextmanager
def running(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """A server for the length of a block."""
    server = Running(*arguments, environment=environment)
    try:
        yield server
    finally:
        server.stop() if server.process.poll() is None else server.kill()


def meddling(folder: Path, code: str) -> dict[str, str]:
    """The environment of a server whose every process runs `code` of a test when it starts, before anything else."""
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


def children(parent: int) -> list[int]:
    """Living child processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def cpu_ticks(pid: int) -> int:
    """Processor time used."""
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def resident_kib(pid: int) -> int:
    """Resident memory that is not shared with files."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon:")), 0)


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def wait_until(condition: Callable[[], bool], within_s: float) -> float:
    """Wait for a condition; the seconds it took.

    Raises:
        AssertionError: it did not come true in time.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise AssertionError(f"not within {within_s} s")
        time.sleep(0.005)
    return time.monotonic() - began
