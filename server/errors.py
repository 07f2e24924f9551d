"""What a caller is told when a call fails: the one table from our errors to google.rpc.Status with details.

Knows no grpc: solver processes use it too. No text of an exception that is not meant for the caller gets in here.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from solver.api.v1 import result_pb2
from solver.domain.errors import InvalidProblem, UnknownName, Violation

DOMAIN = "solver.api.v1"
# A status travels in HTTP/2 trailers, of which clients accept 8 KiB; details are base64 there, other text up to thrice
# as long.
_MOST_MESSAGE_BYTES = 1000
_MOST_DETAIL_BYTES = 1200
_MOST_VIOLATIONS = 20


class Refused(Exception):
    """A call that ends with this status."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Keep the status."""
        self.status = status
        super().__init__(code_pb2.Code.Name(status.code))


def _status(
    code: int, message: str, reason: str, details: Sequence[Message] = (), **metadata: str
) -> status_pb2.Status:
    packed = []
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata), *details):
        wrapped = Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return status_pb2.Status(code=code, message=message, details=packed)


def invalid(error: InvalidProblem) -> status_pb2.Status:
    """INVALID_ARGUMENT, or NOT_FOUND for a name that does not exist; the message names every fault that fits in."""
    unknown = isinstance(error, UnknownName)
    reason = "UNKNOWN_NAME" if unknown else "INVALID_VALUE"
    shown: list[Violation] = []
    room = _MOST_DETAIL_BYTES
    for fault in error.violations[:_MOST_VIOLATIONS]:
        room -= len(str(fault).encode()) + 20
        if shown and room < 0:
            break
        shown.append(fault)
    more = len(error.violations) - len(shown)
    message = "; ".join(str(fault) for fault in shown)
    if len(message.encode()) > _MOST_MESSAGE_BYTES:
        message = message.encode()[:_MOST_MESSAGE_BYTES].decode(errors="ignore") + "..."
    if more:
        message += f"; and {more} more"
    cut = [Violation(v.field[-300:], v.value[:100], v.allowed[:500]) for v in shown]
    details = (
        error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.allowed, reason=reason)
                for v in cut
            ]
        ),
        result_pb2.InvalidProblem(
            violations=[result_pb2.Violation(field=v.field, value=v.value, allowed=v.allowed) for v in cut]
        ),
    )
    return _status(code_pb2.NOT_FOUND if unknown else code_pb2.INVALID_ARGUMENT, message, reason, details)


def full(waiting: int, retry_after_s: float) -> status_pb2.Status:
    """RESOURCE_EXHAUSTED: every solver is busy and the queue is full."""
    details = (_retry(retry_after_s), _quota("queue", f"{waiting} calls wait already, the most that may"))
    message = f"all solvers are busy and {waiting} calls wait already; try again later"
    return _status(code_pb2.RESOURCE_EXHAUSTED, message, "QUEUE_FULL", details)


def out_of_memory(limit_mib: int) -> status_pb2.Status:
    """RESOURCE_EXHAUSTED: the question needs more memory than one solver may have."""
    text = f"the question needs more memory than the {limit_mib} MiB that a solver may have"
    return _status(code_pb2.RESOURCE_EXHAUSTED, text, "SOLVER_MEMORY", (_quota("memory", text),))


def draining(retry_after_s: float) -> status_pb2.Status:
    """UNAVAILABLE: this server is shutting down."""
    return _status(
        code_pb2.UNAVAILABLE, "the server is shutting down; ask another", "DRAINING", (_retry(retry_after_s),)
    )


def too_late(limit_s: float) -> status_pb2.Status:
    """DEADLINE_EXCEEDED: the solver did not stop in time and was ended."""
    text = f"no answer within {limit_s:.3g} s: the solver did not stop when told to, and was ended"
    return _status(code_pb2.DEADLINE_EXCEEDED, text, "SOLVER_ENDED")


def no_runs() -> status_pb2.Status:
    """FAILED_PRECONDITION: this server keeps no runs."""
    text = "this server keeps no runs; it must be started with --run-store FILE"
    return _status(code_pb2.FAILED_PRECONDITION, text, "NO_RUN_STORE")


def too_many_runs(what: str, most: int) -> status_pb2.Status:
    """RESOURCE_EXHAUSTED: the caller has as many open runs as may be, or the store is full."""
    text = f"{what}: {most} is the most there may be"
    return _status(code_pb2.RESOURCE_EXHAUSTED, text, "RUN_QUOTA", (_quota("runs", text),))


def store_full() -> status_pb2.Status:
    """RESOURCE_EXHAUSTED: the disk under the run store is full."""
    text = "the disk of the run store is full: nothing was changed; what is stored is kept, and can be read"
    return _status(code_pb2.RESOURCE_EXHAUSTED, text, "RUN_STORE_FULL", (_quota("disk", text),))


def unauthenticated() -> status_pb2.Status:
    """UNAUTHENTICATED: no bearer token, or none that is known."""
    text = "a known bearer token is needed in the metadata 'authorization'"
    return _status(code_pb2.UNAUTHENTICATED, text, "TOKEN")


def internal(error_id: str) -> status_pb2.Status:
    """INTERNAL: our fault; all that is told is the id under which the log has the rest."""
    text = f"internal error {error_id}; the server's log has it under this id"
    return _status(code_pb2.INTERNAL, text, "INTERNAL", error_id=error_id)


def _retry(seconds: float) -> error_details_pb2.RetryInfo:
    delay = Duration()
    delay.FromMilliseconds(int(seconds * 1000))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _quota(subject: str, description: str) -> error_details_pb2.QuotaFailure:
    violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=description)
    return error_details_pb2.QuotaFailure(violations=[violation])
