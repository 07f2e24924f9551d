"""Questions of chosen difficulty for the server, as messages."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2, status_pb2

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import problem_pb2, result_pb2
from solver.wire import message_of
from tests import builders

DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
    error_details_pb2.QuotaFailure,
    result_pb2.InvalidProblem,
)


def budget(amount: float = 300_000, **options: Any) -> api.OptimizeRequest:
    """The default question with a budget."""
    return api.OptimizeRequest(
        problem=problem_pb2.Problem(limits=problem_pb2.Limits(budget_cny=amount)), options=api.SearchOptions(**options)
    )


def asking(problem: dict[str, Any]) -> api.OptimizeRequest:
    """A question written as JSON."""
    return ParseDict({"problem": problem}, api.OptimizeRequest())


@lru_cache(maxsize=4)
def _market(cards: int, platforms: int) -> problem_pb2.Problem:
    bought = [
        builders.card(
            f"card-{i}",
            vram_mib=24576 + 97 * i,
            tdp_w=200 + i,
            power_limit_min_w=100,
            slot_width=1 + i % 3,
            bf16_dense_tflops=100 + 3 * (i % 17),
        )
        for i in range(cards)
    ]
    places = [
        builders.platform(f"base-{i}", airflow_cfm=100 + 2 * i, host_draw_w=200 + 11 * i, expansion_slots=4 + i % 6)
        for i in range(platforms)
    ]
    prices = {f"card-{i}": 8000 + 331 * ((i * 7919) % cards) for i in range(cards)}
    prices |= {f"base-{i}": 20_000 + 97 * ((i * 31) % platforms) for i in range(platforms)}
    offers = [builders.offer(name, price) for name, price in prices.items()]
    catalog = {"cards": bought, "platforms": places, "offers": offers}
    return message_of({"goal": "value", "limits": {"max_cards": 8}, "catalog": catalog}, problem_pb2.Problem)


def slow(cards: int = 40, platforms: int = 30, **options: Any) -> api.OptimizeRequest:
    """A question on a catalogue of its own that keeps a solver busy for many seconds: every pair is searched."""
    return api.OptimizeRequest(problem=_market(cards, platforms), options=api.SearchOptions(prune=False, **options))


def details(error: Any) -> dict[str, Any]:
    """The details of a failed call, by the name of their message."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    found: dict[str, Any] = {}
    for packed in status.details:
        for kind in DETAILS:
            message = kind()
            if packed.Unpack(message):
                found[kind.DESCRIPTOR.name] = message
    assert len(found) == len(status.details)
    return found
