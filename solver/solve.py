"""solve: Problem -> Result. Prepares the pairs, prunes, builds, lets CP-SAT prove, and re-checks in plain integers.

`status` says what is known: `optimal` only with a proof. Modify this module when the search is run differently; what
is searched lives in model/, what is told about it in domain/plan.py.
"""

from __future__ import annotations

import _thread
import datetime
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import ortools
from ortools.sat.python import cp_model_helper as cp

from solver import __version__
from solver.domain.errors import SolverFailure
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import UNMOVED, Figures, Moved
from solver.domain.notices import notices_for
from solver.domain.plan import Choice, Fingerprint, Incumbent, Plan, Result, Statistics, Status, Usage
from solver.domain.problem import Problem, catalog_digest
from solver.domain.recheck import broken, figures_of, plan_of, usage_of
from solver.model.bound import within_reach
from solver.model.build import Model, build
from solver.model.groups import LARGE, number_of_pairs
from solver.model.pairs import Pairs, pairs_of
from solver.model.prune import survivors
from solver.model.rules import inequalities, violated_sets


@dataclass(frozen=True)
class Options:
    """How to search. The answer does not depend on any of these, only whether it is reached and proved.

    Attributes:
        time_limit_s: seconds for the search; None for no limit.
        workers: CP-SAT workers; one is fastest for questions of this size.
        prune: False solves with every pair.
        today: the day against which prices age; None for today.
        stop: set it to stop the search; the best plan so far is returned.
        on_incumbent: called for each better plan, from the solver's thread.
    """

    time_limit_s: float | None = None
    workers: int = 1
    prune: bool = True
    today: datetime.date | None = None
    stop: threading.Event | None = None
    on_incumbent: Callable[[Incumbent], None] | None = None


@dataclass(frozen=True)
class Search:
    """What one CP-SAT call came back with: the position of the pair chosen among the model's, and the proved bound."""

    status: cp.CpSolverStatus
    chosen: int | None
    best_rank: float
    response: cp.CpSolverResponse


def optimize(problem: Problem, options: Options = Options()) -> Result:
    """Find the best rig for the question and prove it.

    Raises:
        SolverFailure: the solver broke or its answer did not survive the re-check in plain integers.
    """
    started = time.perf_counter()
    large = options.prune and number_of_pairs(problem) > LARGE
    pairs = within_reach(problem) if large else pairs_of(problem)
    rules = list(inequalities(problem, pairs))
    order = pairs.order(problem.goal)
    kept = survivors(order, violated_sets(rules, len(pairs))) if options.prune else order
    chosen = kept.tolist()
    # The rank among those kept: the order is the same as among all, and the numbers are smaller.
    model = build(rules, chosen, range(len(chosen)))
    solving = time.perf_counter()
    found = search(
        model, options, lambda at: pairs.choice(chosen[at]), lambda at: _objective(problem, pairs, chosen[at])
    )
    ended = time.perf_counter()
    status = _STATUS.get(found.status)
    if status is None:
        raise SolverFailure(f"CP-SAT answered {found.status}")
    bound_at = None
    if status in ("optimal", "feasible", "no_answer") and chosen and math.isfinite(found.best_rank):
        bound_at = chosen[max(0, min(len(chosen) - 1, math.ceil(found.best_rank - 1e-6)))]
    return result_of(
        problem,
        pairs,
        status,
        chosen=None if found.chosen is None else chosen[found.chosen],
        bound_at=bound_at,
        today=options.today,
        statistics=lambda: Statistics(
            pairs=pairs.total,
            pairs_in_model=len(chosen),
            solve_ms=round((ended - solving) * 1000, 3),
            total_ms=round((time.perf_counter() - started) * 1000, 3),
            branches=int(found.response.num_branches),
            conflicts=int(found.response.num_conflicts),
            workers=options.workers,
        ),
    )


def result_of(
    problem: Problem,
    pairs: Pairs,
    status: Status,
    chosen: int | None,
    bound_at: int | None,
    statistics: Callable[[], Statistics],
    today: datetime.date | None = None,
) -> Result:
    """The record of an answer: the pair chosen, re-checked, and the pair whose objective is the proved bound.

    Raises:
        SolverFailure: the pair did not survive the re-check in plain integers.
    """
    plan, usage, objective = None, tuple[Usage, ...](), None
    if chosen is not None:
        usage = usage_of(problem, checked_figures(problem, pairs, chosen))
        plan = plan_of(problem, pairs.choice(chosen))
        objective = _objective(problem, pairs, chosen)
    return Result(
        status=status,
        goal=problem.goal,
        confidence=problem.confidence,
        objective=objective,
        bound=None if bound_at is None else _objective(problem, pairs, bound_at),
        objective_unit=GOAL_SPECS[problem.goal].unit,
        plan=plan,
        usage=usage,
        warnings=notices_for(problem, plan, today or datetime.date.today()),
        statistics=statistics(),
        fingerprint=fingerprint(problem),
    )


_STATUS: dict[cp.CpSolverStatus, Status] = {
    cp.CpSolverStatus.OPTIMAL: "optimal",
    cp.CpSolverStatus.FEASIBLE: "feasible",
    cp.CpSolverStatus.INFEASIBLE: "infeasible",
    cp.CpSolverStatus.UNKNOWN: "no_answer",
}


def search(
    model: Model,
    options: Options,
    choice_at: Callable[[int], Choice],
    objective_at: Callable[[int], float],
) -> Search:
    """Run CP-SAT on a model. Values are read from the literals, never from the float objective."""
    parameters = cp.SatParameters()
    parameters.num_workers = options.workers
    parameters.random_seed = 1
    parameters.catch_sigint_signal = False  # its handler takes Ctrl-C from Python, and aborts in another thread
    # Nothing to gain on rows of this shape, and up to 30 % of the time.
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    parameters.linearization_level = 0
    parameters.cp_model_use_sat_presolve = False
    parameters.max_presolve_iterations = 1
    if options.time_limit_s is not None:
        parameters.max_time_in_seconds = max(0.0, options.time_limit_s)
    wrapper = cp.SolveWrapper()
    wrapper.set_parameters(parameters)
    callback = None
    if options.on_incumbent is not None:
        callback = _Callback(model, options.on_incumbent, choice_at, objective_at)
        wrapper.add_solution_callback(callback)
    response = _run(wrapper, model, options.stop)
    if callback is not None:
        wrapper.clear_solution_callback(callback)
    chosen = _literal(response.solution, model.size) if len(response.solution) else None
    bound = response.best_objective_bound if response.status != cp.CpSolverStatus.UNKNOWN else 0.0
    return Search(response.status, chosen, bound, response)


def _run(wrapper: cp.SolveWrapper, model: Model, stop: threading.Event | None) -> cp.CpSolverResponse:
    """Solve; a stop is repeated until it takes, because one that comes before the search has begun is lost."""
    if stop is None:
        return _solve(wrapper, model)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            if stop.is_set():
                wrapper.stop_search()

    # Not a threading.Thread: its start waits for the new thread to run, a tenth of the time of a small question.
    _thread.start_new_thread(watch, ())
    try:
        return _solve(wrapper, model)
    finally:
        ended.set()


def _solve(wrapper: cp.SolveWrapper, model: Model) -> cp.CpSolverResponse:
    response: cp.CpSolverResponse = wrapper.solve(model.proto)  # type: ignore[no-untyped-call]
    return response


def _literal(solution: object, size: int) -> int:
    values = list(solution)[:size]  # type: ignore[call-overload]
    if values.count(1) != 1:
        raise SolverFailure(f"CP-SAT chose {values.count(1)} rigs instead of one")
    return int(values.index(1))


class _Callback(cp.SolutionCallback):
    """Reports each better plan."""

    def __init__(
        self,
        model: Model,
        report: Callable[[Incumbent], None],
        choice_at: Callable[[int], Choice],
        objective_at: Callable[[int], float],
    ) -> None:
        super().__init__()
        self._model, self._report = model, report
        self._choice_at, self._objective_at = choice_at, objective_at
        self._began = time.perf_counter()

    def OnSolutionCallback(self) -> None:  # noqa: N802  the name is OR-Tools'
        """Read the chosen pair from the literals and report it."""
        at = next(i for i in range(self._model.size) if self.SolutionBooleanValue(i))
        bound = math.ceil(self.BestObjectiveBound() - 1e-6)
        known = self._objective_at(max(0, min(self._model.size - 1, bound)))
        elapsed_s = time.perf_counter() - self._began  # not CP-SAT's WallTime, which may be set meanwhile
        self._report(
            Incumbent(choice=self._choice_at(at), objective=self._objective_at(at), bound=known, elapsed_s=elapsed_s)
        )


def _objective(problem: Problem, pairs: Pairs, index: int) -> float:
    f = pairs.figures
    spec = GOAL_SPECS[problem.goal]
    return spec.objective(int(f.total_batch[index]), int(f.cost_fen[index]), int(f.epoch_us[index]))


def checked_plan(problem: Problem, pairs: Pairs, index: int) -> Plan:
    """The plan of a pair, after recomputing all its figures in plain integers and holding it against every limit.

    Raises:
        SolverFailure: a figure differs from the model's column, or a limit is broken.
    """
    checked_figures(problem, pairs, index)
    return plan_of(problem, pairs.choice(index))


def checked_figures(problem: Problem, pairs: Pairs, index: int, moved: Moved = UNMOVED) -> Figures:
    """The figures of a pair, recomputed in plain integers from the records and held against every limit.

    `moved` names the rows that a what-if moves (see `limits.rows`).

    Raises:
        SolverFailure: a figure differs from the model's column, or a limit is broken.
    """
    choice = pairs.choice(index)
    figures = figures_of(problem, choice)
    for name in figures.__slots__:
        column = getattr(pairs.figures, name)
        if isinstance(column, np.ndarray) and int(column[index]) != getattr(figures, name):
            raise SolverFailure(
                f"{name} of {choice}: the model had {column[index]}, recomputed {getattr(figures, name)}"
            )
    failed = broken(problem, figures, moved)
    if failed:
        raise SolverFailure(f"{choice} breaks {', '.join(row.limit for row in failed)}")
    return figures


def fingerprint(problem: Problem) -> Fingerprint:
    """What the answer depends on; equal fingerprints give equal answers."""
    return Fingerprint(
        problem_sha256=problem.digest,
        catalog_sha256=catalog_digest(problem.catalog),
        solver_version=__version__,
        ortools_version=ortools.__version__,  # type: ignore[attr-defined]  # missing in its stubs
    )
