"""The rules: every limit of the table as named linear inequalities over the pairs, and which pairs break which.

One definition serves the model, the pruning, the conflict core and the smallest relaxation: `domain.limits.LIMITS`,
read here with columns instead of numbers. Nothing here posts a constraint; build.py does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from solver.domain import limits
from solver.domain.limits import UNMOVED, Moved, Row
from solver.domain.problem import Problem
from solver.model.pairs import Ints, Pairs


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

    @property
    def excess(self) -> Ints:
        """How far each pair breaks the rule; at most 0 where it keeps to it."""
        return self.coefficients - self.bound


def inequalities(problem: Problem, pairs: Pairs, moved: Moved = UNMOVED) -> Iterator[Inequality]:
    """All rules that the question sets, in the order of the table of limits; some of them moved or left out."""
    for row in limits.rows(problem, pairs.figures, moved):
        sign = -1 if row.at_least else 1
        if isinstance(row.capacity, np.ndarray):
            yield Inequality(row.name, row, sign * (row.used - row.capacity), 0)
        else:
            yield Inequality(row.name, row, sign * row.used, sign * int(row.capacity))


def violated_sets(rules: list[Inequality], size: int) -> Ints:
    """For each pair the set of limits it violates, as bits: bit i is the i-th limit of the table."""
    bit = {limit.name: 1 << position for position, limit in enumerate(limits.LIMITS)}
    violated = np.zeros(size, dtype=np.int64)
    for rule in rules:
        violated |= np.where(rule.coefficients > rule.bound, bit[rule.row.limit], 0)
    return violated
