"""Thousands of random and mutated requests: only four codes come back, the process lives, memory does not grow."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import grpc
from google.protobuf.message import Message

from solver.api.v1 import optimizer_service_pb2 as api
from solver.catalog import default_library
from solver.wire import problem_message
from tests.builders import random_problem
from tests.server.questions import budget
from tests.server.running import Running, running

ALLOWED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
METHODS = tuple(method.name for method in api.DESCRIPTOR.services_by_name["OptimizerService"].methods)
SCALARS: dict[str, list[Any]] = {
    "double": [0.0, -0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), 0.1, 1e12, 27500.0, 3.14159],
    "int": [0, 1, -1, 7, 2**31 - 1, -(2**31), 300, 64, 9],
    "string": ["", "x", "rtx-4090", "guide-base", "guide-6b", "漢字", "\x00", "a" * 5000, "../../x", "2023-02-31"],
    "bool": [True, False],
}  # fmt: skip


def scribble(message: Message, rng: random.Random, depth: int = 0) -> None:
    """Set some fields of a message to odd values."""
    for field in message.DESCRIPTOR.fields:
        if rng.random() > 0.35:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            target = getattr(message, field.name)
            key = 1 if field.message_type.fields_by_name["key"].cpp_type == field.CPPTYPE_INT32 else "rtx-4090"
            target[key] = 1.0 if field.message_type.fields_by_name["value"].cpp_type == field.CPPTYPE_DOUBLE else 2
        elif field.message_type is not None:
            if depth > 4:
                continue
            if field.is_repeated:
                for _ in range(rng.randrange(3)):
                    scribble(getattr(message, field.name).add(), rng, depth + 1)
            else:
                getattr(message, field.name).SetInParent()
                scribble(getattr(message, field.name), rng, depth + 1)
        else:
            values = {
                field.CPPTYPE_DOUBLE: SCALARS["double"],
                field.CPPTYPE_STRING: SCALARS["string"],
                field.CPPTYPE_BOOL: SCALARS["bool"],
                field.CPPTYPE_ENUM: [0, 1, 2, 3, 99],
            }.get(field.cpp_type, SCALARS["int"])
            if field.is_repeated:
                getattr(message, field.name).extend(rng.choices(values, k=rng.randrange(4)))
            else:
                setattr(message, field.name, rng.choice(values))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some flipped, cut, doubled or inserted."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(4)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at : at + rng.randrange(8)]
        elif kind == 2:
            changed[at:at] = rng.randbytes(rng.randrange(8))
        else:
            changed[at:at] = changed[at : at + rng.randrange(30)]
    return bytes(changed)


def request(rng: random.Random) -> tuple[str, bytes]:
    """A method and bytes for it: noise, odd values, or a sound request with a few bytes changed."""
    method = rng.choice(METHODS)
    kind = rng.random()
    if kind < 0.15:
        return method, rng.randbytes(rng.randrange(200))
    if kind < 0.55:
        message = getattr(api, f"{method}Request")()
        scribble(message, rng)
        # A twentieth of a second at most: what is tested here is the handling, not the search.
        if hasattr(message, "options"):
            message.options.time_limit_s = 0.05
        elif hasattr(message, "time_limit_s"):
            message.time_limit_s = 0.05
        return method, message.SerializeToString()
    problem = problem_message(random_problem(rng), default_library()) if rng.random() < 0.6 else budget().problem
    sound = api.OptimizeRequest(problem=problem, options=api.SearchOptions(time_limit_s=0.05))
    data = sound.SerializeToString()
    return method, mutated(data, rng) if rng.random() < 0.85 else data


async def flood(address: str, seed: int, count: int) -> Counter[str]:
    """Send requests, eight at a time; how many ended with each code."""
    rng, codes = random.Random(seed), Counter[str]()
    async with grpc.aio.insecure_channel(address) as channel:
        room = asyncio.Semaphore(8)

        async def one(method: str, data: bytes) -> None:
            path = f"/solver.api.v1.OptimizerService/{method}"
            try:
                if method == "StreamOptimize":
                    stream: Any = channel.unary_stream(path)
                    async for _ in stream(data, timeout=20):
                        pass
                else:
                    unary: Any = channel.unary_unary(path)
                    await unary(data, timeout=20)
                codes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                codes[error.code().name] += 1
            finally:
                room.release()

        tasks = []
        for _ in range(count):
            await room.acquire()
            tasks.append(asyncio.create_task(one(*request(rng))))
        await asyncio.gather(*tasks)
    return codes


def hammer(server: Running, seed: int, count: int) -> Counter[str]:
    """The same, from synchronous code."""
    return asyncio.run(flood(server.address, seed, count))


def test_fuzz() -> None:
    """Tests 2,000 requests, of which the second half must not take more memory than the first."""
    with running("--workers", "2") as server:
        solvers = server.solvers()
        codes = hammer(server, 1, 1000)
        before = server.rss_kib()
        codes += hammer(server, 2, 1000)
        after = server.rss_kib()
        assert server.process.poll() is None
        assert set(codes) <= ALLOWED, codes
        assert codes["OK"] > 100, codes
        assert codes["INVALID_ARGUMENT"] > 500, codes
        assert server.solvers() == solvers, "a solver died"
        assert after - before < 40 * 1024, f"{before} KiB, then {after} KiB"
        with server.stub() as stub:
            assert stub.Optimize(budget(), timeout=10).result.plan.total_batch == 26
