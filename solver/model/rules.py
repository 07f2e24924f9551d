"""The rules: every limit of the table as named linear inequalities over the pairs, and which pairs break which.

One definition serves the model, the pruning, the conflict core and the smallest relaxation: `domain.limits.LIMITS`,
read here with columns instead of numbers. Nothing here posts a constraint; build.py does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from solver.domain import limits
from solver.domain.limits import UNMOVED, Figures, Limit, Moved, Row
from solver.domain.problem import Problem
from solver.model.arrays import Bools, Ints
from solver.model.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Inequality:
    """sum(coefficient * pair) <= bound, in the row's own unit: one named rule of the model.

    `excess` of a pair is coefficient - bound: positive where the pair breaks the rule. Where the capacity belongs to
    the platform, the coefficient is used - capacity and the bound 0.
    """

    name: str
    row: Row
    coefficients: Ints
    bound: int

    def moved(self, by: int) -> Inequality:
        """The rule with its bound loosened by so many units of the row (tightened where negative)."""
        return replace(self, row=self.row.moved(by), bound=self.bound + by)

    @cached_property
    def violation(self) -> Ints:
        """The limit's bit where a pair breaks the rule, else 0."""
        return np.where(self.coefficients > self.bound, _BITS[self.row.limit], 0)

    @property
    def excess(self) -> Ints:
        """How far each pair breaks the rule; at most 0 where it keeps to it."""
        return self.coefficients - self.bound


_BITS = {limit.name: 1 << position for position, limit in enumerate(limits.LIMITS)}
"""What stands for each limit in a violated set."""
_FIXED = {limit.name for limit in limits.LIMITS if not limit.setting or limit.setting.startswith("workload.")}
"""Limits that look at catalogue and workload only: facts of the hardware, which stay while questions change."""
_fixed_rules: WeakKeyDictionary[Pairs, dict[str, tuple[Inequality, ...]]] = WeakKeyDictionary()


def inequalities(problem: Problem, pairs: Pairs, moved: Moved = UNMOVED) -> Iterator[Inequality]:
    """All rules that the question sets, in the order of the table of limits; some of them moved or left out."""
    fixed = _fixed_rules.setdefault(pairs, {})
    for limit in limits.LIMITS:
        rules: Iterable[Inequality]
        if limit.name not in _FIXED:
            rules = _rules(limit, problem, pairs)
        elif limit.name in fixed:
            rules = fixed[limit.name]
        else:
            rules = fixed[limit.name] = tuple(_rules(limit, problem, pairs))
        for rule in rules:
            by = moved.get(rule.name, 0) if moved else 0
            if by is not None:
                yield rule.moved(by) if by else rule


def _rules(limit: Limit, problem: Problem, pairs: Pairs) -> Iterator[Inequality]:
    for row in limit.rows(problem, pairs.figures):
        if isinstance(row.capacity, np.ndarray):
            yield Inequality(row.name, row, row.excess(), 0)
        elif row.at_least:
            yield Inequality(row.name, row, -row.used, -int(row.capacity))
        else:
            yield Inequality(row.name, row, row.used, int(row.capacity))


def broken_limits(problem: Problem, figures: Figures, fixed: bool | None = None) -> Iterator[tuple[int, Bools]]:
    """Which rigs break which limits: (the limit's bit in violated sets, one flag a rig, by broadcasting).

    For columns that are looked at once and never become rows of a model.

    Args:
        problem: the question.
        figures: the rigs.
        fixed: True for the limits that look at catalogue and workload only, False for the others, None for all.
    """
    for limit in limits.LIMITS:
        if fixed is None or fixed == (limit.name in _FIXED):
            broken: Bools | None = None
            for row in limit.rows(problem, figures):
                over = row.used < row.capacity if row.at_least else row.used > row.capacity
                broken = over if broken is None else broken | over
            if broken is not None:
                yield _BITS[limit.name], broken


def broken_sets(problem: Problem, figures: Figures, shape: tuple[int, ...], fixed: bool | None = None) -> Ints:
    """For each rig the set of limits it breaks, as bits, of the limits that `broken_limits` looks at."""
    broken = np.zeros(shape, dtype=np.int64)
    for bit, flags in broken_limits(problem, figures, fixed):
        np.bitwise_or(broken, bit, out=broken, where=flags)
    return broken


def violated_sets(rules: list[Inequality], size: int) -> Ints:
    """For each pair the set of limits it violates, as bits."""
    violated = np.zeros(size, dtype=np.int64)
    for rule in rules:
        violated |= rule.violation
    return violated
