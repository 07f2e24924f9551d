"""Histories: random sequences of what clients and mishaps do to runs, held against a small model of what may happen.

`make histories N=20` runs twenty; a test runs two. The idea is that of etcd's robustness tests: everything that was
answered is noted, whatever was cut off may have happened or not, and nothing that comes later may contradict it.

The model, for each request id:
- it stands for one run at most, always the same, on the file of the first request that was answered;
- a state that is final stays; `done` never falls; a run that is not cancelled finishes;
- an answer equals the reference, which was solved here in one process, and is the same to the last byte whenever asked;
- pages come in the file's order, without a gap while the run goes on, each scenario once;
- once CancelRun has answered, not a single answer is added;
- the server ends only where it is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from solver.api.v1 import run_service_pb2 as api
from solver.api.v1.run_service_pb2_grpc import RunServiceStub
from solver.catalog import default_library
from solver.sweep.file import parse
from solver.sweep.run import Settings, execute, register
from solver.sweep.scenario import Row
from solver.sweep.store import Store
from solver.wire.runs import row_of
from tests.server.running import Running, children

FILES = {
    "draws.yaml": """
base: {limits: {budget_cny: 300000}}
sweeps:
  - name: prices
    random:
      draws: 2500
      seed: 5
      values:
        prices.rtx-a6000: {normal: {percent: 15}}
        prices.a100-80gb-pcie: {normal: {percent: 15}}
        limits.budget_cny: {uniform: [30000, 600000], step: 1000}
""",
    "budgets.yaml": """
sweeps:
  - name: budgets
    grid: {limits.budget_cny: {from: 30000, to: 600000, count: 400}, site.socket_amps: [10, 16]}
""",
    "some.csv": "name,limits.budget_cny,prices.rtx-a6000,expect\n"
    + "".join(f"s{n},{30000 + 9000 * n},{20000 + 700 * n},total_batch >= 12\n" for n in range(40))
    + "bad,nothing,1,\n",
}
FINAL = (api.RUN_STATE_FINISHED, api.RUN_STATE_CANCELLED)
CUT_OFF = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL)
"""What a call may end with because the server was killed. INTERNAL only if its solvers were killed twice."""
VOLATILE = ("solve_ms",)


def _command_line(pid: int) -> bytes:
    """The command line of a process; empty where it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


class Violated(AssertionError):
    """What happened may not happen."""


def plain(row: Row) -> dict[str, Any]:
    """A row without what differs from run to run."""
    return {name: value for name, value in row._asdict().items() if name not in VOLATILE}


def reference(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    """The rows of a file by place, solved here in this process."""
    data = FILES[name].encode()
    with Store(folder / f"{name}.reference.sqlite") as store:
        file = parse(data, name)
        run = register(store, "r", file, data, default_library(), Settings(executor="inline"))
        execute(store, run, Settings(executor="inline"))
        return {row["position"]: plain(Row(**{key: row[key] for key in Row._fields})) for row in store.results(run)}


@dataclass
class Known:
    """What is known of a request id."""

    request_id: str
    file: str
    run_id: str = ""
    """The run; "" while no answer has told."""
    done: int = 0
    state: int = api.RUN_STATE_RUNNING
    cancel_asked: bool = False
    rows: dict[int, bytes] = field(default_factory=dict)
    """Every answer seen, by place."""
    token: str | None = None
    place: int = 0


class History:
    """One history: a server on a store of its own, and what happens to it."""

    def __init__(self, folder: Path, seed: int, references: dict[str, dict[int, dict[str, Any]]]) -> None:
        self.rng, self.store, self.references = random.Random(seed), folder / "runs.sqlite", references
        self.known: dict[str, Known] = {}
        self.counts: Counter[str] = Counter()
        self.steps: list[str] = []
        self._server: Running | None = None
        self._channel: grpc.Channel | None = None

    # The server

    def start(self) -> None:
        """Start the server on the store, as it was left."""
        slots = self.rng.choice((1, 2, 4))  # with more than two, batches end in another order than they begin
        self._server = Running(
            "--workers", str(slots), "--run-store", str(self.store), "--log-level", "warning", "--max-open-runs", "1000"
        )
        self._channel = grpc.insecure_channel(self._server.address)
        self.stub = RunServiceStub(self._channel)

    def stop(self) -> None:
        """Let the server go."""
        if self._channel is not None:
            self._channel.close()
        if self._server is not None:
            self._server.stop() if self._server.process.poll() is None else self._server.kill()

    def kill_server(self) -> None:
        """kill -9."""
        assert self._server is not None
        os.kill(self._server.process.pid, signal.SIGKILL)

    def kill_some_process(self) -> None:
        """kill -9 of the process of the runs, or of a solver process."""
        assert self._server is not None
        mine = children(self._server.process.pid)
        solvers = [pid for parent in mine for pid in children(parent)]
        runs = [pid for pid in mine if b"server.runs.process" in _command_line(pid)]
        victims = runs if self.rng.random() < 0.5 else solvers
        if victims:
            self.steps.append("  killed " + ("the process of the runs" if victims is runs else "a solver"))
            try:
                os.kill(self.rng.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                self.steps.append("  (it was gone)")

    # What may happen

    def run(self, steps: int) -> None:
        """Let so many things happen, then see that all ends well.

        Raises:
            Violated: what happened may not happen.
        """
        self.start()
        try:
            for _ in range(steps):
                self.step()
            self.end()
            self.stop()
        except (AssertionError, grpc.RpcError) as violated:
            assert self._server is not None
            log = "".join(self._server.raw[-30:])
            told = f"{violated!s}\nthe server's exit code is {self._server.process.poll()}, its log ends with\n{log}"
            raise Violated("\n".join((told, *self.steps[-30:]))) from violated
        finally:
            with contextlib.suppress(AssertionError):
                self.stop()

    def step(self) -> None:
        """One thing happens; now and then the server is killed in the middle of it, or just after."""
        actions: list[tuple[int, Callable[[], None]]] = [
            (3, self.submit), (2, self.submit_again), (1, self.submit_other), (3, self.get), (3, self.watch),
            (5, self.page), (2, self.old_page), (1, self.cancel), (2, self.list), (1, self.kill_some_process),
            (2, self.wait),
        ]  # fmt: skip
        begun = len(self.known) > 2
        action = self.rng.choices([a for _, a in actions], [w for w, _ in actions])[0] if begun else self.submit
        name = getattr(action, "__name__", "?")
        self.counts[name] += 1
        self.steps.append(name)
        killer: threading.Timer | None = None
        if self.rng.random() < 0.15:
            killer = threading.Timer(self.rng.choice((0.0, 0.002, 0.01, 0.05)), self.kill_server)
            killer.start()
        try:
            action()
        except grpc.RpcError as error:
            if error.code() not in CUT_OFF:
                raise Violated(f"{name}: {error.code()} {error.details()}") from None
            self.steps.append(f"  cut off: {error.code().name}")
            self.counts["cut off"] += 1
        if killer is not None:
            killer.join()
            self.counts["server killed"] += 1
            self.steps.append("  server killed")
            self.stop()
            self.start()

    def wait(self) -> None:
        """Nothing, for a while."""
        time.sleep(self.rng.uniform(0, 0.4))

    def _some(self) -> Known | None:
        return self.rng.choice(list(self.known.values())) if self.known else None

    def _running(self) -> Known | None:
        found = [each for each in self.known.values() if each.run_id]
        return self.rng.choice(found) if found else None

    def submit(self) -> None:
        """A new request."""
        if len(self.known) < 8:
            one = Known(f"request-{len(self.known)}", self.rng.choice(list(FILES)))
            self.known[one.request_id] = one
            self._submit(one)

    def submit_again(self) -> None:
        """The same request once more: no second run."""
        one = self._some()
        if one is not None:
            self._submit(one)

    def _submit(self, one: Known) -> None:
        request = api.SubmitScenariosRequest(
            request_id=one.request_id, file_name=one.file, file=FILES[one.file].encode()
        )
        run = self.stub.SubmitScenarios(request, timeout=60).run
        self._see(one, run)

    def submit_other(self) -> None:
        """Another file under the same request id: refused, unless the first never arrived."""
        one = self._running()
        if one is None:
            return
        request = api.SubmitScenariosRequest(request_id=one.request_id, file_name="x.csv", file=b"name,goal\na,cost\n")
        try:
            self.stub.SubmitScenarios(request, timeout=60)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
        else:
            raise Violated(f"{one.request_id} was taken for two files")

    def _see(self, one: Known, run: api.Run) -> None:
        """Hold what is told of a run against what is known."""
        total = len(self.references[one.file])
        if run.request_id != one.request_id or run.file_name != one.file or run.total != total:
            raise Violated(f"{one.request_id} is told as {run}")
        if one.run_id and run.run_id != one.run_id:
            raise Violated(f"{one.request_id} was {one.run_id} and is {run.run_id}")
        if run.done < one.done or run.done > total or run.done < len(one.rows):
            raise Violated(f"{run.run_id}: done was {one.done} ({len(one.rows)} seen) and is {run.done} of {total}")
        if one.state in FINAL and (run.state != one.state or run.done != one.done):
            raise Violated(f"{run.run_id} was over as {one.state} with {one.done}, and is {run.state} with {run.done}")
        if run.state not in (api.RUN_STATE_RUNNING, *FINAL):
            raise Violated(f"{run.run_id} is {run.state}: {run.error}")
        if run.state == api.RUN_STATE_FINISHED and run.done != total:
            raise Violated(f"{run.run_id} is finished with {run.done} of {total}")
        if run.state == api.RUN_STATE_CANCELLED and not one.cancel_asked:
            raise Violated(f"{run.run_id} is cancelled and nobody asked")
        one.run_id, one.done, one.state = run.run_id, run.done, run.state

    def get(self) -> None:
        """Ask how far it is."""
        one = self._running()
        if one is not None:
            self._see(one, self.stub.GetRun(api.GetRunRequest(run_id=one.run_id), timeout=60).run)

    def watch(self) -> None:
        """Watch for a while, or to the end."""
        one = self._running()
        if one is None:
            return
        few = self.rng.choice((1, 2, 3, 1000))
        call = self.stub.WatchRun(api.WatchRunRequest(run_id=one.run_id), timeout=120)
        last = api.RUN_STATE_RUNNING
        for number, told in enumerate(call, 1):
            if last in FINAL:
                raise Violated(f"{one.run_id}: something follows what is final")
            self._see(one, told.run)
            last = told.run.state
            if number >= few:
                call.cancel()
                return
        if last not in FINAL:
            raise Violated(f"{one.run_id}: a watch ended before the run")

    def page(self) -> None:
        """Some pages on from where the last ended."""
        one = self._running()
        if one is None:
            return
        for _ in range(self.rng.randint(1, 4)):
            if not self._page(one):
                return

    def _page(self, one: Known) -> bool:
        """The next page; whether there may be more."""
        size = self.rng.choice((1, 7, 100, 1000))
        request = api.ListRunResultsRequest(run_id=one.run_id, page_size=size, page_token=one.token)
        page = self.stub.ListRunResults(request, timeout=60)
        if len(page.results) > size:
            raise Violated(f"{one.run_id}: a page of {len(page.results)}, {size} asked for")
        self._rows(one, page, one.place)
        if page.results:
            one.place = page.results[-1].position
        if page.HasField("next_page_token"):
            one.token = page.next_page_token
            return True
        self.counts["read to the end"] += 1
        one.token, one.place = None, 0
        return False

    def _rows(self, one: Known, page: api.ListRunResultsResponse, after: int) -> None:
        places = [result.position for result in page.results]
        if places != sorted(set(places)) or (places and places[0] <= after):
            raise Violated(f"{one.run_id}: places {places[:5]}... behind {after}")
        if not one.cancel_asked and places != list(range(after + 1, after + 1 + len(places))):
            raise Violated(f"{one.run_id}: a gap behind {after}: {places[:5]}...")
        for result in page.results:
            data = result.SerializeToString(deterministic=True)
            if one.rows.setdefault(result.position, data) != data:
                raise Violated(f"{one.run_id}: the answer of {result.position} has changed")
            if plain(row_of(result)) != self.references[one.file][result.position]:
                raise Violated(f"{one.run_id}: the answer of {result.position} is wrong: {result}")
        if one.state == api.RUN_STATE_CANCELLED and len(one.rows) > one.done:
            raise Violated(f"{one.run_id}: {len(one.rows)} answers after a cancel with {one.done}")

    def old_page(self) -> None:
        """Any page again: what was there is there, and the same."""
        one = self._running()
        if one is None or not one.rows:
            return
        after = self.rng.choice([0, *one.rows])
        request = api.ListRunResultsRequest(run_id=one.run_id, page_size=1000, after_position=after)
        page = self.stub.ListRunResults(request, timeout=60)
        self._rows(one, page, after)
        missing = {place for place in one.rows if after < place <= after + 500} - {r.position for r in page.results}
        if missing:
            raise Violated(f"{one.run_id}: answers that were there are gone: {sorted(missing)[:5]}")

    def cancel(self) -> None:
        """End a run, of those that were not over when last heard of if there are any."""
        going = [one for one in self.known.values() if one.run_id and one.state == api.RUN_STATE_RUNNING]
        one = self.rng.choice(going) if going else self._running()
        if one is None:
            return
        one.cancel_asked = one.cancel_asked or one.state == api.RUN_STATE_RUNNING
        run = self.stub.CancelRun(api.CancelRunRequest(run_id=one.run_id), timeout=60).run
        self._see(one, run)
        if run.state not in FINAL:
            raise Violated(f"{one.run_id} goes on after a cancel")
        self.counts["cancelled" if run.state == api.RUN_STATE_CANCELLED else "cancelled too late"] += 1

    def list(self) -> None:
        """All runs: each once, those that are known, no others."""
        runs: list[api.Run] = []
        token: str | None = None
        while True:
            page = self.stub.ListRuns(api.ListRunsRequest(page_size=3, page_token=token), timeout=60)
            runs += page.runs
            if not page.HasField("next_page_token"):
                break
            token = page.next_page_token
        ids = [run.request_id for run in runs]
        if len(set(ids)) != len(ids) or not set(ids) <= set(self.known):
            raise Violated(f"runs are {ids}")
        lost = {one.request_id for one in self.known.values() if one.run_id} - set(ids)
        if lost:
            raise Violated(f"runs are lost: {lost}")
        for run in runs:
            self._see(self.known[run.request_id], run)

    def end(self) -> None:
        """Let every run come to its end and read it whole."""
        self.steps.append("end")
        self.list()
        for one in self.known.values():
            if not one.run_id:
                continue
            for told in self.stub.WatchRun(api.WatchRunRequest(run_id=one.run_id), timeout=180):
                self._see(one, told.run)
            one.token, one.place = None, 0
            seen = 0
            while True:
                before = one.place
                request = api.ListRunResultsRequest(run_id=one.run_id, page_size=1000, page_token=one.token)
                page = self.stub.ListRunResults(request, timeout=60)
                self._rows(one, page, before)
                seen += len(page.results)
                one.place = page.results[-1].position if page.results else before
                if not page.HasField("next_page_token"):
                    break
                one.token = page.next_page_token
            if seen != one.done or seen != len(one.rows):
                raise Violated(f"{one.run_id}: {seen} answers, {one.done} counted, {len(one.rows)} ever seen")


def main(arguments: list[str] | None = None) -> int:
    """Run histories; the seed of one that is violated is printed, and gives it again but for timing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as held:
        references = {name: reference(Path(held), name) for name in FILES}
        for seed in range(asked.seed, asked.seed + asked.count):
            folder = Path(held) / str(seed)
            folder.mkdir()
            history = History(folder, seed, references)
            try:
                history.run(asked.steps)
            except Violated as violated:
                print(f"seed {seed}: {violated}", file=sys.stderr)
                return 1
            counts += history.counts
            print(f"seed {seed}: holds, {len(history.known)} requests", flush=True)
    print(f"{asked.count} histories hold: {', '.join(f'{n:,} {name}' for name, n in sorted(counts.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
