"""Questions to a server, records in, records out: the calls of OptimizerService.

Modify this module when OptimizerService has another method.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import grpc

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import problem_pb2
from solver.catalog import Library
from solver.check import CheckReport
from solver.client.connection import Connection
from solver.client.failures import violations_of
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.errors import InvalidProblem
from solver.domain.explanation import Alternative, Axis, Explanation, Frontier
from solver.domain.language import say
from solver.domain.plan import Fingerprint, Incumbent, Result
from solver.domain.problem import Problem, catalog_digest
from solver.domain.workload import Workload
from solver.wire import message_of, problem_message, record_of

Question = Problem | Mapping[str, Any]


class QuestionCalls(Connection):
    """The calls of OptimizerService."""

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
            raise InvalidProblem(violations_of(response.violations))
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

    def _problem(self, question: Question) -> problem_pb2.Problem:
        """The question as a message; a whole problem brings its catalogue where the server has another one."""
        if isinstance(question, Problem) and self._same_catalog is None:
            response = self._call(self._stub.ValidateProblem, api.ValidateProblemRequest())
            self._same_catalog = response.fingerprint.catalog_sha256 == catalog_digest(self._library.catalog)
        return problem_message(question, self._library, whole=self._same_catalog is False)


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
