"""What is answered when a search neither ends nor listens in time, as CP-SAT in the presolve of a very large model.

Knows the plans that the search has told of so far, and trusts none: each is recomputed in plain integers before it is
sent, and nothing is called proved.
"""

from __future__ import annotations

import datetime
import time

from solver.domain.errors import SolverFailure
from solver.domain.goals import GOAL_SPECS
from solver.domain.notices import notices_for
from solver.domain.plan import Incumbent, Result, Statistics
from solver.domain.problem import Problem
from solver.domain.recheck import broken, figures_of, plan_of, usage_of
from solver.model.groups import number_of_pairs
from solver.solve import fingerprint


def so_far(
    problem: Problem,
    today: datetime.date | None,
    *,
    best: Incumbent | None = None,
    workers: int = 1,
    searched_since: float | None = None,
) -> Result:
    """The best plan so far with the bound known when it was found, or `no_answer`.

    Args:
        problem: the question.
        today: the day against which prices age; today if None.
        best: the last plan the search told of.
        workers: CP-SAT workers of the search.
        searched_since: when the search began, seconds of the monotonic clock.

    Raises:
        SolverFailure: the plan did not survive the re-check.
    """
    spec = GOAL_SPECS[problem.goal]
    spent_ms = 0.0 if searched_since is None else round((time.monotonic() - searched_since) * 1000, 3)
    statistics = Statistics(
        pairs=number_of_pairs(problem), pairs_in_model=0, solve_ms=spent_ms, total_ms=spent_ms, workers=workers
    )
    day = today or datetime.date.today()
    if best is None:
        return Result(
            status="no_answer",
            goal=problem.goal,
            confidence=problem.confidence,
            objective_unit=spec.unit,
            warnings=notices_for(problem, None, day),
            statistics=statistics,
            fingerprint=fingerprint(problem),
        )
    figures = figures_of(problem, best.choice)
    objective = spec.objective(figures.total_batch, figures.cost_fen, figures.epoch_us)
    if broken(problem, figures) or objective != best.objective:
        raise SolverFailure(f"{best.choice} did not survive the re-check")
    plan = plan_of(problem, best.choice)
    return Result(
        status="feasible",
        goal=problem.goal,
        confidence=problem.confidence,
        objective=objective,
        bound=best.bound,
        objective_unit=spec.unit,
        plan=plan,
        usage=usage_of(problem, figures),
        warnings=notices_for(problem, plan, day),
        statistics=statistics,
        fingerprint=fingerprint(problem),
    )
