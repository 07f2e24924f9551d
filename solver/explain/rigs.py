"""Pairs as records: a rig in short, re-checked, and by how much one rig is worse than another."""

from __future__ import annotations

from solver.batch import Space
from solver.domain import comparison
from solver.domain.comparison import Measures, rig_of
from solver.domain.explanation import Difference
from solver.domain.limits import UNMOVED, Moved
from solver.domain.rig import Rig
from solver.solve import checked_figures

Distinct = tuple[str, int, str]


def checked_rig(space: Space, pair: int, moved: Moved = UNMOVED) -> Rig:
    """The record of a pair, after recomputing its figures in plain integers and holding it against every limit.

    Raises:
        SolverFailure: it did not survive.
    """
    figures = checked_figures(space.problem, space.pairs, pair, moved)
    return rig_of(space.problem, space.pairs.choice(pair), figures)


def distinct(space: Space, pair: int) -> Distinct:
    """Card, count and platform of a pair: what makes two rigs different for a buyer."""
    pairs = space.pairs
    card, platform = space.cards[pairs.card[pair]], space.platforms[pairs.platform[pair]]
    return card.id, int(pairs.figures.card_count[pair]), platform.id


def differences(space: Space, best: int, other: int) -> tuple[Difference | None, tuple[Difference, ...]]:
    """What decided that `other` loses to `best` under the goal and its ties, and all axes on which they differ."""
    f = space.pairs.figures
    one, two = (
        Measures(int(f.total_batch[pair]), int(f.cost_fen[pair]), int(f.epoch_us[pair]), int(f.wall_mw[pair]))
        for pair in (best, other)
    )
    return comparison.differences(space.problem.goal, one, two)
