"""What a call still does after gRPC has freed its side of it: nothing that touches it.

gRPC frees a call as soon as it is over. Work on it may end a moment later: where the caller leaves while a message is
on its way out, the handler's generator is dropped, and only then is the work cancelled. Asking gRPC's context for the
peer at that moment was the end of the whole server (SIGSEGV).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import pytest

from server.admission import Admission
from server.errors import Refused, draining
from server.metrics import Metrics
from server.pool import SolverPool
from server.servicer import Call, Servicer
from tests.server.running import ROOT, Running, wait_until

_LARGE = bytes(2**25)
"""More than gRPC takes from the server at once for a client that reads nothing: it waits while it sends this."""


class Context:
    """As gRPC's context of a call; once `freed`, whatever is asked of it is an error."""

    def __init__(self) -> None:
        self.freed = False
        self.aborted: grpc.StatusCode | None = None

    def peer(self) -> str:
        assert not self.freed
        return "somebody"

    def time_remaining(self) -> float | None:
        assert not self.freed
        return None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        assert not self.freed
        return ()

    async def abort(self, code: grpc.StatusCode, *_: Any) -> None:
        assert not self.freed
        self.aborted = code
        raise grpc.aio.AbortError


def servicer() -> Servicer:
    """A servicer whose calls are all answered in a way of their own, by no solver."""
    metrics = Metrics()
    return Servicer(cast(SolverPool, None), Admission(1, 1, metrics), metrics, 10.0)


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ending", ["cancelled", "refused", "broken", "answered"])
def test_a_freed_call_is_not_touched(ending: str, caplog: pytest.LogCaptureFixture) -> None:
    """Tests that work which ends after its call was freed asks nothing of it, and that its end is in the metrics."""

    async def run() -> float:
        context, made = Context(), servicer()

        async def way(call: Call, _request: bytes, emit: Callable[[bytes], None]) -> bytes:
            emit(b"first")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if ending == "refused":
                    raise Refused(draining(1.0)) from None
                if ending == "broken":
                    raise RuntimeError("broken") from None
                if ending == "cancelled":
                    raise
            return b"last"

        stream = cast(AsyncIterator[bytes], made.stream("WatchRun", way)(b"", context))
        assert await anext(stream) == b"first"
        context.freed = True
        await cast(Any, stream).aclose()  # as gRPC's handler lets go of it
        await _settle()
        code = {"cancelled": "CANCELLED", "refused": "UNAVAILABLE", "broken": "INTERNAL", "answered": "OK"}[ending]
        return float(made.metrics.requests.labels("WatchRun", code)._value.get())

    assert asyncio.run(run(), debug=True) == 1
    assert "never retrieved" not in caplog.text


def test_a_freed_call_with_one_answer_is_not_touched() -> None:
    """Tests the end of a call that is no stream and was cut off."""

    async def run() -> float:
        context, made = Context(), servicer()

        async def way(*_: Any) -> bytes:
            context.freed = True
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await made.unary("GetRun", way)(b"", context)
        return float(made.metrics.requests.labels("GetRun", "CANCELLED")._value.get())

    assert asyncio.run(run()) == 1


def test_a_refused_stream_is_aborted_by_its_handler() -> None:
    """Tests that a stream that fails ends with its status, said in the task in which the call cannot be freed."""

    async def run() -> tuple[bytes, grpc.StatusCode | None]:
        context = Context()

        async def way(call: Call, _request: bytes, emit: Callable[[bytes], None]) -> bytes:
            emit(b"first")
            raise Refused(draining(1.0))

        stream = cast(AsyncIterator[bytes], servicer().stream("WatchRun", way)(b"", context))
        first = await anext(stream)
        with pytest.raises(grpc.aio.AbortError):
            await anext(stream)
        return first, context.aborted

    assert asyncio.run(run()) == (b"first", grpc.StatusCode.UNAVAILABLE)


def test_a_caller_who_leaves_during_a_message_does_not_end_the_server() -> None:
    """Tests with a real server and client, in a process of their own, that the process lives and the work ends."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.server.test_freed_calls"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "8 calls left, 8 works cancelled\n"), done.stderr


def test_a_crash_leaves_a_trace() -> None:
    """Tests that the log of each kind of process tells where its native code has crashed."""
    server = Running("--workers", "1")
    try:
        os.kill(server.solvers()[0], signal.SIGSEGV)
        wait_until(lambda: any("Segmentation fault" in line for line in server.raw), 10)
        wait_until(lambda: bool(server.events("solver process died")), 10)
        assert any("solver_process.py" in line for line in server.raw)
        server.raw.clear()
        os.kill(server.process.pid, signal.SIGSEGV)
        assert server.process.wait(10) == -signal.SIGSEGV
    finally:
        with pytest.raises(AssertionError, match=r"(?s)crashed with SIGSEGV.*Segmentation fault.*server/__main__\.py"):
            server.kill()


async def _leave(times: int) -> None:
    """Let a client leave so often while a message to it is on its way out."""
    cancelled = 0

    async def way(call: Call, _request: bytes, emit: Callable[[bytes], None]) -> bytes:
        nonlocal cancelled
        emit(_LARGE)
        sending.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return b""

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Watch": grpc.unary_stream_rpc_method_handler(servicer().stream("WatchRun", way))}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        for _ in range(times):
            sending = asyncio.Event()
            watch: Any = channel.unary_stream("/test.Service/Watch")
            call = watch(b"")
            await sending.wait()
            await asyncio.sleep(0.02)
            call.cancel()
        await asyncio.sleep(0.5)
    await server.stop(None)
    print(f"{times} calls left, {cancelled} works cancelled")


if __name__ == "__main__":
    asyncio.run(_leave(8))
