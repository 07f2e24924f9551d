"""Why this answer: conflicts and ways out where nothing fits; limits, price ranges, uncertain figures, alternatives
where something does.

Every threshold is read off the columns of the pairs first and then solved (solver.batch), at the threshold and one unit
short of it; a sentence that CP-SAT does not confirm is an error of ours, never an answer. Modify this module when an
explanation gets another chapter; each chapter is a module beside it.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from solver.batch import UNHURRIED, OutOfTime, Patience, Space
from solver.domain.explanation import Alternative, Explanation
from solver.domain.plan import Choice
from solver.domain.problem import Problem
from solver.explain.alternatives import alternatives, card_accounts
from solver.explain.breakpoints import limit_breakpoints
from solver.explain.conflict import conflict
from solver.explain.figures import figure_ranges
from solver.explain.memory import memory_breakpoints
from solver.explain.prices import price_ranges
from solver.explain.relax import relaxations
from solver.explain.timing import Timing
from solver.solve import Options, optimize

__all__ = ["ExplainOptions", "explain", "top"]


@dataclass(frozen=True)
class ExplainOptions:
    """How much to explain, and for how long.

    Attributes:
        top: how many alternatives, the plan itself included.
        time_limit_s: seconds for all of it; None for no limit. What was proved until then is kept.
        today: the day against which prices age; None for today.
        stop: set it to stop; what was proved until then is kept.
    """

    top: int = 5
    time_limit_s: float | None = None
    today: datetime.date | None = None
    stop: threading.Event | None = None


def explain(problem: Problem, options: ExplainOptions = ExplainOptions()) -> Explanation:
    """Answer the question and say why: see `Explanation`.

    Raises:
        SolverFailure: the solver broke, or contradicts what was read off the columns.
    """
    started = time.perf_counter()
    patience = Patience.of(options.time_limit_s, options.stop)
    result = optimize(problem, Options(time_limit_s=options.time_limit_s, today=options.today, stop=options.stop))
    book = _Book(patience, result.status in ("optimal", "infeasible"))
    if book.complete:
        space = Space.of(problem)
        best = None if result.plan is None else _index_of(space, result.plan.choice)
        if best is None:
            _why_not(book, space)
        else:
            _why(book, space, best, options.top)
    return Explanation(
        result=result,
        complete=book.complete,
        **book.chapters,
        what_ifs=patience.solved.count,
        total_ms=round((time.perf_counter() - started) * 1000, 3),
    )


class _Book:
    """The chapters written so far; one that time does not allow is left out, and the rest is still tried."""

    def __init__(self, patience: Patience, complete: bool) -> None:
        self.patience = patience
        self.complete = complete
        self.chapters: dict[str, Any] = {}

    def write(self, chapter: Callable[[], dict[str, Any]]) -> None:
        try:
            self.chapters.update(chapter())
        except OutOfTime:
            self.complete = False


def _why_not(book: _Book, space: Space) -> None:
    found = conflict(space, book.patience)
    book.chapters["conflict"] = found
    book.complete &= found.minimal
    book.write(lambda: dict(zip(("relaxations", "together"), relaxations(space, book.patience), strict=True)))
    book.write(lambda: {"cards": card_accounts(space, None, book.patience)})


def _why(book: _Book, space: Space, best: int, count: int) -> None:
    patience = book.patience
    book.write(lambda: {"alternatives": alternatives(space, count, patience)})
    book.write(lambda: {"cards": card_accounts(space, best, patience)})
    book.write(lambda: {"limits": limit_breakpoints(space, best, patience)})
    book.write(lambda: {"prices": price_ranges(space, best, patience)})

    timing = Timing(space)

    def figures() -> dict[str, Any]:
        ranges, all_of_them = figure_ranges(timing, best, patience)
        book.complete &= all_of_them
        return {"figures": ranges}

    def memory() -> dict[str, Any]:
        reserve = next((f for f in book.chapters.get("figures", ()) if f.field == "reserve_gb"), None)
        found = memory_breakpoints(timing, best, reserve, patience)
        return {} if found is None else {"limits": (*book.chapters.get("limits", ()), found)}

    book.write(figures)
    book.write(memory)


def _index_of(space: Space, choice: Choice) -> int:
    pairs = space.pairs
    f = pairs.figures
    card = [c.id for c in space.cards].index(choice.card_id)
    platform = [p.id for p in space.platforms].index(choice.platform_id)
    (at,) = np.flatnonzero(
        (pairs.card == card)
        & (pairs.platform == platform)
        & (f.card_count == choice.card_count)
        & (f.power_limit_w == choice.power_limit_w)
        & (pairs.with_used == choice.with_used)
    )
    return int(at)


def top(problem: Problem, count: int, patience: Patience = UNHURRIED) -> tuple[Alternative, ...]:
    """The `count` best plans that differ in card, count or platform, best first; see `Alternative`.

    Raises:
        OutOfTime: not all was proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    return alternatives(Space.of(problem), count, patience)
