"""Exact trade-off curves: the answer for every capacity of a limit, and the Pareto set of any two figures.

`staircase` answers one question for every budget (or other capacity); `frontier` shows what one figure costs in
another; `best_for_budget` is a look-up in the first. Both are read off the columns of the pairs and then proved by
CP-SAT, one what-if a step. Modify this module when a curve has another axis, or a limit another way to be swept.
"""

from __future__ import annotations

import bisect
import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from solver.batch import UNHURRIED, OutOfTime, Patience, Space, WhatIf, best_of_each, dense_rank
from solver.domain.comparison import Measures
from solver.domain.errors import InvalidProblem, SolverFailure, Violation, nearest
from solver.domain.explanation import AXIS_UNITS, Axis, Frontier, FrontierPoint
from solver.domain.goals import GOAL_SPECS
from solver.domain.language import say
from solver.domain.limits import LIMITS, Figures
from solver.domain.plan import Choice, Result, Statistics
from solver.domain.problem import Problem
from solver.domain.recheck import figures_of
from solver.domain.units import FEN_PER_CNY
from solver.model.arrays import Ints
from solver.solve import checked_plan, result_of

_UNSET: Mapping[str, Any] = {
    "limits.budget_cny": 0,
    "limits.min_batch": 1,
    "limits.max_epoch_days": 0,
    "site.room_cooling_w": 0,
}
"""A value for each setting that may be absent, so that its limit has a row whose demand can be read."""


@dataclass(frozen=True, eq=False)
class Staircase:
    """The answer of a question for every capacity of one row of a limit: an exact step function.

    Step i holds for `room` from `rooms[i]` up to, not including, `rooms[i + 1]`; the last step holds for ever. Below
    `rooms[0]` nothing fits. `room` is the capacity in units of unit / scale, negated for a limit that must be reached
    (min_batch), so that more room is always looser. Where the capacity belongs to the platform, `room` is how much
    more of it there is, on every platform.

    Attributes:
        name: the limit, with its part in brackets where it has several rows.
        unit: the unit people read.
        scale: how many of the row's whole units make one of `unit`.
        at_least: whether the limit must be reached instead of kept.
        rooms: where each step begins, ascending.
        steps: the pair that is best from there on.
        owned: whether the capacity belongs to the platform.
    """

    space: Space
    name: str
    unit: str
    scale: int
    at_least: bool
    rooms: tuple[int, ...]
    steps: tuple[int, ...]
    owned: bool = False

    def at(self, room: int | None) -> int | None:
        """The pair that is best with that much room (None: without end); None where nothing fits."""
        step = len(self.rooms) if room is None else bisect.bisect_right(self.rooms, room)
        return self.steps[step - 1] if step else None

    def choice_at(self, room: int | None) -> Choice | None:
        """The decisions that are best with that much room; None where nothing fits."""
        pair = self.at(room)
        return None if pair is None else self.space.pairs.choice(pair)

    def room_of(self, problem: Problem) -> int | None:
        """The room that a question has, which differs from this one in this limit only; None for room without end."""
        if self.owned:
            return 0
        figures = self._any_figures
        if figures is None:
            return None
        limit = next(known for known in LIMITS if known.name == self.name.partition("[")[0])
        found = [row for row in limit.rows(problem, figures) if row.name == self.name]
        if not found:
            return None
        return -found[0].capacity if self.at_least else int(found[0].capacity)

    @cached_property
    def _any_figures(self) -> Figures | None:
        # The capacities that a question sets are the same for every rig, so any will do to read them.
        space = self.space
        return figures_of(space.problem, space.pairs.choice(0)) if len(space) else None

    def answer(self, problem: Problem, today: datetime.date | None = None) -> Result:
        """What `solve.optimize` answers to a question that differs from this one in this limit only; looked up.

        The plan is recomputed and held against every limit of `problem` before it is returned; only the statistics
        differ from those of a search.

        Args:
            problem: the same catalogue, workload and goal (not checked), another capacity of this limit.
            today: the day against which prices age; None for today.

        Raises:
            SolverFailure: the plan did not survive the re-check: the question differs in more than this limit.
        """
        started = time.perf_counter()
        pair = self.at(self.room_of(problem))
        pairs = self.space.pairs
        return result_of(
            problem,
            pairs,
            "infeasible" if pair is None else "optimal",
            chosen=pair,
            bound_at=pair,
            today=today,
            statistics=lambda: Statistics(
                pairs=len(pairs),
                pairs_in_model=0,
                solve_ms=0.0,
                total_ms=round((time.perf_counter() - started) * 1000, 3),
                workers=0,
            ),
        )


def staircase(problem: Problem, limit: str, patience: Patience = UNHURRIED) -> Staircase:
    """The exact answer to the question for every capacity of a limit, ties included, each step proved by CP-SAT.

    Raising a limit only adds rigs. So the best rig at the most room a step has, if it fits the least room of the step
    too, is the best everywhere between: one what-if a step proves the whole curve.

    Args:
        problem: the question; what it says about this limit does not matter.
        limit: the limit, such as `budget`, `card_count`, `wall_power`, `room_cooling`, `min_batch` or `max_epoch`; or
            one whose capacity belongs to the platform, such as `psu` or `psu[power connectors]`.
        patience: how long to try.

    Raises:
        InvalidProblem: no such limit, or one that is on or off.
        OutOfTime: the steps were not all proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    space = Space.of(with_row(problem, limit))
    if len(space) == 0:
        return Staircase(space, limit, "", 1, False, (), ())
    row = next((rule for rule in space.rules if rule.name == limit), None)
    if row is None or row.row.step == 0:
        movable = [rule.name for rule in space.rules if rule.row.step]
        raise InvalidProblem(
            [
                Violation(
                    "limit", f'"{limit}"', say("must be a limit with a capacity in units") + nearest(limit, movable)
                )
            ]
        )
    rooms, steps = steps_of(space, limit)
    found = Staircase(
        space=space,
        name=limit,
        unit=row.row.unit,
        scale=row.row.scale,
        at_least=row.row.at_least,
        rooms=rooms,
        steps=steps,
        owned=isinstance(row.row.capacity, np.ndarray),
    )
    _prove_steps(found, row.bound, patience)
    return found


def with_row(problem: Problem, limit: str) -> Problem:
    """The question with a value for the setting of this limit, if it has none; the value itself says nothing."""
    name = limit.partition("[")[0]
    setting = next((known.setting for known in LIMITS if known.name == name), "")
    part, _, field = setting.partition(".")
    if setting not in _UNSET or getattr(getattr(problem, part), field) is not None:
        return problem
    return problem.replaced(**{part: {**dict(getattr(problem, part)), field: _UNSET[setting]}})


def steps_of(space: Space, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(rooms, pairs) of the staircase of a row, from the columns: where a better pair begins to fit, ascending."""
    rule = space.rules[space.rule_at[name]]
    fits = np.flatnonzero(space.feasible({name: None}))
    demand, rank = rule.coefficients[fits], space.rank[fits]
    order = np.lexsort((rank, demand))
    best = np.minimum.accumulate(rank[order])
    first = np.flatnonzero(np.diff(best, prepend=len(space) + 1) < 0)
    rooms = demand[order][first]
    # Of several steps at one demand only the last counts; ranks ascend within a demand, so it is the only one.
    return tuple(rooms.tolist()), tuple(fits[order][first].tolist())


def _prove_steps(found: Staircase, bound: int, patience: Patience) -> None:
    asked = [WhatIf(found.space, {found.name: end - 1 - bound}) for end in found.rooms]
    asked.append(WhatIf(found.space, {found.name: None}))
    proved = best_of_each(asked, patience)
    if proved != [None, *found.steps]:
        raise SolverFailure(f"the staircase of {found.name} differs from what CP-SAT proves")


def best_for_budget(stair: Staircase, budget_cny: Decimal | int | None) -> Result:
    """The answer at a budget (CNY; None: no limit), looked up in the staircase of the budget: what `optimize` gives.

    Raises:
        InvalidProblem: the budget is out of range, or the staircase is another limit's.
    """
    if stair.name != "budget":
        raise InvalidProblem.of("limit", stair.name, say("must be the staircase of the budget"))
    return stair.answer(stair.space.problem.with_limits(budget_cny=budget_cny))


def frontier(
    problem: Problem,
    axes: tuple[Axis, Axis],
    from_cny: Decimal | int | None = None,
    patience: Patience = UNHURRIED,
) -> Frontier:
    """The complete Pareto set of two axes among the plans that keep to all limits, each point proved by CP-SAT.

    Of several plans at one point the question's goal decides. The points are proved in a chain: the best plan on the
    first axis, then the best on the first among those better on the second than the last point, until none is left.

    Args:
        problem: the question; its goal only decides between plans at the same point.
        axes: two different ones.
        from_cny: leave out the points whose plan costs less, but for the one that is best at this budget where the cost
            is an axis.
        patience: how long to try; what was proved until then is kept.

    Raises:
        InvalidProblem: the axes are the same.
        SolverFailure: the solver disagrees with the columns.
    """
    started = time.perf_counter()
    if axes[0] == axes[1]:
        raise InvalidProblem.of("axes", axes[0], say("must be two different axes"))
    space = Space.of(problem)
    chain = _chain(space, axes)
    complete = True
    try:
        _prove(space, axes, chain, patience)
    except OutOfTime:
        complete, chain = False, []
    if from_cny is not None:
        chain = _from(space, axes, chain, int(from_cny * FEN_PER_CNY))
    return Frontier(
        axes=axes,
        units=(AXIS_UNITS[axes[0]], AXIS_UNITS[axes[1]]),
        goal=problem.goal,
        confidence=problem.confidence,
        points=tuple(
            FrontierPoint(
                values=(_value(space, axes[0], pair), _value(space, axes[1], pair)),
                plan=checked_plan(problem, space.pairs, pair),
            )
            for pair in chain
        ),
        complete=complete,
        what_ifs=patience.solved.count,
        total_ms=round((time.perf_counter() - started) * 1000, 3),
    )


def _loss(space: Space, axis: Axis) -> Ints:
    """A column of which less is better."""
    f = space.pairs.figures
    if axis == "value":
        return dense_rank(space.keys("value")[: GOAL_SPECS["value"].own_columns])
    columns: dict[str, Ints] = {"cost": f.cost_fen, "batch": -f.total_batch, "epoch": f.epoch_us, "watts": f.wall_mw}
    return columns[axis]


def _value(space: Space, axis: Axis, pair: int) -> float:
    f = space.pairs.figures
    columns = (f.total_batch, f.cost_fen, f.epoch_us, f.wall_mw)
    return Measures(*(int(column[pair]) for column in columns)).on(axis)


def _order(space: Space, axes: tuple[Axis, Axis]) -> Ints:
    """All pairs by the first axis, then the second, then the question's own order."""
    return np.lexsort((space.rank, _loss(space, axes[1]), _loss(space, axes[0])))


def _chain(space: Space, axes: tuple[Axis, Axis]) -> list[int]:
    """The Pareto set from the columns, best on the first axis first."""
    order = _order(space, axes)
    order = order[space.feasible()[order]]
    second = _loss(space, axes[1])[order]
    best = np.minimum.accumulate(second)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = best[1:] < best[:-1]
    chain: list[int] = order[first].tolist()
    return chain


def _from(space: Space, axes: tuple[Axis, Axis], chain: list[int], least_fen: int) -> list[int]:
    cost = space.pairs.figures.cost_fen
    kept = [pair for pair in chain if int(cost[pair]) >= least_fen]
    if "cost" in axes:
        affordable = [pair for pair in chain if int(cost[pair]) <= least_fen]
        if affordable:
            dearest = max(affordable, key=lambda pair: int(cost[pair]))
            kept = [pair for pair in chain if pair == dearest or pair in kept]
    return kept


def _prove(space: Space, axes: tuple[Axis, Axis], complete: list[int], patience: Patience) -> None:
    """Solve for each point among the pairs that beat the one before it on the second axis; after the last: none."""
    second = _loss(space, axes[1])
    curve = space.ordered(_order(space, axes))
    asked = [WhatIf(curve)]
    asked += [WhatIf(curve, among=second < second[pair]) for pair in complete]
    if best_of_each(asked, patience) != [*complete, None]:
        raise SolverFailure(f"the curve of {axes[0]} and {axes[1]} differs from what CP-SAT proves")
