"""A Dask cluster whose machines are network namespaces: client, scheduler and two workers, each with its own address.

The nearest to several machines that one has: nothing is on loopback, and a cable can be pulled, upon which nobody is
told that a connection has ended. Needs root and iproute2; nothing here leaves the namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from solver.catalog import default_library
from solver.sweep.file import read
from solver.sweep.run import execute, register
from solver.sweep.store import Store
from tests.test_cluster import QUIET
from tests.test_sweep_run import INLINE, PRICES, registered, rows
from tests.whatif_equal import scenario_files

pytestmark = [pytest.mark.extras, pytest.mark.timeout(300)]

MACHINES = ("client", "scheduler", "worker-1", "worker-2")
WHATIF = (sys.executable, "-c", "from solver.cli import main; main()", "whatif")


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Network:
    """Four machines on a switch. The switch is a namespace too, so the network of this machine is left as it is."""

    def __init__(self, folder: Path) -> None:
        """Lay the cables."""
        self.folder, self._began = folder, f"rig{os.getpid()}"
        self._namespaces: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._add("switch")
        ip("-n", self._name("switch"), "link", "add", "bridge", "type", "bridge")
        ip("-n", self._name("switch"), "link", "set", "bridge", "up")
        for number, machine in enumerate(MACHINES, 1):
            self._add(machine)
            there = ("-n", self._name(machine))
            end = ("peer", "name", machine, "netns", self._name("switch"))
            ip(*there, "link", "add", "cable", "type", "veth", *end)
            ip(*there, "addr", "add", f"10.91.7.{number}/24", "dev", "cable")
            ip(*there, "link", "set", "cable", "up")
            ip("-n", self._name("switch"), "link", "set", machine, "master", "bridge", "up")

    def _name(self, machine: str) -> str:
        return f"{self._began}-{machine}"

    def _add(self, machine: str) -> None:
        ip("netns", "add", self._name(machine))
        self._namespaces.append(self._name(machine))
        ip("-n", self._name(machine), "link", "set", "lo", "up")

    @staticmethod
    def address(machine: str) -> str:
        """The address of a machine."""
        return f"10.91.7.{MACHINES.index(machine) + 1}"

    def pull_cable(self, machine: str) -> None:
        """From now on what is sent to and from a machine is lost; no connection is closed."""
        ip("-n", self._name("switch"), "link", "set", machine, "down")

    def bytes_to(self, machine: str) -> int:
        """What the switch has sent to a machine."""
        show = ["ip", "-n", self._name("switch"), "-s", "-j", "link", "show", machine]
        return int(json.loads(subprocess.check_output(show))[0]["stats64"]["tx"]["bytes"])

    def begin(self, machine: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a command on a machine; what it says goes to a file."""
        with (self.folder / f"{machine}.log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                ["ip", "netns", "exec", self._name(machine), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def cluster(self) -> str:
        """A scheduler and two workers; the scheduler's address."""
        dask = (sys.executable, "-m")
        place = f"tcp://{self.address('scheduler')}:8786"
        self.begin("scheduler", *dask, "distributed.cli.dask_scheduler", "--host", place, *QUIET)
        self._wait_for("Scheduler at:")
        for machine in MACHINES[2:]:
            more = ("--host", self.address(machine), "--nthreads", "1", "--local-directory", str(self.folder / machine))
            self.begin(machine, *dask, "distributed.cli.dask_worker", place, *more, *QUIET)
        self._wait_for("Register worker", len(MACHINES[2:]))
        return place

    def _wait_for(self, text: str, times: int = 1) -> None:
        """Wait until the scheduler has said something."""
        for _ in range(600):
            if self.said("scheduler").count(text) == times:
                return
            time.sleep(0.1)
        raise AssertionError(f"no {text}:\n" + "\n".join(self.said(machine) for machine in MACHINES[1:]))

    def said(self, machine: str) -> str:
        """What a machine's processes said."""
        log = self.folder / f"{machine}.log"
        return log.read_text() if log.exists() else ""

    def close(self) -> None:
        """End what was started, by the sessions it began, and take the network down."""
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for namespace in self._namespaces:
            ip("netns", "del", namespace)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    assert shutil.which("ip"), "make test-extras installs iproute2"
    probe = f"rig{os.getpid()}-probe"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        pytest.skip("no right to make network namespaces here (root has it)")
    ip("netns", "del", probe)
    made = Network(tmp_path)
    yield made
    made.close()


def test_every_example_has_the_same_rows_on_other_machines(network: Network, tmp_path: Path) -> None:
    """Tests each file of examples/, asked on one machine, scheduled on a second and answered on two more."""
    place, compared = network.cluster(), 0
    with Store(tmp_path / "runs.sqlite") as store:
        for path in scenario_files():
            file, data = read(path)
            if file.total > 1000:
                continue  # all of it in `make whatif-cluster`
            alone = register(store, f"{path.stem}-inline", file, data, default_library(), INLINE)
            execute(store, alone, INLINE)
            where = ("--scheduler", place, "--store", str(store.path), "-q", "-o", str(tmp_path / "rows.csv"))
            client = network.begin("client", *WHATIF, "run", str(path), "--run-id", path.stem, *where)
            # 3 and 6: an expectation does not hold, or a scenario failed, as it does everywhere.
            assert client.wait(120) in (0, 3, 6), network.said("client")
            assert rows(store, store.run(path.stem)) == rows(store, alone)
            compared += len(rows(store, alone))
    assert compared > 100
    assert all(network.bytes_to(machine) > 50_000 for machine in MACHINES)  # all of them took part


def test_a_worker_whose_cable_is_pulled_costs_nothing(network: Network, tmp_path: Path) -> None:
    """Tests that a run goes on without a machine that falls silent in the middle of it, and has the same rows."""
    place = network.cluster()
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(PRICES.replace(b"draws: 150", b"draws: 3000"))
    with Store(tmp_path / "runs.sqlite") as store:
        where = ("--scheduler", place, "--store", str(store.path), "-q", "-o", str(tmp_path / "rows.csv"))
        client = network.begin("client", *WHATIF, "run", str(plan), "--run-id", "cut", *where)
        while client.poll() is None and not store.query("SELECT count(*) FROM result")[0][0]:
            time.sleep(0.01)
        network.pull_cable("worker-1")
        done = store.counts(store.run("cut")).done
        assert client.wait(200) == 0, network.said("client")
        whole = registered(store, plan.read_bytes(), "whole")
        assert 0 < done < whole.total
        execute(store, whole, INLINE)
        assert rows(store, store.run("cut")) == rows(store, whole)
