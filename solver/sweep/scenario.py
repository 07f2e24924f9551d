"""What travels between the parent and its workers: a scenario, a batch of them, and the row of an answer.

All plain and picklable, and no solver is imported here. Modify this module when a row is to hold more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from solver.domain.limits import LIMITS

_SWEPT = ("budget", "card_count", "wall_power", "room_cooling", "min_batch", "max_epoch")
FRONTIERS = {limit.setting: limit.name for limit in LIMITS if limit.name in _SWEPT}
"""Paths of limits along which one exact staircase answers every question -> the limit's name."""


class Scenario(NamedTuple):
    """One scenario: its place in the file's order (from 1), its name, what it changes, and what it is expected to be.

    `fault` is what is wrong with it already; `frontier` the path of the limit that alone differs from its neighbours;
    `where` its file and line, for messages.
    """

    position: int
    name: str
    changes: dict[str, Any]
    expect: tuple[str, ...] = ()
    fault: str = ""
    frontier: str = ""
    where: str = ""


class Row(NamedTuple):
    """One scenario's outcome, as it is stored. Money in fen, time in hours; `answer` and `changes` are JSON."""

    position: int
    name: str
    status: str
    answered_by: str
    changes: str
    answer: str | None
    error: str
    expectation: str
    broken: str
    card_id: str | None = None
    card_count: int | None = None
    power_limit_w: int | None = None
    platform_id: str | None = None
    total_batch: int | None = None
    cost_fen: int | None = None
    epoch_hours: float | None = None
    solve_ms: float = 0.0


STORED = "en"
"""The language of what a run store holds: why a scenario failed reads the same for all who share the store."""


@dataclass(frozen=True)
class Batch:
    """Scenarios and all that their answers depend on.

    Attributes:
        library: the catalogue and workloads as JSON (see library_text.py).
        question: the base question as JSON.
        scenarios: what to answer.
        time_limit_s: seconds for the search of one scenario; None for no limit.
        alone: solve every scenario by itself with `optimize`, as a referee.
    """

    library: bytes
    question: str
    scenarios: tuple[Scenario, ...]
    time_limit_s: float | None = None
    alone: bool = False

    def part(self, scenarios: Sequence[Scenario]) -> Batch:
        """The same for some of the scenarios."""
        return Batch(self.library, self.question, tuple(scenarios), self.time_limit_s, self.alone)


dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""JSON as rows hold it."""


def failed(scenario: Scenario, error: str) -> Row:
    """The row of a scenario that has no answer."""
    return Row(
        position=scenario.position,
        name=scenario.name,
        status="failed",
        answered_by="",
        changes=dumps(scenario.changes),
        answer=None,
        error=error,
        expectation="",
        broken="",
    )
