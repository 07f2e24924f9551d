"""`make soak MINUTES=n`: mixed load on one server while solvers are killed, stopped and starved; then what came of it.

Ends with exit code 1 if a code came back that must not, the server died, or memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.server import share
from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import result_pb2
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from tests.server.questions import budget, slow
from tests.server.running import Running, resident_kib, running
from tests.server.test_fuzz import request as fuzzed

CALLERS = 6
FAULT_EVERY_S = 4.0
GROWTH_KIB = 60 * 1024
MUST_NOT = {"UNKNOWN", "UNAVAILABLE", "CANCELLED", "UNIMPLEMENTED", "ABORTED", "DATA_LOSS"}


@dataclass
class Tally:
    """What came back."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    ms: dict[str, list[float]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, int, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def spent(self, kind: str, seconds: float) -> None:
        """Note how long a call took."""
        self.ms.setdefault(kind, []).append(seconds * 1000)


async def soak(server: Running, minutes: float, seed: int) -> Tally:
    """Load and faults until the time is over."""
    tally, rng, until = Tally(), random.Random(seed), time.monotonic() + minutes * 60
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = OptimizerServiceStub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)

        async def answer() -> None:
            response = await stub.Optimize(budget(), timeout=30)
            if response.result.plan.total_batch != 26:
                tally.wrong.append(str(response.result.plan.total_batch))

        async def stream() -> None:
            found = [event async for event in stub.StreamOptimize(api.StreamOptimizeRequest(), timeout=30)]
            if found[-1].WhichOneof("event") != "result":
                tally.wrong.append("a stream without a result")

        async def check() -> None:
            report = (await stub.CheckPlan(api.CheckPlanRequest(card="rtx-4090-blower", count=4), timeout=30)).report
            if report.holds:
                tally.wrong.append("a plan that must not hold holds")

        async def fuzz() -> None:
            method, data = fuzzed(rng)
            path = f"/solver.api.v1.OptimizerService/{method}"
            if method == "StreamOptimize":
                call: Any = channel.unary_stream(path)
                async for _ in call(data, timeout=30):
                    pass
            else:
                call = channel.unary_unary(path)
                await call(data, timeout=30)

        async def limited() -> None:
            await stub.Optimize(slow(15, 10, time_limit_s=0.3), timeout=30)

        async def left() -> None:
            call = stub.Optimize(slow(10, 10), timeout=30)
            await asyncio.sleep(rng.uniform(0, 0.5))
            call.cancel()

        async def stopped() -> None:
            name = uuid.uuid4().hex
            call = stub.Optimize(slow(10, 10), timeout=30, metadata=(("x-request-id", name),))
            await asyncio.sleep(rng.uniform(0, 0.5))
            await stub.StopSearch(api.StopSearchRequest(request_id=name), timeout=5)
            result = (await call).result
            if result.HasField("plan") != (result.status in (result_pb2.STATUS_OPTIMAL, result_pb2.STATUS_FEASIBLE)):
                tally.wrong.append(f"stopped early: status {result.status}")

        async def alive() -> None:
            await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            await asyncio.sleep(0.2)

        mix: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (answer, 50), (stream, 10), (check, 10), (fuzz, 20), (limited, 3), (left, 3),
            (stopped, 3), (alive, 4),
        ]  # fmt: skip

        async def caller() -> None:
            while time.monotonic() < until and server.process.poll() is None:
                (work,) = rng.choices([w for w, _ in mix], [n for _, n in mix])
                kind, began, code = work.__name__, time.monotonic(), "OK"
                try:
                    await work()
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
                tally.codes[kind, code] += 1
                if code == "OK":
                    tally.spent(kind, time.monotonic() - began - (0.2 if kind == "alive" else 0))

        await asyncio.gather(
            *(caller() for _ in range(CALLERS)), _faults(server, tally, rng, until), _watch(server, tally, until)
        )
    return tally


async def _faults(server: Running, tally: Tally, rng: random.Random, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(min(FAULT_EVERY_S, max(0.0, until - time.monotonic())))
        solvers = server.solvers()
        if not solvers:
            continue
        fault = rng.choices(["SIGKILL", "SIGSEGV", "SIGSTOP", "forking process"], [5, 2, 2, 1])[0]
        tally.faults[fault] += 1
        try:
            if fault == "forking process":
                os.kill(server.parent(), signal.SIGKILL)
            else:
                os.kill(rng.choice(solvers), getattr(signal, fault))
        except (ProcessLookupError, ValueError):
            pass


async def _watch(server: Running, tally: Tally, until: float) -> None:
    began = time.monotonic()
    while time.monotonic() < until:
        tally.memory.append((time.monotonic() - began, resident_kib(server.process.pid), server.rss_kib()))
        await asyncio.sleep(min(15.0, max(0.1, until - time.monotonic())))


def report(tally: Tally, server: Running, minutes: float) -> bool:
    """Print what came of it; whether all is well."""
    print(f"## soak: {minutes:g} minutes, {CALLERS} callers, a fault every {FAULT_EVERY_S:g} s\n")
    print(f"{'call':10}{'code':22}{'count':>8}{'p50 ms':>10}{'p99 ms':>10}")
    for (kind, code), count in sorted(tally.codes.items()):
        ms = tally.ms.get(kind, [])
        times = f"{share(ms, 0.5):10.1f}{share(ms, 0.99):10.1f}" if code == "OK" and ms else ""
        print(f"{kind:10}{code:22}{count:8,}{times}")
    print("\nfaults:", ", ".join(f"{count}x {name}" for name, count in sorted(tally.faults.items())))
    half = tally.memory[len(tally.memory) // 2 :]
    front = (tally.memory[0][1], half[0][1], half[-1][1])
    print(f"server memory, first, half-way, last: {front[0]:,}, {front[1]:,}, {front[2]:,} KiB")
    print(f"with its processes: {', '.join(f'{m[2]:,}' for m in (tally.memory[0], half[0], half[-1]))} KiB")
    errors = [
        f"{count}x {kind} {code}"
        for (kind, code), count in tally.codes.items()
        if code in MUST_NOT or (code != "OK" and kind in ("alive", "check"))
    ]
    errors += tally.wrong
    if server.process.poll() is not None:
        errors.append("the server died")
    if front[2] - front[1] > GROWTH_KIB:
        errors.append(f"memory grew by {front[2] - front[1]:,} KiB")
    internal = sum(count for (_, code), count in tally.codes.items() if code == "INTERNAL")
    print(f"calls that lost two solvers (INTERNAL): {internal}")
    print("errors:", "; ".join(errors) or "none")
    return not errors


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with running("--workers", "2", "--spare-workers", "2", "--log-level", "warning") as server:
        tally = asyncio.run(soak(server, asked.minutes, asked.seed))
        return 0 if report(tally, server, asked.minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
