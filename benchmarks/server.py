"""Benches of the server: what it adds to a question, throughput, and how soon it is over a cancel or a crash.

Callers, server and solver processes share the machine's cores, as the figures say. Every answer is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import grpc

from benchmarks.report import Report, Row
from benchmarks.timing import Aim, Timing, interleave
from server.admission import Admission
from server.frames import Config, Job
from server.metrics import Metrics
from server.pool import SolverPool
from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from solver.catalog import default_library
from solver.client import Client
from solver.solve import optimize
from solver.wire import DEFAULT_CATALOG, asked
from tests.server.questions import budget, slow
from tests.server.running import Running, cpu_ticks, running, wait_until

BEST_BATCH = 26
"""Total batch of the default question's answer."""
CALLERS = (1, 8, 32)


def share(values: list[float] | tuple[float, ...], part: float) -> float:
    """A percentile: the value below which `part` of them lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def added_latency(quick: bool) -> Report:
    """The default question: optimize in this process, and the same over gRPC to a server beside it."""
    report = Report("server: latency of the default question, one caller")
    libraries = {DEFAULT_CATALOG: default_library()}
    with running("--workers", "1", "--log-level", "info") as server, server.stub() as stub:
        requests = [budget() for _ in range(150 if quick else 1500)]

        def in_process(request: api.OptimizeRequest) -> int:
            plan = optimize(asked(request.problem, libraries)).plan
            assert plan is not None
            return plan.total_batch

        def over_grpc(request: api.OptimizeRequest) -> int:
            return stub.Optimize(request, timeout=10).result.plan.total_batch

        timings, answers = interleave(requests, {"in process": in_process, "over gRPC": over_grpc}, warm_up=30)
    assert all(batch == BEST_BATCH for answer in answers for batch in answer.values())
    here, there = timings["in process"], timings["over gRPC"]
    for name, timing in timings.items():
        p99 = share(timing.ms, 0.99)
        report.rows.append(Row("default question", name, timing, {"p99 / p50": p99 / timing.median}))
    report.aims += [
        Aim("added by the server, p50", there.median - here.median, 3, "ms"),
        Aim("added by the server, p99", share(there.ms, 0.99) - share(here.ms, 0.99), 15, "ms"),
    ]
    return report


def throughput(quick: bool) -> Report:
    """Default questions per second: through the server, and by the same solver processes called directly."""
    report = Report("server: throughput of the default question, two solver processes")
    seconds = 1.5 if quick else 6.0
    worst = 1.0
    with running("--workers", "2", "--spare-workers", "0", "--log-level", "warning") as server:
        for callers in CALLERS:
            family = [server.process.pid, *server.solvers()]
            before = _cpu_ms(family)
            over = asyncio.run(_calls_over_grpc(server, callers, seconds))
            spent = (_cpu_ms(family) - before) / len(over)
            report.rows.append(Row(f"{callers} callers", "over gRPC", _timing(over, spent), _rate(over, seconds)))
    for callers in CALLERS:
        direct, spent = asyncio.run(_calls_direct(callers, seconds))
        report.rows.append(
            Row(f"{callers} callers", "solver processes alone", _timing(direct, spent), _rate(direct, seconds))
        )
        over = list(next(row.timing.ms for row in report.rows if row.case == f"{callers} callers"))
        if callers > 1:
            worst = min(worst, len(over) / len(direct))
    report.aims.append(Aim("solver processes alone / over gRPC, calls per second, 8 and 32 callers", 1 / worst, 2, "x"))
    return report


def _timing(ms: list[float] | tuple[float, ...], cpu_ms: float = 0.0) -> Timing:
    """Repeats, and the processor time of a call in all processes where it was measured."""
    return Timing(tuple(ms), (cpu_ms,))


def _cpu_ms(processes: list[int]) -> float:
    """Processor time of this process and others."""
    return 1000 * time.process_time() + sum(map(cpu_ticks, processes)) * 1000 / os.sysconf("SC_CLK_TCK")


def _rate(calls: list[float], seconds: float) -> dict[str, float]:
    return {"calls/s": round(len(calls) / seconds)}


async def _calls_over_grpc(server: Running, callers: int, seconds: float) -> list[float]:
    request = budget()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = OptimizerServiceStub(channel)

        async def one() -> None:
            response = await stub.Optimize(request, timeout=30)
            assert response.result.plan.total_batch == BEST_BATCH

        return await _repeat(one, callers, seconds)


async def _calls_direct(callers: int, seconds: float) -> tuple[list[float], float]:
    metrics = Metrics()
    pool = SolverPool(Config({}, 4096, 10_000, 1), 2, metrics)
    await pool.start()
    admission = Admission(2, callers, metrics)
    data = budget().SerializeToString()

    async def one() -> None:
        slot = await admission.enter()
        answer = await pool.run(Job("Optimize", time.monotonic() + 30, data), slot)
        assert answer.response

    try:
        before = _cpu_ms(pool.pids)
        spent = await _repeat(one, callers, seconds)
        return spent, (_cpu_ms(pool.pids) - before) / len(spent)
    finally:
        await pool.close()


async def _repeat(one: Any, callers: int, seconds: float) -> list[float]:
    spent: list[float] = []
    until = time.perf_counter() + seconds

    async def caller() -> None:
        while (began := time.perf_counter()) < until:
            await one()
            spent.append((time.perf_counter() - began) * 1000)

    await one()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return spent


def cancel_to_free_slot(quick: bool) -> Report:
    """From a caller's cancel to the answer of the next call, which waits for the only slot."""
    report = Report("server: cancel to free slot")
    rng = random.Random(1)
    cases: dict[str, tuple[Callable[[], api.OptimizeRequest], float]] = {
        "every pair of the default catalogue": (lambda: budget(prune=False), 0.1),
        "9,520 pairs, all searched": (lambda: slow(10, 10), 0.4),
    }
    p95 = {}
    with running("--workers", "1", "--log-level", "warning") as server, server.stub() as stub:
        for name, (question, longest_s) in cases.items():
            spent, alone = [], []
            for _ in range(15 if quick else 100):
                call = stub.Optimize.future(question(), timeout=30)
                time.sleep(rng.uniform(0.01, longest_s))
                began = time.perf_counter()
                call.cancel()
                assert stub.Optimize(budget(), timeout=10).result.plan.total_batch == BEST_BATCH
                spent.append((time.perf_counter() - began) * 1000)
                began = time.perf_counter()
                stub.Optimize(budget(), timeout=10)
                alone.append((time.perf_counter() - began) * 1000)
            freed = tuple(max(0.0, ms - statistics.median(alone)) for ms in spent)
            report.rows.append(Row(name, "cancel to free slot", _timing(freed), {"p95 / p50": _ratio(freed)}))
            p95[name] = share(freed, 0.95)
    for name, figure in p95.items():
        report.aims.append(Aim(f"cancel to free slot, p95, {name}", figure, 100, "ms", _DEAF))
    return report


_DEAF = (
    "CP-SAT hears no stop in the presolve of a large model; when the call after it is cancelled too, it is killed first"
)


def _ratio(values: tuple[float, ...]) -> float:
    return share(values, 0.95) / max(statistics.median(values), 0.001)


def crash_to_answer(quick: bool) -> Report:
    """From kill -9 of the solver that has a call to the call's answer, by another solver."""
    report = Report("server: crash of a solver to answer")
    spent = []
    with running("--workers", "1", "--log-level", "warning") as server, server.stub() as stub:
        for _ in range(10 if quick else 50):
            wait_until(lambda: len(server.solvers()) == 2, 10)
            time.sleep(0.05)
            victim = _next_solver(server, stub)
            os.kill(victim, signal.SIGSTOP)  # so that it dies with the call in hand
            call = stub.Optimize.future(budget(), timeout=10)
            time.sleep(0.03)
            began = time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            assert call.result().result.plan.total_batch == BEST_BATCH
            spent.append((time.perf_counter() - began) * 1000)
    timing = _timing(spent)
    report.rows.append(Row("default question", "kill -9 to answer", timing, {"p95 / p50": _ratio(timing.ms)}))
    report.aims.append(Aim("kill -9 of the solver to answer, p50", timing.median, 50, "ms"))
    return report


def _next_solver(server: Running, stub: OptimizerServiceStub) -> int:
    """The solver that gets the next call: the one that had the last, which these calls tell by its use of time."""
    while True:
        before = {pid: cpu_ticks(pid) for pid in server.solvers()}
        for _ in range(15):
            stub.Optimize(budget(), timeout=10)
        with contextlib.suppress(ValueError):
            return max((pid for pid in before if cpu_ticks(pid) > before[pid]), key=lambda pid: cpu_ticks(pid))


def questions_beside_a_run(quick: bool) -> Report:
    """The default question from one caller: on an idle server, and while a large run goes on; in turns, many times."""
    report = Report("server: the default question while a run of what-if scenarios goes on")
    rounds, each = (3, 100) if quick else (5, 200)
    for slots in (2, 1):
        idle, beside = [], []
        done, seconds, alone = 0, 0.0, 0.0
        with tempfile.TemporaryDirectory() as folder:
            kept = ("--run-store", f"{folder}/runs.sqlite", "--log-level", "warning")
            with (
                running("--workers", str(slots), *kept) as server,
                server.stub() as stub,
                Client(server.address) as client,
            ):
                for turn in range(rounds + 1):
                    spent = _ask(stub, each)
                    run = client.submit_scenarios("draws.yaml", _RUN)
                    wait_until(lambda run=run: client.get_run(run.run_id).done > 200, 30)  # type: ignore[misc]
                    began, first = time.perf_counter(), client.get_run(run.run_id).done
                    during = _ask(stub, each)
                    ended, last = time.perf_counter(), client.get_run(run.run_id).done
                    time.sleep(0.5)
                    rest = (client.get_run(run.run_id).done - last) / (time.perf_counter() - ended)
                    state = client.cancel_run(run.run_id).state
                    assert state == "cancelled", "the run was over before the questions"
                    if turn:  # the first round warms up
                        idle += spent
                        beside += during
                        done, seconds = done + last - first, seconds + ended - began
                        alone += rest / rounds
        where = f"{slots} slot{'s' if slots > 1 else ''}"
        rates = {"scenarios/s meanwhile": round(done / seconds), "scenarios/s alone": round(alone)}
        for name, ms, more in (("idle", idle, {}), ("beside a run", beside, rates)):
            report.rows.append(Row(where, name, _timing(ms), {"p99 ms": share(ms, 0.99), **more}))
        ratio = share(beside, 0.99) / share(idle, 0.99)
        report.aims.append(Aim(f"p99 of the default question beside a run / idle, {where}", ratio, 5, "x"))
    return report


_RUN = b"""
base: {limits: {budget_cny: 300000}}
sweeps:
  - name: prices
    random:
      draws: 200000
      seed: 5
      values:
        prices.rtx-a6000: {normal: {percent: 15}}
        prices.a100-80gb-pcie: {normal: {percent: 15}}
        limits.budget_cny: {uniform: [30000, 600000], step: 1000}
"""


def _ask(stub: OptimizerServiceStub, times: int) -> list[float]:
    request, spent = budget(), []
    for _ in range(times):
        began = time.perf_counter()
        assert stub.Optimize(request, timeout=30).result.plan.total_batch == BEST_BATCH
        spent.append((time.perf_counter() - began) * 1000)
    return spent


BENCHES = {
    "server-latency": added_latency,
    "server-throughput": throughput,
    "server-cancel": cancel_to_free_slot,
    "server-crash": crash_to_answer,
    "server-runs": questions_beside_a_run,
}
