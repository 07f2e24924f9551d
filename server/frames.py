"""Frames between the server and its solver processes: one byte of kind, four of length, then the payload."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct(">BI")

# server -> solver process; LATE is a stop whose caller still waits, and may get the fallback
JOB, STOP, LATE, PING = 1, 2, 3, 4
# solver process -> server
READY, STARTED, EVENT, FALLBACK, RESULT, REFUSED, BROKEN, PONG = 11, 12, 13, 14, 15, 16, 17, 18
# server <-> the process that forks the solver processes
FORK, KILL, FORKED, EXITED = 21, 22, 23, 24

_JOB = struct.Struct(">dH")
_RESULT = struct.Struct(">ddd?")
SECONDS = struct.Struct(">d")
PID = struct.Struct(">i")
PID_AND_STATUS = struct.Struct(">ii")


EXIT_MEMORY = 86
"""Exit code of a solver process that could not get the memory it wanted."""


@dataclass(frozen=True)
class Config:
    """What the solver processes need to know of the server's settings."""

    catalogs: Mapping[str, str]
    memory_limit_mib: int
    max_entries: int
    max_workers: int
    runs: Mapping[str, Any] | None = None
    """The fields of `RunsConfig`; None on a server that keeps no runs."""


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(payload)) + payload


@dataclass(frozen=True, slots=True)
class Job:
    """A call: the RPC's name, when the search must end, the request, and when its caller stops waiting.

    Times are seconds of the machine's monotonic clock, which all processes share.
    """

    method: str
    stop_at: float
    request: bytes
    deadline: float = math.inf

    def packed(self) -> bytes:
        """The payload of a JOB frame."""
        name = self.method.encode()
        return b"".join((_JOB.pack(self.stop_at, len(name)), name, self.request))

    @classmethod
    def unpacked(cls, payload: bytes) -> Job:
        """The job in a JOB frame."""
        stop_at, length = _JOB.unpack_from(payload)
        start = _JOB.size + length
        return cls(payload[_JOB.size : start].decode(), stop_at, payload[start:])


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and what was measured on the way; NaN where there was nothing to measure.

    Attributes:
        response: the serialized response message.
        solve_s: seconds of the search and what belongs to it.
        first_incumbent_s: seconds until the first plan.
        gap: |objective - bound| / |objective| when the search stopped.
        retiring: the solver process has grown and ends itself after this answer.
    """

    response: bytes
    solve_s: float
    first_incumbent_s: float
    gap: float
    retiring: bool

    def packed(self) -> bytes:
        """The payload of a RESULT frame."""
        return _RESULT.pack(self.solve_s, self.first_incumbent_s, self.gap, self.retiring) + self.response

    @classmethod
    def unpacked(cls, payload: bytes) -> Answer:
        """The answer in a RESULT frame."""
        return cls(payload[_RESULT.size :], *_RESULT.unpack_from(payload))


def receive(connection: socket.socket) -> tuple[int, bytes] | None:
    """Read one frame from a blocking socket; None at its end."""
    header = _exactly(connection, HEADER.size)
    if header is None:
        return None
    kind, length = HEADER.unpack(header)
    payload = _exactly(connection, length)
    return None if payload is None else (kind, payload)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        try:
            part = connection.recv(min(length - len(parts), 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
