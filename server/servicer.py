"""Answers the calls: admit, hand the request's bytes to a solver process, pass its bytes back.

Methods come from the .proto's own description; what each does stands in tasks.py. Requests are decoded in the solver
process, so that neither a large nor a malicious one can hold up the others. Only StopSearch is answered here: it must
not wait behind what it is to stop, and is one short text.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NoReturn

import grpc
from google.rpc import code_pb2, status_pb2

from server.admission import Admission, QueueFull
from server.errors import Refused, draining, full, internal, invalid
from server.frames import Job
from server.logs import log
from server.metrics import Metrics
from server.pool import EarlyStop, SolverDied, SolverPool
from solver.api.v1 import optimizer_service_pb2
from solver.domain.errors import InvalidProblem
from solver.wire import parsed

SERVICE = optimizer_service_pb2.DESCRIPTOR.services_by_name["OptimizerService"]
DEADLINE_SHARE = 0.95
"""A search ends at this share of the time its caller leaves, so that the answer arrives before the deadline."""
_ROUNDING_S = 0.01
RETRY_AFTER_S = 0.2
STOP = "StopSearch"
_MOST_STOP_BYTES = 1024
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Servicer:
    """All RPCs of the service, with admission, time limits, errors, logs and metrics around them."""

    def __init__(self, pool: SolverPool, admission: Admission, metrics: Metrics, max_time_s: float) -> None:
        """Keep what answers are made with."""
        self.pool, self.admission, self.metrics, self.max_time_s = pool, admission, metrics, max_time_s
        self.draining = False
        self._stoppable: dict[tuple[str, str], set[EarlyStop]] = {}

    def handler(self) -> grpc.GenericRpcHandler:
        """The handlers of all RPCs, for `add_generic_rpc_handlers`."""
        made: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for method in SERVICE.methods:
            if method.server_streaming:
                made[method.name] = grpc.unary_stream_rpc_method_handler(self.stream(method.name))
            else:
                made[method.name] = grpc.unary_unary_rpc_method_handler(self.unary(method.name))
        handlers: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(SERVICE.full_name, made)
        return handlers

    @contextlib.contextmanager
    def stoppable(self, caller: str, request_id: str) -> Iterator[EarlyStop]:
        """A call that StopSearch finds inside the block, by its id and the token of its caller."""
        early, key = EarlyStop(), (caller, request_id)
        self._stoppable.setdefault(key, set()).add(early)
        try:
            yield early
        finally:
            self._stoppable[key].discard(early)
            if not self._stoppable[key]:
                del self._stoppable[key]

    def stop_search(self, caller: str, request: bytes) -> bytes:
        """Answer StopSearch.

        Raises:
            InvalidProblem: the request names no call.
        """
        if len(request) > _MOST_STOP_BYTES:
            raise InvalidProblem.of("request", None, f"must have at most {_MOST_STOP_BYTES:,} bytes")
        asked = parsed(request, optimizer_service_pb2.StopSearchRequest)
        if not asked.request_id:
            raise InvalidProblem.of("request_id", None, "is required")
        searches = self._stoppable.get((caller, asked.request_id), ())
        stopped = [early.now() for early in searches]
        return optimizer_service_pb2.StopSearchResponse(stopped=any(stopped)).SerializeToString()

    async def idle(self) -> None:
        """Wait until every call has ended."""
        await self.admission.idle()

    def unary(self, method: str, way: Way | None = None) -> Any:
        """The handler of a call with one response; `way` does what is not just handed to a solver process."""

        async def answer(request: bytes, context: Any) -> bytes:
            call = Call(self, method, context)
            try:
                return await call.answer(request, lambda _message: None, way)
            except Refused as refused:
                await call.abort(context, refused.status)

        return answer

    def stream(self, method: str, way: Way | None = None) -> Any:
        """The handler of a call with many responses, the last of which is the outcome."""

        async def answer(request: bytes, context: Any) -> AsyncIterator[bytes]:
            # Kept for a slow reader: the newest plans. A solver never waits for a reader.
            found: deque[bytes] = deque(maxlen=100)
            news = asyncio.Event()

            def emit(message: bytes) -> None:
                found.append(message)
                news.set()

            def ended(done: asyncio.Future[bytes]) -> None:
                news.set()
                if not done.cancelled():
                    done.exception()  # seen, also where the caller has left and nobody asks for it

            call = Call(self, method, context)
            work = asyncio.ensure_future(call.answer(request, emit, way))
            work.add_done_callback(ended)
            try:
                while not work.done() or found:
                    while found:
                        yield found.popleft()
                    if not work.done():
                        await news.wait()
                    news.clear()
                try:
                    response = work.result()
                except Refused as refused:
                    await call.abort(context, refused.status)
                yield response
            finally:
                # Where the caller left during a `yield`, gRPC drops this generator and has freed the call by now.
                if not work.done():
                    work.cancel()

        return answer


class Call:
    """One call, from its arrival to its end, and beyond: work on it may outlive gRPC's side of it by a moment.

    Keeps what it needs of gRPC's context, not the context: gRPC frees a call as soon as it is over, and to ask its
    context for the peer after that ends the whole process with SIGSEGV (grpcio 1.85).
    """

    def __init__(self, servicer: Servicer, method: str, context: Any) -> None:
        self._servicer, self._method = servicer, method
        self._arrived = time.monotonic()
        self._queued_s = math.nan
        self._peer = context.peer()
        # Once, now: gRPC tells it against the wall clock, which may be set while the call waits.
        remaining = context.time_remaining()
        self._deadline = math.inf if remaining is None else self._arrived + remaining
        self.metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        """What came with the call besides the request."""
        self._caller = str(self.metadata.get("authorization", ""))
        given = self.metadata.get("x-request-id", "")
        self._request_id = given if isinstance(given, str) and _REQUEST_ID.match(given) else uuid.uuid4().hex

    async def answer(self, request: bytes, emit: Any, way: Way | None = None) -> bytes:
        """The response's bytes.

        Raises:
            Refused: whatever has failed, with the status of errors.py that the call is to end with.
            asyncio.CancelledError: the caller left.
        """
        try:
            response = await (self.ask(request, emit) if way is None else way(self, request, emit))
        except Refused as refused:
            self._end(code_pb2.Code.Name(refused.status.code), refused.status.message)
            raise
        except asyncio.CancelledError:
            late = time.monotonic() > self._deadline - _ROUNDING_S
            self._end("DEADLINE_EXCEEDED" if late else "CANCELLED")
            raise
        except Exception as error:  # whatever it is, its text stays here
            status = internal(uuid.uuid4().hex)
            cause = error.cause if isinstance(error, SolverDied) else type(error).__name__
            self._end("INTERNAL", status.message, cause=cause, exception=str(error))
            raise Refused(status) from None
        # Noted after the response has gone out.
        asyncio.get_running_loop().call_soon(self._end, "OK")
        return response

    async def ask(self, request: bytes, emit: Any) -> bytes:
        """Wait for a slot and have a solver process answer.

        Raises:
            Refused: draining, no room, or what the solver process refuses.
        """
        servicer, metrics = self._servicer, self._servicer.metrics
        if self._method == STOP:
            try:
                return servicer.stop_search(self._caller, request)
            except InvalidProblem as error:
                raise Refused(invalid(error)) from None
        if servicer.draining:
            raise Refused(draining(RETRY_AFTER_S))
        try:
            slot = await servicer.admission.enter()
        except QueueFull as queue:
            raise Refused(full(queue.waiting, RETRY_AFTER_S)) from None
        now = time.monotonic()
        self._queued_s = now - self._arrived
        metrics.queue_seconds.observe(self._queued_s)
        limit = min(servicer.max_time_s, max(0.0, DEADLINE_SHARE * (self._deadline - now)))
        with servicer.stoppable(self._caller, self._request_id) as early:
            answer = await servicer.pool.run(Job(self._method, now + limit, request, self._deadline), slot, emit, early)
        metrics.observe(metrics.solve_seconds, answer.solve_s)
        metrics.observe(metrics.first_incumbent_seconds, answer.first_incumbent_s)
        metrics.observe(metrics.gap, answer.gap)
        return answer.response

    def _end(self, code: str, message: str = "", **more: Any) -> None:
        metrics, total = self._servicer.metrics, time.monotonic() - self._arrived
        metrics.requests.labels(self._method, code).inc()
        metrics.request_seconds.labels(self._method).observe(total)
        level = logging.ERROR if code == "INTERNAL" else logging.INFO
        fields = {"method": self._method, "code": code, "request_id": self._request_id, "ms": round(total * 1000, 3)}
        if not math.isnan(self._queued_s):
            fields["queue_ms"] = round(self._queued_s * 1000, 3)
        if message:
            fields["message"] = message
        log(level, "call", **fields, peer=self._peer, **more)

    async def abort(self, context: Any, status: status_pb2.Status) -> NoReturn:
        """End the call with a status. For the task alone in which gRPC runs its handler: there the call is not freed.

        Raises:
            grpc.aio.AbortError: always; gRPC catches it.
        """
        details = (("grpc-status-details-bin", status.SerializeToString()), ("x-request-id", self._request_id))
        await context.abort(_CODES[status.code], status.message, details)
        raise AssertionError("gRPC's abort returned")


Way = Callable[[Call, bytes, Callable[[bytes], None]], Awaitable[bytes]]
"""How a call is answered: the call, its request, and what takes messages of a stream but the last."""
