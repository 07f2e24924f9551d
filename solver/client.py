"""A thin gRPC client: records in, records out, and the same errors as the library. One `Client` may serve many threads.

    with Client("127.0.0.1:50051") as client:
        result = client.optimize({"limits": {"budget_cny": 300000}})

Every call has a deadline. A server that is unavailable for a moment is asked again, up to four times.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import problem_pb2, result_pb2
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from solver.api.v1.run_service_pb2_grpc import RunServiceStub
from solver.catalog import Library, default_library
from solver.check import CheckReport
from solver.client_runs import RunCalls
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.errors import Interrupted, InvalidProblem, ServerUnavailable, SolverFailure, UnknownName, Violation
from solver.domain.explanation import Alternative, Axis, Explanation, Frontier
from solver.domain.language import message, say
from solver.domain.plan import Fingerprint, Incumbent, Result
from solver.domain.problem import Problem, catalog_digest
from solver.domain.workload import Workload
from solver.wire import message_of, problem_message, record_of

Question = Problem | Mapping[str, Any]
T = TypeVar("T")

DEFAULT_TIMEOUT_S = 90.0
_STOP_WITHIN_S = 3.0
"""How long a server may take to end a search that it was told to end; it needs half a second at most."""
_MESSAGE_BYTES = 64 * 2**20
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "solver.api.v1.OptimizerService"}, {"service": "solver.api.v1.RunService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_ELSEWHERE = {
    grpc.StatusCode.UNAVAILABLE: message("the server {server} is not available: {text}"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: message("the server {server} has no room: {text}"),
    grpc.StatusCode.DEADLINE_EXCEEDED: message("the server {server} did not answer in time: {text}"),
    grpc.StatusCode.UNAUTHENTICATED: message("the server {server} does not let us in: {text}"),
    grpc.StatusCode.PERMISSION_DENIED: message("the server {server} does not let us in: {text}"),
    grpc.StatusCode.UNIMPLEMENTED: message("the server {server} does not offer this: {text}"),
    grpc.StatusCode.FAILED_PRECONDITION: message("the server {server} does not offer this: {text}"),
    grpc.StatusCode.CANCELLED: message("the server {server} broke off the call: {text}"),
}
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
"""Of these, what asking again later may mend; with a RetryInfo also others."""


class Client(RunCalls):
    """A connection to a solver server."""

    def __init__(
        self,
        server: str,
        *,
        tls: bool = False,
        tls_ca: Path | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        token: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        library: Library | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            server: HOST:PORT.
            tls: encrypt; implied by any of the files.
            tls_ca: certificates of the authorities trusted, PEM; those of gRPC if None.
            tls_cert: our certificate, PEM, for servers that ask for one.
            tls_key: its private key, PEM.
            token: bearer token.
            timeout_s: deadline of a call that does not name one; a search gets 95 % of it.
            library: the catalogue from which whole problems were made; the shipped one if None.

        Raises:
            InvalidProblem: a file cannot be read.
        """
        self._server, self._timeout_s, self._library = server, timeout_s, library or default_library()
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        self._same_catalog: bool | None = None
        options = [
            ("grpc.service_config", json.dumps(_RETRIES)),
            ("grpc.enable_retries", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),  # by default a second, in which all retries would fail
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ]
        if tls or tls_ca or tls_cert or tls_key:
            pems = [_read("tls_ca", tls_ca), _read("tls_key", tls_key), _read("tls_cert", tls_cert)]
            self._channel = grpc.secure_channel(server, grpc.ssl_channel_credentials(*pems), options)
        else:
            self._channel = grpc.insecure_channel(server, options)
        self._stub = OptimizerServiceStub(self._channel)
        self._runs = RunServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls still running are cancelled, and the server stops their searches."""
        self._channel.close()

    def optimize(
        self,
        question: Question,
        *,
        time_limit_s: float | None = None,
        workers: int | None = None,
        prune: bool | None = None,
        today: datetime.date | None = None,
        timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Result:
        """Find the best rig and prove it.

        Args:
            question: keys as of solver/catalog/question.py, on the server's catalogue; or a whole problem.
            time_limit_s: seconds for the search.
            workers: CP-SAT workers.
            prune: False solves with every pair.
            today: the day against which prices age; today if None.
            timeout_s: deadline of the call, seconds.
            stop: set it to end the search early; the best plan so far is the answer then, without a proof.

        Raises:
            InvalidProblem: the question is wrong.
            ServerUnavailable: no server, no room, no access, or no answer in time.
            SolverFailure: the server failed.
            Interrupted: `stop` was set, and there is no answer yet: no solver has begun, or none came in time.
        """
        request = api.OptimizeRequest(
            problem=self._problem(question), options=_options(time_limit_s, workers, prune, today)
        )
        response = self._call(self._stub.Optimize, request, _timeout(timeout_s, time_limit_s, self._timeout_s), stop)
        return record_of(response.result, Result)

    def best(
        self,
        question: Question,
        top: int | None,
        *,
        time_limit_s: float | None = None,
        prune: bool | None = None,
        today: datetime.date | None = None,
        timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> tuple[Result, tuple[Alternative, ...] | None]:
        """The answer and the `top` best plans, None if none were wanted or not all proved in time.

        Raises as `optimize` does.
        """
        with _sendable(top=top):
            request = api.OptimizeRequest(
                problem=self._problem(question), options=_options(time_limit_s, None, prune, today), top=top
            )
        response = self._call(self._stub.Optimize, request, _timeout(timeout_s, time_limit_s, self._timeout_s), stop)
        found = tuple(record_of(each, Alternative) for each in response.alternatives)
        return record_of(response.result, Result), found if response.alternatives_proved else None

    def explain(
        self,
        question: Question,
        *,
        top: int | None = None,
        time_limit_s: float | None = None,
        today: datetime.date | None = None,
        timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Explanation:
        """Answer the question and say why; raises as `optimize` does."""
        with _sendable(top=top, time_limit_s=time_limit_s):
            request = api.ExplainRequest(
                problem=self._problem(question),
                top=top,
                time_limit_s=time_limit_s,
                today=(today or datetime.date.today()).isoformat(),
            )
        response = self._call(self._stub.Explain, request, _timeout(timeout_s, time_limit_s, self._timeout_s), stop)
        return record_of(response.explanation, Explanation)

    def frontier(
        self,
        question: Question,
        axes: tuple[Axis, Axis] | None = None,
        from_cny: Decimal | int | None = None,
        *,
        time_limit_s: float | None = None,
        timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Frontier:
        """The trade-off curve of two axes, by default of cost and the goal; raises as `optimize` does."""
        problem = self._problem(question)
        with _sendable(axes=axes, from_cny=from_cny, time_limit_s=time_limit_s):
            given = {"axes": axes, "from_cny": from_cny, "time_limit_s": time_limit_s}
            request = message_of(given, api.ComputeFrontierRequest)
            request.problem.CopyFrom(problem)
        timeout = _timeout(timeout_s, time_limit_s, self._timeout_s)
        response = self._call(self._stub.ComputeFrontier, request, timeout, stop)
        return record_of(response.frontier, Frontier)

    def stream_optimize(
        self,
        question: Question,
        *,
        time_limit_s: float | None = None,
        workers: int | None = None,
        prune: bool | None = None,
        today: datetime.date | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Incumbent | Result]:
        """The same, yielding each better plan as it is found; the result comes last. Close the iterator to stop."""
        request = api.StreamOptimizeRequest(
            problem=self._problem(question), options=_options(time_limit_s, workers, prune, today)
        )
        timeout = _timeout(timeout_s, time_limit_s, self._timeout_s)
        call = self._stub.StreamOptimize(request, timeout=timeout, metadata=self._metadata)
        try:
            for event in call:
                if event.HasField("result"):
                    yield record_of(event.result, Result)
                else:
                    yield record_of(event.incumbent, Incumbent)
        except grpc.RpcError as error:
            raise self._failure(error) from None
        finally:
            call.cancel()

    def check(
        self,
        question: Question,
        card: str,
        count: int = 1,
        platform: str | None = None,
        power_limit_w: int | None = None,
        today: datetime.date | None = None,
        timeout_s: float | None = None,
    ) -> CheckReport:
        """Hold a rig against every limit; raises as `optimize` does."""
        with _sendable(card=card, count=count, platform=platform, power_limit_w=power_limit_w):
            request = api.CheckPlanRequest(
                problem=self._problem(question),
                card=card,
                count=count,
                platform=platform,
                power_limit_w=power_limit_w,
                today=(today or datetime.date.today()).isoformat(),
            )
        return record_of(self._call(self._stub.CheckPlan, request, timeout_s).report, CheckReport)

    def validate(self, question: Question, timeout_s: float | None = None) -> Fingerprint:
        """What the answer to a question depends on; nothing is solved.

        Raises:
            InvalidProblem: with every fault found.
        """
        request = api.ValidateProblemRequest(problem=self._problem(question))
        response = self._call(self._stub.ValidateProblem, request, timeout_s)
        if not response.valid:
            raise InvalidProblem(_violations(response.violations))
        return record_of(response.fingerprint, Fingerprint)

    def list_cards(self, catalog_id: str | None = None) -> tuple[tuple[Card, ...], tuple[Offer, ...]]:
        """The cards of one of the server's catalogues, and their offers."""
        response = self._call(self._stub.ListCards, api.ListCardsRequest(catalog_id=catalog_id))
        cards = tuple(record_of(card, Card) for card in response.cards)
        return cards, tuple(record_of(offer, Offer) for offer in response.offers)

    def list_platforms(self, catalog_id: str | None = None) -> tuple[tuple[Platform, ...], tuple[Offer, ...]]:
        """The platforms of one of the server's catalogues, and their offers."""
        response = self._call(self._stub.ListPlatforms, api.ListPlatformsRequest(catalog_id=catalog_id))
        platforms = tuple(record_of(platform, Platform) for platform in response.platforms)
        return platforms, tuple(record_of(offer, Offer) for offer in response.offers)

    def list_workloads(self, catalog_id: str | None = None) -> tuple[Workload, ...]:
        """The workloads of one of the server's catalogues."""
        response = self._call(self._stub.ListWorkloads, api.ListWorkloadsRequest(catalog_id=catalog_id))
        return tuple(record_of(workload, Workload) for workload in response.workloads)

    def library(self, catalog_id: str | None = None) -> Library:
        """One of the server's catalogues whole, with its workloads: what questions are laid over there."""
        cards, card_offers = self.list_cards(catalog_id)
        platforms, platform_offers = self.list_platforms(catalog_id)
        catalog = Catalog(cards=cards, platforms=platforms, offers=(*card_offers, *platform_offers))
        return Library(catalog, self.list_workloads(catalog_id))

    # Calls

    def _problem(self, question: Question) -> problem_pb2.Problem:
        """The question as a message; a whole problem brings its catalogue where the server has another one."""
        if isinstance(question, Problem) and self._same_catalog is None:
            response = self._call(self._stub.ValidateProblem, api.ValidateProblemRequest())
            self._same_catalog = response.fingerprint.catalog_sha256 == catalog_digest(self._library.catalog)
        return problem_message(question, self._library, whole=self._same_catalog is False)

    def _call(
        self,
        method: Callable[..., Any],
        request: Message,
        timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Any:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        for attempt in (1, 2):
            request_id = uuid.uuid4().hex
            metadata = (*self._metadata, ("x-request-id", request_id))
            call = method.future(request, timeout=timeout_s, metadata=metadata)  # type: ignore[attr-defined]
            if stop is not None:
                threading.Thread(target=self._stop_on, args=(stop, call, request_id), daemon=True).start()
            try:
                return call.result()
            except grpc.FutureCancelledError:
                raise Interrupted from None
            except grpc.RpcError as error:
                if stop is not None and stop.is_set() and error.code() in _ELSEWHERE:
                    raise Interrupted from None
                # A server that shuts down may end a call so (grpc#41785); nobody here asked for it.
                if error.code() is not grpc.StatusCode.CANCELLED or attempt == 2:
                    raise self._failure(error) from None
            except KeyboardInterrupt:
                call.cancel()
                raise
        raise AssertionError("unreachable")

    def _stop_on(self, stop: threading.Event, call: Any, request_id: str) -> None:
        """Once `stop` is set, have the server end the search; give up if it cannot, or if no answer follows soon."""
        while not stop.wait(0.1):
            if call.done():
                return
        stopped = False
        with contextlib.suppress(grpc.RpcError, ValueError):  # also a server that knows no StopSearch, a closed channel
            asked = api.StopSearchRequest(request_id=request_id)
            stopped = self._stub.StopSearch(asked, timeout=_STOP_WITHIN_S, metadata=self._metadata).stopped
        until = time.monotonic() + (_STOP_WITHIN_S if stopped else 0.2)  # it may just have ended
        while not call.done() and time.monotonic() < until:
            time.sleep(0.02)
        call.cancel()

    def _failure(self, error: Any) -> Exception:
        code, text = error.code(), " ".join((error.details() or "").split())
        if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
            kind = UnknownName if code is grpc.StatusCode.NOT_FOUND else InvalidProblem
            return kind(_faults(error) or [Violation("request", "", text)])
        if code in _ELSEWHERE:
            return ServerUnavailable(say(_ELSEWHERE[code], server=self._server, text=text), _passes(error))
        return SolverFailure(say("the server {server} failed: {text}", server=self._server, text=text))


def _details(error: Any) -> Iterator[Any]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            yield from status_pb2.Status.FromString(value).details


def _faults(error: Any) -> list[Violation]:
    for detail in _details(error):
        faults = result_pb2.InvalidProblem()
        if detail.Unpack(faults):
            return _violations(faults.violations)
    return []


def _passes(error: Any) -> bool:
    return error.code() in _PASSING or any(
        detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in _details(error)
    )


def _violations(messages: Any) -> list[Violation]:
    """Faults with the paths of the question: without the group of the request that holds it."""
    return [Violation(v.field.removeprefix("problem."), v.value, v.allowed) for v in messages]


def _options(
    time_limit_s: float | None, workers: int | None, prune: bool | None, today: datetime.date | None
) -> api.SearchOptions:
    with _sendable(time_limit_s=time_limit_s, workers=workers, prune=prune):
        return api.SearchOptions(
            time_limit_s=time_limit_s,
            workers=workers,
            prune=prune,
            today=(today or datetime.date.today()).isoformat(),
        )


@contextlib.contextmanager
def _sendable(**values: object) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidProblem):
            raise
        given = ", ".join(f"{name} = {value!r}" for name, value in values.items() if value is not None)
        raise InvalidProblem.of("request", None, say("cannot be sent: {given}", given=given[:200])) from None


def _timeout(timeout_s: float | None, time_limit_s: float | None, default_s: float) -> float:
    if timeout_s is not None:
        return timeout_s
    return default_s if time_limit_s is None else max(default_s, time_limit_s / 0.9 + 5)


def _read(field: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        raise InvalidProblem.of(field, str(path), say("cannot be read")) from None
