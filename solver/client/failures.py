"""What a server says went wrong, as the errors of the library.

Modify this module when a server answers with another status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from solver.api.v1 import result_pb2
from solver.domain.errors import InvalidProblem, ServerUnavailable, SolverFailure, UnknownName, Violation
from solver.domain.language import message, say

ELSEWHERE = {
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


def failure(error: Any, server: str) -> Exception:
    """The error of a call that failed, to be raised: the same that the library would raise here."""
    code, text = error.code(), " ".join((error.details() or "").split())
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
        kind = UnknownName if code is grpc.StatusCode.NOT_FOUND else InvalidProblem
        return kind(_faults(error) or [Violation("request", "", text)])
    if code in ELSEWHERE:
        return ServerUnavailable(say(ELSEWHERE[code], server=server, text=text), _passes(error))
    return SolverFailure(say("the server {server} failed: {text}", server=server, text=text))


def violations_of(messages: Any) -> list[Violation]:
    """Faults with the paths of the question: without the group of the request that holds it."""
    return [Violation(v.field.removeprefix("problem."), v.value, v.allowed) for v in messages]


def _details(error: Any) -> Iterator[Any]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            yield from status_pb2.Status.FromString(value).details


def _faults(error: Any) -> list[Violation]:
    for detail in _details(error):
        faults = result_pb2.InvalidProblem()
        if detail.Unpack(faults):
            return violations_of(faults.violations)
    return []


def _passes(error: Any) -> bool:
    return error.code() in _PASSING or any(
        detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in _details(error)
    )
