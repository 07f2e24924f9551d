"""What a solver process does: one function per RPC, request bytes in, response bytes out.

To add an RPC: its lines in the .proto, and one function with `@rpc` here. Knows no grpc and no process.
"""

from __future__ import annotations

import datetime
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from google.protobuf.message import Message
from pydantic import Field, ValidationError, field_validator

from server.fallback import so_far
from server.frames import Answer
from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import problem_pb2
from solver.batch import OutOfTime, Patience
from solver.catalog import Library
from solver.check import check
from solver.domain.base import Date, Flag, Record
from solver.domain.errors import InvalidProblem, Violation, from_validation_error
from solver.domain.explanation import AXIS_UNITS, Axis, Explanation, Frontier
from solver.domain.plan import Incumbent, Result
from solver.domain.problem import Problem
from solver.domain.units import Cny
from solver.explain import ExplainOptions, explain, top
from solver.frontier import frontier
from solver.report.json_form import gap
from solver.solve import Options, fingerprint, optimize
from solver.wire import asked, library_named, message_of, parsed, plain_of

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Record)
DEFAULT_PLATFORM = "guide-base"


class SearchOptions(Record):
    """How a caller wants the search run; the fields of the message of the same name."""

    time_limit_s: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    workers: Annotated[int, Field(ge=1)] = 1
    prune: Flag = True
    today: Date | None = None


class TopOptions(Record):
    """How many of the best plans a caller wants."""

    top: Annotated[int, Field(ge=1, le=1000)] | None = None


class ExplainRequest(Record):
    """What a caller wants explained; the fields of the message of the same name but for the question."""

    top: Annotated[int, Field(ge=1, le=1000)] = 5
    time_limit_s: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    today: Date | None = None


class ComputeFrontierRequest(Record):
    """Which curve a caller wants; the fields of the message of the same name but for the question."""

    axes: tuple[Axis, ...] = ()
    from_cny: Cny | None = None
    time_limit_s: Annotated[float, Field(ge=0, le=1_000_000)] | None = None

    @field_validator("axes")
    @classmethod
    def _two(cls, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        if axes and (len(axes) != 2 or axes[0] == axes[1]):
            raise ValueError("must be two different axes, or none for the default")
        return axes


@dataclass
class Call:
    """One call being answered: the catalogues, the caps, how to be stopped, and what was measured."""

    libraries: Mapping[str, Library]
    max_entries: int
    max_workers: int
    stop_at: float
    """When the search must end, seconds of the monotonic clock."""
    stop: threading.Event
    started: Callable[[float | None], None]
    """Told the seconds the search may take, if that is less than `stop_at` says."""
    emit: Callable[[bytes], None]
    """Told each message of a streamed response but the last."""
    fallback: Callable[[], Answer] | None = None
    """Makes the answer for when the search neither ends nor listens in time; None before the search."""
    runs: Mapping[str, Any] | None = None
    """The fields of `RunsConfig`, where the server keeps runs."""
    solve_s: float = math.nan
    first_incumbent_s: float = math.nan
    gap: float = math.nan
    _began: float = field(default=0.0, init=False)

    def problem(self, message: problem_pb2.Problem) -> Problem:
        """The question of a request."""
        entries = entries_of(message)
        if entries > self.max_entries:
            raise InvalidProblem.of(
                "problem", None, f"names {entries:,} cards, platforms, offers, prices and ids; the most is "
                f"{self.max_entries:,}"
            )  # fmt: skip
        with under("problem"):
            return asked(message, self.libraries)

    def begin(self, time_limit_s: float | None, fallback: Callable[[], tuple[Message, float]]) -> float:
        """Begin the search: the seconds it may take, within the caps.

        Args:
            time_limit_s: the caller's limit.
            fallback: makes what is said if the search does not end in time, and the gap it leaves open, NaN for none.
        """
        self._began = time.monotonic()
        left = max(0.0, self.stop_at - self._began)
        limit = left if time_limit_s is None else min(left, time_limit_s)

        def answer() -> Answer:
            message, left_open = fallback()
            spent_s = time.monotonic() - self._began
            return Answer(message.SerializeToString(), spent_s, self.first_incumbent_s, left_open, False)

        self.fallback = answer
        self.started(limit if limit < left else None)
        return limit

    def solve(
        self,
        problem: Problem,
        message: api.SearchOptions,
        kind: type[Message],
        emit: Callable[[Incumbent], None] | None = None,
    ) -> Result:
        """Search within the caps, and measure. Answers of `kind` hold the result under that name."""
        options = _validated(SearchOptions, plain_of(message), "options")
        if options.workers > self.max_workers:
            raise InvalidProblem.of("options.workers", options.workers, f"must be between 1 and {self.max_workers}")
        best: Incumbent | None = None

        def unfinished() -> tuple[Message, float]:
            known = so_far(problem, options.today, best=best, workers=options.workers, searched_since=self._began)
            return message_of({"result": known}, kind), _gap(known)

        limit = self.begin(options.time_limit_s, unfinished)

        def incumbent(found: Incumbent) -> None:
            nonlocal best
            best = found
            if math.isnan(self.first_incumbent_s):
                self.first_incumbent_s = time.monotonic() - self._began
            if emit is not None:
                emit(found)

        result = optimize(
            problem,
            Options(
                time_limit_s=limit,
                workers=options.workers,
                prune=options.prune,
                today=options.today,
                stop=self.stop,
                on_incumbent=incumbent,
            ),
        )
        self.ended()
        self.gap = _gap(result)
        return result

    def ended(self) -> None:
        """Note how long the search took."""
        self.solve_s = time.monotonic() - self._began


Task = Callable[[bytes, Call], bytes]
TASKS: dict[str, Task] = {}


def rpc(kind: type[M]) -> Callable[[Callable[[M, Call], Message]], Task]:
    """Register a function as the RPC of its name in CamelCase; `kind` is the request's message."""

    def register(function: Callable[[M, Call], Message]) -> Task:
        def task(data: bytes, call: Call) -> bytes:
            return function(parsed(data, kind), call).SerializeToString()

        TASKS["".join(part.title() for part in function.__name__.split("_"))] = task
        return task

    return register


@rpc(api.OptimizeRequest)
def _optimize(request: api.OptimizeRequest, call: Call) -> Message:
    wanted = request.top if request.HasField("top") else None
    _validated(TopOptions, {"top": wanted})
    problem = call.problem(request.problem)
    result = call.solve(problem, request.options, api.OptimizeResponse)
    if wanted is None or result.status != "optimal":
        return message_of({"result": result}, api.OptimizeResponse)
    left = max(0.0, call.stop_at - time.monotonic())
    if request.options.HasField("time_limit_s"):
        left = min(left, max(0.0, request.options.time_limit_s - call.solve_s))
    try:
        best = top(problem, wanted, Patience.of(left, call.stop))
    except OutOfTime:
        return message_of({"result": result, "alternatives_proved": False}, api.OptimizeResponse)
    found = {"result": result, "alternatives": best, "alternatives_proved": True}
    return message_of(found, api.OptimizeResponse)


@rpc(api.StreamOptimizeRequest)
def _stream_optimize(request: api.StreamOptimizeRequest, call: Call) -> Message:
    def emit(found: Incumbent) -> None:
        call.emit(message_of({"incumbent": found}, api.StreamOptimizeResponse).SerializeToString())

    result = call.solve(call.problem(request.problem), request.options, api.StreamOptimizeResponse, emit)
    return message_of({"result": result}, api.StreamOptimizeResponse)


@rpc(api.ExplainRequest)
def _explain(request: api.ExplainRequest, call: Call) -> Message:
    wanted = _validated(ExplainRequest, _without_problem(request))
    problem = call.problem(request.problem)

    def unexplained() -> tuple[Message, float]:
        nothing = Explanation(result=so_far(problem, wanted.today), complete=False)
        return message_of({"explanation": nothing}, api.ExplainResponse), math.nan

    limit = call.begin(wanted.time_limit_s, unexplained)
    options = ExplainOptions(top=wanted.top, time_limit_s=limit, today=wanted.today, stop=call.stop)
    found = explain(problem, options)
    call.ended()
    return message_of({"explanation": found}, api.ExplainResponse)


@rpc(api.ComputeFrontierRequest)
def _compute_frontier(request: api.ComputeFrontierRequest, call: Call) -> Message:
    wanted = _validated(ComputeFrontierRequest, _without_problem(request))
    problem = call.problem(request.problem)
    first, second = wanted.axes or (("cost", "batch") if problem.goal == "cost" else ("cost", problem.goal))

    def undrawn() -> tuple[Message, float]:
        units = (AXIS_UNITS[first], AXIS_UNITS[second])
        nothing = Frontier(axes=(first, second), units=units, goal=problem.goal, points=(), complete=False)
        return message_of({"frontier": nothing}, api.ComputeFrontierResponse), math.nan

    limit = call.begin(wanted.time_limit_s, undrawn)
    found = frontier(problem, (first, second), wanted.from_cny, Patience.of(limit, call.stop))
    call.ended()
    return message_of({"frontier": found}, api.ComputeFrontierResponse)


@rpc(api.CheckPlanRequest)
def _check_plan(request: api.CheckPlanRequest, call: Call) -> Message:
    problem = call.problem(request.problem)
    if not request.HasField("card"):
        raise InvalidProblem.of("card", None, "is required")
    report = check(
        problem,
        request.card,
        request.count if request.HasField("count") else 1,
        request.platform if request.HasField("platform") else DEFAULT_PLATFORM,
        request.power_limit_w if request.HasField("power_limit_w") else None,
        _day(request.today) if request.HasField("today") else datetime.date.today(),
    )
    return message_of({"report": report}, api.CheckPlanResponse)


@rpc(api.ListCardsRequest)
def _list_cards(request: api.ListCardsRequest, call: Call) -> Message:
    catalog = _library(request, call).catalog
    offers = [offer for offer in catalog.offers if offer.item_id in catalog.card_by_id]
    return message_of({"cards": catalog.cards, "offers": offers}, api.ListCardsResponse)


@rpc(api.ListPlatformsRequest)
def _list_platforms(request: api.ListPlatformsRequest, call: Call) -> Message:
    catalog = _library(request, call).catalog
    offers = [offer for offer in catalog.offers if offer.item_id in catalog.platform_by_id]
    return message_of({"platforms": catalog.platforms, "offers": offers}, api.ListPlatformsResponse)


@rpc(api.ListWorkloadsRequest)
def _list_workloads(request: api.ListWorkloadsRequest, call: Call) -> Message:
    return message_of({"workloads": _library(request, call).workloads}, api.ListWorkloadsResponse)


@rpc(api.ValidateProblemRequest)
def _validate_problem(request: api.ValidateProblemRequest, call: Call) -> Message:
    try:
        problem = call.problem(request.problem)
    except InvalidProblem as error:
        faults = [vars(fault) for fault in error.violations[:1000]]
        return message_of({"valid": False, "violations": faults}, api.ValidateProblemResponse)
    return message_of({"valid": True, "fingerprint": fingerprint(problem)}, api.ValidateProblemResponse)


def _gap(result: Result) -> float:
    left_open = gap(result)
    return math.nan if left_open is None else left_open


@contextmanager
def under(prefix: str) -> Iterator[None]:
    """Put the name of the group of the request before the path of every fault found inside."""
    try:
        yield
    except InvalidProblem as error:
        raise type(error)(
            Violation(v.field if v.field == prefix else f"{prefix}.{v.field}", v.value, v.allowed)
            for v in error.violations
        ) from None


def _library(request: Any, call: Call) -> Library:
    return library_named(request.catalog_id if request.HasField("catalog_id") else None, call.libraries)


def _validated(kind: type[R], plain: Mapping[str, Any], prefix: str = "") -> R:
    try:
        return kind.model_validate(plain)
    except ValidationError as error:
        raise from_validation_error(error, prefix) from None


def _without_problem(request: Message) -> dict[str, Any]:
    return {name: value for name, value in plain_of(request).items() if name != "problem"}


def _day(text: str) -> datetime.date:
    try:
        return SearchOptions.model_validate({"today": text}).today or datetime.date.today()
    except ValidationError as error:
        raise from_validation_error(error) from None


def entries_of(message: problem_pb2.Problem) -> int:
    """How many cards, platforms, offers, prices and ids a question names."""
    limits, own = message.limits, message.catalog
    counts = [len(message.prices), len(message.cards), len(message.platforms), len(message.offers)]
    counts += [len(own.cards), len(own.platforms), len(own.offers), len(own.workloads)]
    return sum(counts) + len(limits.include) + len(limits.exclude)
