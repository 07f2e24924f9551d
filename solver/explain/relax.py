"""The cheapest ways out of an infeasible question: one limit moved, or the fewest limits moved together.

Thresholds are read off the columns: how many steps of each knob every pair needs. Moving limits by units makes pruning
by violated sets unsafe, so all pairs are compared, on how far they miss. Then each way out is solved: with the change
there is a plan, with one step less of any part of it there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.batch import Bools, Patience, Space, WhatIf, best_of_each
from solver.domain.errors import SolverFailure
from solver.domain.explanation import Relaxation
from solver.domain.limits import UNLIMITED
from solver.explain.conflict import fewest_off
from solver.explain.knobs import MEMORY, Knob, by_limit, change_of, knobs_of, moved_by, needed, off
from solver.explain.memory import memory_relaxation
from solver.explain.rigs import checked_rig
from solver.model.arrays import Ints

MOST_SETS = 5


@dataclass(frozen=True, eq=False)
class _WayOut:
    """Knobs turned so many steps; what a plan needs at least."""

    limits: tuple[str, ...]
    turns: dict[Knob, int]


def relaxations(space: Space, patience: Patience) -> tuple[tuple[Relaxation, ...], tuple[Relaxation, ...]]:
    """For each single limit the smallest change that makes a plan exist; and the fewest limits to move together.

    The second is empty if a single limit suffices, or if not even all limits together do.

    Raises:
        OutOfTime: not all was proved in time; what was is lost.
        SolverFailure: the solver disagrees with the columns.
    """
    if len(space) == 0:
        return (), ()
    needs = _Needs(space)
    found = [way for limit in needs.knobs if limit != MEMORY for way in _single(needs, limit)]
    singles = list(_confirmed(space, found, patience))
    helped = {limit for way in singles for limit in way.limits}
    hopeless = [limit for limit in needs.knobs if limit not in helped and limit != MEMORY]
    if any(answer is not None for answer in best_of_each([WhatIf(space, off(space, n)) for n in hopeless], patience)):
        raise SolverFailure("a limit that was not to help alone does")
    singles += [Relaxation(limits=(name,)) for name in hopeless]
    if MEMORY in needs.knobs:
        singles.append(memory_relaxation(space, patience))
    order = list(needs.knobs)
    singles.sort(key=lambda way: (not way.helps, order.index(way.limits[0])))
    together: tuple[Relaxation, ...] = ()
    if not any(way.helps for way in singles):
        together = tuple(_confirmed(space, _together(needs, patience), patience))
    return tuple(singles), together


class _Needs:
    """How many steps of each knob every pair needs at least, and which limits it violates."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.knobs = by_limit(knobs_of(space))
        self.steps: dict[Knob, Ints] = {
            knob: np.maximum(0, needed(space, knob)) for group in self.knobs.values() for knob in group
        }
        self.breaks: dict[str, Bools] = {
            limit: np.any([self.steps[knob] > 0 for knob in group], axis=0) for limit, group in self.knobs.items()
        }

    def only(self, limits: Sequence[str]) -> Ints:
        """The pairs that violate no limit but these."""
        good = np.ones(len(self.space), dtype=np.bool_)
        for limit, breaks in self.breaks.items():
            if limit not in limits:
                good &= ~breaks
        return np.flatnonzero(good)

    def weight(self, knob: Knob) -> float:
        """What one step of a knob counts when changes of different limits are compared: its share of the capacity."""
        if knob.is_switch:
            return 1.0
        capacity = np.asarray(self.space.rules[knob.rules[0]].row.capacity)
        known = capacity[capacity < UNLIMITED]
        return knob.step / max(1.0, float(known.max(initial=1)))


def _single(needs: _Needs, limit: str) -> list[_WayOut]:
    """Each knob of the limit on its own; if none helps on its own, all of them together."""
    pairs = needs.only([limit])
    if not len(pairs):
        return []
    group = needs.knobs[limit]
    alone = []
    for knob in group:
        others = [needs.steps[other][pairs] for other in group if other != knob]
        candidates = pairs[~np.any(others, axis=0)] if others else pairs
        if len(candidates):
            alone.append(_WayOut((limit,), {knob: int(needs.steps[knob][candidates].min())}))
    return alone or [_WayOut((limit,), _least(needs, group, pairs))]


def _together(needs: _Needs, patience: Patience) -> list[_WayOut]:
    """For each of the smallest sets of limits that suffice, a change of them of which no part can be less.

    Cards that hold no sample are no way out here: what they would be with more memory is another question.
    """
    fewest = fewest_off(needs.space, [MEMORY], patience)
    if fewest is None:
        return []
    names = [name for name in needs.knobs if name != MEMORY]
    breaks = np.stack([needs.breaks[name] for name in names])
    usable = ~needs.breaks[MEMORY] if MEMORY in needs.breaks else np.ones(len(needs.space), dtype=np.bool_)
    counts = breaks.sum(axis=0)
    if int(counts[usable].min()) != fewest:
        raise SolverFailure(f"at least {int(counts[usable].min())} limits must give way, and CP-SAT proves {fewest}")
    sets = np.unique(breaks[:, usable & (counts == fewest)], axis=1).T
    ways = []
    for chosen in sets:
        limits = tuple(name for name, member in zip(names, chosen, strict=True) if member)
        group = [knob for limit in limits for knob in needs.knobs[limit]]
        ways.append(_WayOut(limits, _least(needs, group, needs.only(limits))))
    ways.sort(key=lambda way: (sum(needs.weight(knob) * steps for knob, steps in way.turns.items()), way.limits))
    return ways[:MOST_SETS]


def _least(needs: _Needs, group: Sequence[Knob], pairs: Ints) -> dict[Knob, int]:
    """Of what these pairs need, the least in sum of shares of the capacities; no part of it can be less."""
    vectors = np.unique(np.stack([needs.steps[knob][pairs] for knob in group], axis=1), axis=0)
    score = vectors @ np.array([needs.weight(knob) for knob in group])
    best = vectors[int(score.argmin())]
    while True:  # a sum in floating point may hide a part that can be less
        less = (vectors <= best).all(axis=1) & (vectors < best).any(axis=1)
        if not less.any():
            return {knob: int(steps) for knob, steps in zip(group, best, strict=True) if steps}
        best = vectors[np.flatnonzero(less)[0]]


def _confirmed(space: Space, ways: Sequence[_WayOut], patience: Patience) -> list[Relaxation]:
    """The ways out as records, solved: with the change a plan, with one step less of any part of it none."""
    asked: list[WhatIf] = []
    for way in ways:
        asked.append(WhatIf(space, moved_by(space, way.turns)))
        asked += [WhatIf(space, moved_by(space, {**way.turns, knob: way.turns[knob] - 1})) for knob in way.turns]
    answers = iter(best_of_each(asked, patience))
    found = []
    for way in ways:
        pair = next(answers)
        less = [next(answers) for _ in way.turns]
        if pair is None or any(answer is not None for answer in less):
            raise SolverFailure(f"CP-SAT does not confirm that {way.limits} must give way by {way.turns.values()}")
        found.append(
            Relaxation(
                limits=way.limits,
                changes=tuple(change_of(space, knob, steps) for knob, steps in way.turns.items()),
                rig=checked_rig(space, pair, moved_by(space, way.turns)),
            )
        )
    return found
