"""Pruning by violated sets: drop a pair if a better-ranked one violates a subset of the limits it violates.

The better one is feasible whenever the other is, also with any limits switched off, so conflicts and relaxations by
switching off whole limits stay exact. Not safe for limits that are moved by a part of a unit: there the pairs must be
compared on how far they miss. For one rig this has nearly found the answer; CP-SAT proves it among what is left.
"""

from __future__ import annotations

import numpy as np

from solver.model.arrays import Ints


def survivors(order: Ints, violated: Ints) -> Ints:
    """Indices of the pairs that must reach the solver, best first.

    Args:
        order: indices of the pairs, best first, shape (pairs,).
        violated: the set of limits each pair violates, as bits, shape (pairs,), by index of the pair.

    Returns:
        The best-ranked pair of every violated set of which no better-ranked pair violates a subset.
    """
    ranked = violated[order]
    feasible = np.flatnonzero(ranked == 0)
    if feasible.size:  # it violates a subset of whatever comes after it
        ranked = ranked[: int(feasible[0]) + 1]
    positions, sets = np.arange(len(ranked)), ranked
    kept: list[int] = []
    while len(sets):
        kept.append(int(positions[0]))
        not_pruned = (sets & sets[0]) != sets[0]  # by the first, which is the best left
        positions, sets = positions[not_pruned], sets[not_pruned]
    return order[np.array(kept, dtype=np.int64)]
