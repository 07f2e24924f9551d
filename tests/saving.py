"""Saved answers of small problems for tests: solved, explained and drawn as `optimize --save` does."""

from __future__ import annotations

import datetime
from typing import Any

from solver.domain.explanation import Explanation
from solver.domain.problem import Problem
from solver.explain import ExplainOptions, explain
from solver.frontier import frontier
from solver.report.saved import Saved

TODAY = datetime.date(2026, 11, 25)
HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x","y")',
    '\'; rm -rf $HOME; `id` "$(id)"',
    "卡🚀卡\nline two",
    "+1-1",
)


def answered(problem: Problem, global_batch: int | None = None, top: int = 3) -> Saved:
    """The record behind a saved answer."""
    found: Explanation = explain(problem, ExplainOptions(top=top, today=TODAY))
    axes: Any = ("cost", "batch" if problem.goal == "cost" else problem.goal)
    return Saved(
        problem=problem,
        result=found.result,
        explanation=found,
        frontier=None if found.result.plan is None else frontier(problem, axes),
        top=found.alternatives or None,
        top_asked=True,
        as_of=TODAY,
        global_batch=global_batch,
    )
