"""What the server, the process that drives runs and the solver processes tell each other about runs.

Frames are those of server/frames.py; the kinds here are of the socket between the server and the process of the runs.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solver.sweep.scenario import Batch, Row, Scenario

# process of the runs -> server
BATCH, DROP, EVENT, REPLY, NOTE, FAULT, UP = 31, 32, 33, 34, 35, 36, 37
# server -> process of the runs
NEWS, ROWS, LOST, CANCEL = 41, 42, 43, 44

DIED, LATE, BROKEN = 1, 2, 3
"""Why a batch was lost: its solver died, it took too long, or the task broke."""
ANSWER = "AnswerScenarios"
"""The task of a solver process that answers a batch; no RPC."""
FIRST_BATCH, BATCH_S = 10, 0.05
"""Batches of this length at most delay a question where there is one slot only; long enough to be worth sending."""

NUMBER = struct.Struct(">I")
BATCH_HEAD = struct.Struct(">Id")
LOST_HEAD = struct.Struct(">IB")
EVENT_HEAD = struct.Struct(">B?")


@dataclass(frozen=True)
class RunsConfig:
    """Where runs are kept, and what one may ask for.

    Attributes:
        store: the file of the store.
        max_file_bytes: largest scenario file.
        max_scenarios: most scenarios of one run.
        max_open: most runs of one caller that are not over.
        max_kept: most runs in the store.
        max_time_s: longest search for one scenario.
    """

    store: str
    max_file_bytes: int
    max_scenarios: int
    max_open: int
    max_kept: int
    max_time_s: float


def disk_full(error: Exception) -> bool:
    """Whether the run store could not be written because its disk is full."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def event(run_id: str, final: bool, message: bytes) -> bytes:
    """The payload of an EVENT frame: how a run goes on, as a message for watchers."""
    name = run_id.encode()
    return EVENT_HEAD.pack(len(name), final) + name + message


def event_of(payload: bytes) -> tuple[str, bool, bytes]:
    """(run, whether it is over, message) of an EVENT frame."""
    length, final = EVENT_HEAD.unpack_from(payload)
    start = EVENT_HEAD.size
    return payload[start : start + length].decode(), final, payload[start + length :]


def batch_bytes(run: Mapping[str, str], batch: Batch) -> bytes:
    """A batch on its way to a solver process, which reads catalogue and question in the store itself.

    Args:
        run: `run_id`, `library_sha256` and `question_sha256`.
        batch: the batch.
    """
    told = {**run, "time_limit_s": batch.time_limit_s, "alone": batch.alone, "scenarios": batch.scenarios}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def batch_of(data: bytes) -> tuple[dict[str, str], Batch]:
    """The run and the batch that `batch_bytes` wrote, without catalogue and question."""
    told: dict[str, Any] = json.loads(data)
    scenarios = tuple(Scenario(*fields)._replace(expect=tuple(fields[3])) for fields in told.pop("scenarios"))
    return told, Batch(b"", "", scenarios, told.pop("time_limit_s"), told.pop("alone"))


def rows_bytes(rows: Sequence[Row]) -> bytes:
    """The rows of a batch on their way back."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def rows_of(data: bytes) -> list[Row]:
    """The rows that `rows_bytes` wrote."""
    return [Row(*fields) for fields in json.loads(data)]
