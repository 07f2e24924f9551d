"""Of a question that has a plan: which limits bind, and how far each can move before the answer changes.

The staircase of each knob is read off the columns, in whole steps of the knob; its corners are then solved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from solver.batch import Patience, Space, WhatIf, best_of_each, dense_rank
from solver.domain.errors import SolverFailure
from solver.domain.explanation import Breakpoint, LimitBreakpoints
from solver.domain.goals import GOAL_SPECS
from solver.explain.knobs import (
    MEMORY,
    Knob,
    capacity_at,
    change_of,
    knobs_of,
    moved_by,
    needed,
    off,
    used_at,
)
from solver.explain.rigs import checked_rig, distinct
from solver.model.arrays import Ints


@dataclass(frozen=True)
class _Corners:
    """What is to be proved of one knob, in steps; pairs are what the columns say is best."""

    knob: Knob
    improves: tuple[int, int] | None
    """(steps, pair) of the least loosening that improves the goal."""
    run: tuple[tuple[int, int], ...]
    """(steps, pair): at that many steps (0 or fewer) this pair is best; all of the same card, count and platform."""
    changes: tuple[int, int | None] | None
    """(steps, pair) one step beyond the tightest at which the plan stays; None if it can be tightened to nothing."""


def limit_breakpoints(space: Space, best: int, patience: Patience) -> tuple[LimitBreakpoints, ...]:
    """For every limit that is set: whether it binds, what improves the goal, and how far it can be tightened.

    The memory of the cards (`vram`) is left out: see figures.py.

    Raises:
        OutOfTime: not all was proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    knobs = [knob for knob in knobs_of(space) if knob.limit != MEMORY]
    primary = _goal_rank(space)
    corners = [_corners(space, knob, best, primary) for knob in knobs]
    limits = list(dict.fromkeys(knob.limit for knob in knobs))
    asked = [WhatIf(space, off(space, limit)) for limit in limits]
    for found in corners:
        asked += [WhatIf(space, moved_by(space, {found.knob: steps})) for steps in _to_solve(found)]
    answers = iter(best_of_each(asked, patience))
    binds = {limit: next(answers) != best for limit in limits}
    return tuple(_record(space, found, binds[found.knob.limit], best, primary, answers) for found in corners)


def _goal_rank(space: Space) -> Ints:
    """The rank of each pair by the goal alone, without its ties."""
    goal = space.problem.goal
    return dense_rank(space.keys(goal)[: GOAL_SPECS[goal].own_columns])


def _corners(space: Space, knob: Knob, best: int, primary: Ints) -> _Corners:
    steps = needed(space, knob)
    fits = np.flatnonzero(space.feasible(dict.fromkeys((space.rules[at].name for at in knob.rules), None)))
    better = fits[primary[fits] < primary[best]]
    improves = None
    if len(better):
        least = int(steps[better].min())
        within = fits[steps[fits] <= least]
        improves = least, int(within[space.rank[within].argmin()])
    if knob.is_switch:
        return _Corners(knob, improves, (), None)
    rule = space.rules[knob.rules[0]]
    capacity = capacity_at(rule, best)
    if capacity is None:
        return _Corners(knob, improves, (), None)
    run, changes = _downwards(space, fits[steps[fits] <= 0], steps, best)
    below_zero = not rule.row.at_least and changes[0] < -(capacity // knob.step)
    return _Corners(knob, improves, tuple(run), None if below_zero else changes)


def _downwards(
    space: Space, fits: Ints, steps: Ints, best: int
) -> tuple[list[tuple[int, int]], tuple[int, int | None]]:
    """Walk the staircase down from today while card, count and platform stay the same."""
    order = fits[np.lexsort((space.rank[fits], steps[fits]))]
    ranks = np.minimum.accumulate(space.rank[order])
    stair = order[np.flatnonzero(np.diff(ranks, prepend=len(space) + 1) < 0)]
    rig = distinct(space, best)
    run: list[tuple[int, int]] = []
    until = 0
    for pair in stair[::-1].tolist():
        if distinct(space, pair) != rig:
            return run, (until, pair)
        run.append((until, pair))
        until = int(steps[pair]) - 1
    return run, (until, None)


def _to_solve(found: _Corners) -> list[int]:
    asked = [steps for steps, _ in found.run]
    if found.improves is not None:
        asked += [found.improves[0], found.improves[0] - 1]
    if found.changes is not None:
        asked.append(found.changes[0])
    return asked


def _record(
    space: Space, found: _Corners, binds: bool, best: int, primary: Ints, answers: Iterator[int | None]
) -> LimitBreakpoints:
    knob, row = found.knob, space.rules[found.knob.rules[0]].row
    proved = {steps: next(answers) for steps in _to_solve(found)}
    improves = changes = None
    for steps, pair in found.run:
        _require(proved[steps] == pair, knob, steps)
    if found.improves is not None:
        steps, pair = found.improves
        less = proved[steps - 1]
        _require(proved[steps] == pair and less is not None and primary[less] == primary[best], knob, steps)
        rig = checked_rig(space, pair, moved_by(space, {knob: steps}))
        improves = Breakpoint(change=change_of(space, knob, steps), rig=rig)
    if found.changes is not None:
        steps, after = found.changes
        _require(proved[steps] == after, knob, steps)
        worse = None if after is None else checked_rig(space, after, moved_by(space, {knob: steps}))
        changes = Breakpoint(change=change_of(space, knob, steps), rig=worse)
    rule = space.rules[knob.rules[0]]
    capacity = None if knob.is_switch else capacity_at(rule, best)
    return LimitBreakpoints(
        limit=knob.limit,
        part=knob.part,
        unit=row.unit,
        used=None if capacity is None else used_at(rule, best) / row.scale,
        capacity=None if capacity is None else capacity / row.scale,
        at_least=row.at_least,
        binds=binds,
        improves=improves,
        keeps=None if changes is None else change_of(space, knob, changes.change.by_units // -knob.step + 1),
        changes=changes,
    )


def _require(right: bool, knob: Knob, steps: int) -> None:
    if not right:
        raise SolverFailure(f"CP-SAT does not confirm what happens when {knob.limit} moves by {steps} steps")
