"""Answers the calls of RunService. What reads or registers is a task of a solver process, as of any other call; what
ends a run goes to the process that drives them; and whoever watches is told what that process tells.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import grpc

from server.errors import Refused, draining, full, invalid, no_runs
from server.runs.link import RunLink
from server.servicer import RETRY_AFTER_S, Call, Servicer, Way
from solver.api.v1 import run_service_pb2 as api
from solver.domain.errors import InvalidProblem

RUN_SERVICE = api.DESCRIPTOR.services_by_name["RunService"]
_LOOK_S = 5.0
"""After so long without a word of the run, a watcher is told what the store says: a word may have been lost."""
_MOST_SHORT_BYTES = 1024
"""Largest request that the server itself passes on to the process of the runs."""


class RunServicer:
    """All RPCs of RunService, on the admission, errors, logs and metrics of `servicer`."""

    def __init__(self, servicer: Servicer, link: RunLink | None, max_watchers: int) -> None:
        """Keep what answers are made with; without a link every call is refused."""
        self._servicer, self._link, self._most = servicer, link, max_watchers
        self._watchers = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """The handlers of all RPCs, for `add_generic_rpc_handlers`."""
        ways: dict[str, Way] = {"SubmitScenarios": self._submit, "CancelRun": self._cancel, "WatchRun": self._watch}
        made: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for method in RUN_SERVICE.methods:
            way = ways.get(method.name, self._ask)
            if method.server_streaming:
                made[method.name] = grpc.unary_stream_rpc_method_handler(self._servicer.stream(method.name, way))
            else:
                made[method.name] = grpc.unary_unary_rpc_method_handler(self._servicer.unary(method.name, way))
        handlers: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(RUN_SERVICE.full_name, made)
        return handlers

    async def _ask(self, call: Call, request: bytes, emit: Callable[[bytes], None]) -> bytes:
        self._kept()
        return await call.ask(_caller(call).encode() + b"\n" + request, emit)

    async def _submit(self, call: Call, request: bytes, emit: Callable[[bytes], None]) -> bytes:
        link = self._kept()
        response = await self._ask(call, request, emit)
        link.news()
        return response

    async def _cancel(self, call: Call, request: bytes, emit: Callable[[bytes], None]) -> bytes:
        link = self._kept()
        if len(request) > _MOST_SHORT_BYTES:
            raise Refused(invalid(InvalidProblem.of("request", None, f"must have at most {_MOST_SHORT_BYTES:,} bytes")))
        return await link.cancel_run(request)

    async def _watch(self, call: Call, request: bytes, emit: Callable[[bytes], None]) -> bytes:
        link = self._kept()
        if self._watchers >= self._most:
            raise Refused(full(self._watchers, RETRY_AFTER_S))
        self._watchers += 1
        try:
            # Its first word says which run it is; the second is asked for once nothing can be missed between them.
            first = api.WatchRunResponse.FromString(await self._ask(call, request, emit))
            with link.watching(first.run.run_id) as watcher:
                told = await self._ask(call, request, emit)
                while not _final(told):
                    emit(told)
                    try:
                        async with asyncio.timeout(_LOOK_S):
                            await watcher.news.wait()
                    except TimeoutError:
                        told = await self._ask(call, request, emit)
                        continue
                    watcher.news.clear()
                    if link.closed:
                        raise Refused(draining(RETRY_AFTER_S))
                    told = watcher.newest or told
                return told
        finally:
            self._watchers -= 1

    def _kept(self) -> RunLink:
        if self._servicer.draining:
            raise Refused(draining(RETRY_AFTER_S))
        if self._link is None:
            raise Refused(no_runs())
        return self._link


def _final(told: bytes) -> bool:
    state = api.WatchRunResponse.FromString(told).run.state
    return state != api.RUN_STATE_RUNNING


def _caller(call: Call) -> str:
    """Who calls, for the audit and the quota: never the token itself."""
    given = call.metadata.get("authorization", "")
    token = given[7:].strip() if isinstance(given, str) and given[:7].lower() == "bearer " else ""
    return f"token-{hashlib.sha256(token.encode()).hexdigest()[:12]}" if token else "anonymous"
