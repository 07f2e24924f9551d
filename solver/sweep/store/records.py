"""A run and its counts as records, and the columns that runs and results have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from solver.sweep.scenario import Row

RESULT_COLUMNS = (*Row._fields, "finished_at")
INSERT_RESULT = (
    f"INSERT INTO result (run, {', '.join(RESULT_COLUMNS)}) "
    f"VALUES (?, {', '.join('?' * len(RESULT_COLUMNS))}) ON CONFLICT (run, position) DO NOTHING"
)
RUN_COLUMNS = (
    "number, run_id, state, created_at, finished_at, requested_by, process, solver_version, ortools_version, "
    "library_sha256, catalog_sha256, input_sha256, input_name, question, question_sha256, paths, options, total"
)


@dataclass(frozen=True)
class Run:
    """A run as it is registered; `number` is its key inside the store. Times are UTC, ISO 8601."""

    number: int
    run_id: str
    state: str
    created_at: str
    finished_at: str | None
    requested_by: str
    process: str
    solver_version: str
    ortools_version: str
    library_sha256: str
    catalog_sha256: str
    input_sha256: str
    input_name: str
    question: str
    question_sha256: str
    paths: tuple[str, ...]
    options: dict[str, Any]
    total: int


@dataclass(frozen=True)
class Counts:
    """How far a run is."""

    done: int
    failed: int
    infeasible: int
    broken: int


def run_of(row: tuple[Any, ...]) -> Run:
    """The run that a row of `RUN_COLUMNS` is."""
    values = dict(zip(RUN_COLUMNS.split(", "), row, strict=True))
    values["paths"] = tuple(json.loads(values["paths"]))
    values["options"] = json.loads(values["options"])
    return Run(**values)
