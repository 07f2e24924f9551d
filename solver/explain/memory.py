"""The memory of the cards as a limit that moves: so much more on every card, and what that changes.

More memory is not only room: it raises the micro-batch, and with it the epoch, which may even get longer (the last step
of an epoch is counted whole). So the limit `vram` is not moved like a row; every card gets more memory, and the whole
question is asked again. Modify this module when memory is counted otherwise in physics.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solver.batch import Patience, Space, WhatIf, best_of_each
from solver.domain import physics
from solver.domain.base import End
from solver.domain.catalog import Card, Catalog
from solver.domain.errors import SolverFailure
from solver.domain.explanation import Breakpoint, Change, FigureRange, LimitBreakpoints, Relaxation
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import Whole
from solver.domain.problem import Problem
from solver.domain.units import MIB_PER_GB
from solver.explain.knobs import MEMORY
from solver.explain.rigs import checked_rig
from solver.explain.timing import Timing

LARGEST_MIB = 10_000_000
"""The most memory a card's record may have."""


def with_memory(problem: Problem, mib: int) -> Problem:
    """The question with so much more memory (MiB) on every card."""
    catalog = problem.catalog
    cards = tuple(Card.model_validate({**dict(card), "vram_mib": card.vram_mib + mib}) for card in catalog.cards)
    return problem.replaced(catalog=Catalog(cards=cards, platforms=catalog.platforms, offers=catalog.offers))


def memory_relaxation(space: Space, patience: Patience) -> Relaxation:
    """The least memory more on every card that makes a plan exist.

    Raises:
        OutOfTime: not proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    timing = Timing(space)
    least = _least_mib(timing, np.full(len(timing.at), timing.least_batch), timing.epoch_cap_us)
    if least is None:
        return Relaxation(limits=(MEMORY,))
    more, less = Space.of(with_memory(space.problem, least)), Space.of(with_memory(space.problem, least - 1))
    pair, none = best_of_each([WhatIf(more), WhatIf(less)], patience)
    if pair is None or none is not None:
        raise SolverFailure(f"CP-SAT does not confirm that {least} MiB more on every card is what is missing")
    return Relaxation(limits=(MEMORY,), changes=(_change(least),), rig=checked_rig(more, pair))


def memory_breakpoints(
    timing: Timing, best: int, reserve: FigureRange | None, patience: Patience
) -> LimitBreakpoints | None:
    """Of a question that has a plan: the least memory more that improves the goal, and how much less the plan stands.

    Less memory is more reserve, to the MiB, so the second comes from the range of the reserve (None: not known).

    Raises:
        OutOfTime: not proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    space = timing.space
    rule = next((rule for rule in space.rules if rule.row.limit == MEMORY), None)
    if rule is None:
        return None
    least = _least_to_improve(timing, best)
    improves = None
    if least is not None:
        more, less = Space.of(with_memory(space.problem, least)), Space.of(with_memory(space.problem, least - 1))
        pair, same = best_of_each([WhatIf(more), WhatIf(less)], patience)
        before = _objective(space, best)
        # With a little more memory the plan may be worse than today's, or break max_epoch: but never better.
        if pair is None or not _better(more, pair, before) or (same is not None and _better(less, same, before)):
            raise SolverFailure(f"CP-SAT does not confirm that {least} MiB more on every card improves the goal")
        improves = Breakpoint(change=_change(least), rig=checked_rig(more, pair))
    keeps = changes = None
    if reserve is not None and reserve.high is not None:
        room = round(reserve.high * MIB_PER_GB) - timing.today.reserve_mib
        keeps, changes = _change(room), Breakpoint(change=_change(room + 1), rig=reserve.above)
    return LimitBreakpoints(
        limit=MEMORY,
        unit=rule.row.unit,
        used=int(rule.row.used[best]) / MIB_PER_GB,
        capacity=int(rule.row.capacity[best]) / MIB_PER_GB,
        binds=improves is not None,
        improves=improves,
        keeps=keeps,
        changes=changes,
    )


def _change(mib: int) -> Change:
    return Change(limit=MEMORY, unit="GB", by=mib / MIB_PER_GB, by_units=mib, scale=MIB_PER_GB)


def _objective(space: Space, pair: int) -> tuple[Whole, Whole, Whole]:
    f = space.pairs.figures
    return int(f.total_batch[pair]), int(f.cost_fen[pair]), int(f.epoch_us[pair])


def _better(space: Space, pair: int, before: tuple[Whole, Whole, Whole]) -> bool:
    """Whether the goal itself is better than it was, exactly."""
    batch, cost, epoch = _objective(space, pair)
    better: dict[str, bool] = {
        "batch": batch > before[0],
        "cost": cost < before[1],
        "epoch": epoch < before[2],
        "cost_per_sample": cost * before[0] < before[1] * batch,
    }
    return better[GOAL_SPECS[space.problem.goal].axis]


def _least_to_improve(timing: Timing, best: int) -> int | None:
    space = timing.space
    batch, cost, epoch = _objective(space, best)
    costs = space.pairs.figures.cost_fen[timing.at]
    wanted = np.full(len(timing.at), timing.least_batch, dtype=np.int64)
    cap = timing.epoch_cap_us
    axis = GOAL_SPECS[space.problem.goal].axis
    possible = np.ones(len(timing.at), dtype=np.bool_)
    if axis == "batch":
        wanted = np.maximum(wanted, batch + 1)
    elif axis == "epoch":
        cap = epoch - 1 if cap is None else min(cap, epoch - 1)
    elif axis == "cost":
        possible = costs < cost
    elif cost == 0:
        return None
    else:  # cost / batch falls below today's
        least = [int(c) * batch // cost + 1 for c in costs]
        wanted = np.maximum(wanted, np.array([min(n, 2**62) for n in least], dtype=np.int64))
    return _least_mib(timing, np.where(possible, wanted, -1), cap)


def _least_mib(timing: Timing, wanted: Whole, cap_us: int | None) -> int | None:
    """The least memory more on every card with which some pair has a batch of at least `wanted` within the epoch.

    `wanted` is by pair; below 0 leaves the pair out. None where no memory a card's record may have does it.
    """
    today = timing.micro_batch(timing.today.reserve_mib)
    free = timing.free_mib - timing.today.reserve_mib
    ga = timing.accumulation
    least: int | None = None
    looked_at: set[tuple[Any, ...]] = set()
    for at in np.flatnonzero(wanted >= 0).tolist():
        n = int(timing.count[at]) * ga
        times = timing.fixed_us[:, at], timing.today_sample_us[:, at], timing.optimizer_us[:, at]
        paces = tuple((ga * f + o, ga * us) for f, us, o in zip(*(t.tolist() for t in times), strict=True))
        first = max(int(today[at]) + 1, -(-int(wanted[at]) // n))
        key = (int(free[at]), n, paces, first)
        if key in looked_at:
            continue
        looked_at.add(key)
        at_least = first * timing.each_mib - int(free[at])
        if least is not None and at_least >= least:
            continue
        micro = _least_micro(timing.samples, n, paces, timing.end, first, cap_us)
        if micro is not None:
            mib = micro * timing.each_mib - int(free[at])
            least = mib if least is None else min(least, mib)
    room = LARGEST_MIB - max((card.vram_mib for card in timing.space.problem.catalog.cards), default=0)
    return None if least is None or least > room else least


def _least_micro(
    samples: int, n: int, paces: tuple[tuple[int, int], ...], end: End, first: int, cap_us: int | None
) -> int | None:
    """The least micro-batch, at least `first`, whose epoch is within the cap; `n` samples of it make a step.

    A step takes (its fixed part, and for each sample of a micro-batch) microseconds: the worst of the paces, as `end`
    has it. With a given number of steps a larger batch only takes longer, so the least of each number of steps will do.
    """
    if cap_us is None:
        return first
    micro, worst = first, physics.worst_of(end)
    while True:
        steps = -(-samples // (n * micro))
        if worst(steps * (fixed + micro * each) for fixed, each in paces) <= cap_us:
            return micro
        # The samples alone take so long: steps * micro is never below samples / n.
        if steps == 1 or worst(-(-samples // n) * each for _, each in paces) > cap_us:
            return None
        micro = -(-samples // (n * (steps - 1)))
