"""Runs and their answers on the wire: what the store holds of them <-> the messages of run_service.proto.

Answers travel as the very JSON that the store holds, so that a row is the same on either side; the main figures stand
beside it for whoever reads no JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from solver.api.v1 import run_service_pb2 as api
from solver.domain.errors import InvalidProblem
from solver.domain.units import cny, fen
from solver.sweep.follow import RunStatus
from solver.sweep.scenario import Row
from solver.sweep.store import Counts
from solver.sweep.submissions import State, Submission

_STATES = {
    "running": api.RUN_STATE_RUNNING,
    "finished": api.RUN_STATE_FINISHED,
    "cancelled": api.RUN_STATE_CANCELLED,
    "failed": api.RUN_STATE_FAILED,
}
_STATUSES = {
    "optimal": api.SCENARIO_STATUS_OPTIMAL,
    "feasible": api.SCENARIO_STATUS_FEASIBLE,
    "infeasible": api.SCENARIO_STATUS_INFEASIBLE,
    "no_answer": api.SCENARIO_STATUS_NO_ANSWER,
    "failed": api.SCENARIO_STATUS_FAILED,
}
_STATE_NAMES = {number: name for name, number in _STATES.items()}
_STATUS_NAMES = {number: name for name, number in _STATUSES.items()}
_TOLD = (
    *("run_id", "request_id", "file_name", "total", "done", "failed", "infeasible", "broken", "requested_by"),
    *("created_at", "error", "solver_version", "ortools_version", "library_sha256", "input_sha256", "question_sha256"),
)
_PLAIN = ("card_id", "card_count", "power_limit_w", "platform_id", "total_batch", "epoch_hours", "solve_ms")


def run_message(submission: Submission, counts: Counts) -> api.Run:
    """A run as it is told."""
    run = submission.run
    return api.Run(
        run_id=run.run_id,
        request_id=submission.request_id,
        state=_STATES[submission.state],
        file_name=run.input_name,
        total=run.total,
        done=counts.done,
        failed=counts.failed,
        infeasible=counts.infeasible,
        broken=counts.broken,
        requested_by=run.requested_by,
        created_at=run.created_at,
        ended_at=None if submission.state == "running" else submission.ended_at,
        error=submission.error or None,
        options=api.RunOptions(
            time_limit_s=run.options["time_limit_s"],
            frontiers=run.options["frontiers"],
        ),
        solver_version=run.solver_version,
        ortools_version=run.ortools_version,
        library_sha256=run.library_sha256,
        input_sha256=run.input_sha256,
        question_sha256=run.question_sha256,
    )


def status_of(message: api.Run, watched: api.WatchRunResponse | None = None) -> RunStatus:
    """The run that a message tells; `watched` adds what only watching tells."""
    given: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    options = message.options
    told: dict[str, Any] = {name: getattr(message, name) for name in _TOLD}
    if watched is not None and watched.HasField("scenarios_per_second"):
        told["scenarios_per_second"] = watched.scenarios_per_second
    if watched is not None and watched.HasField("best"):
        told["best"] = row_of(watched.best)
    return RunStatus(
        state=cast(State, _STATE_NAMES.get(message.state, "running")),
        ended_at=given.get("ended_at"),
        time_limit_s=options.time_limit_s if options.HasField("time_limit_s") else None,
        frontiers=options.frontiers,
        **told,
    )


def result_message(row: Mapping[str, Any]) -> api.ScenarioResult:
    """A result as it is told; `row` has the columns of `Row`, and `finished_at` where it is stored."""
    expectation = row["expectation"]
    return api.ScenarioResult(
        position=row["position"],
        name=row["name"],
        status=_STATUSES[row["status"]],
        answered_by=row["answered_by"] or None,
        changes_json=row["changes"],
        answer_json=row["answer"],
        error=row["error"] or None,
        as_expected=None if not expectation else expectation == "holds",
        broken=row["broken"] or None,
        cost_cny=None if row["cost_fen"] is None else float(cny(row["cost_fen"])),
        finished_at=row.get("finished_at"),
        **{name: row[name] for name in _PLAIN},
    )


def row_of(message: api.ScenarioResult) -> Row:
    """The row that a message tells."""
    given: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    return Row(
        position=message.position,
        name=message.name,
        status=_STATUS_NAMES.get(message.status, "failed"),
        answered_by=message.answered_by,
        changes=message.changes_json,
        answer=given.get("answer_json"),
        error=message.error,
        expectation=("holds" if message.as_expected else "broken") if "as_expected" in given else "",
        broken=message.broken,
        cost_fen=fen(Decimal(repr(message.cost_cny))) if "cost_cny" in given else None,
        **{name: given[name] for name in _PLAIN if name in given},
    )


def page_token(of: str, place: int) -> str:
    """The token for what follows a place in the list of that name."""
    return base64.urlsafe_b64encode(json.dumps([of, place]).encode()).decode().rstrip("=")


def place_of(token: str, of: str) -> int:
    """The place that a token of the list of that name stands for.

    Raises:
        InvalidProblem: no token of this list.
    """
    try:
        if len(token) > 500:
            raise ValueError
        name, place = json.loads(base64.b64decode(token.encode() + b"=" * (-len(token) % 4), b"-_", validate=True))
        if name != of or type(place) is not int or not 0 <= place < 2**62:
            raise ValueError
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidProblem.of(
            "page_token", token[:40], "must be the next_page_token of a page of this list"
        ) from None
    return place
