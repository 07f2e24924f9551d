"""Pairs as records: a rig in short, re-checked, and by how much one rig is worse than another."""

from __future__ import annotations

from solver.batch import Space
from solver.domain.explanation import Difference, Rig
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import UNMOVED, Figures, Moved
from solver.domain.plan import Choice, figures_of
from solver.domain.problem import Problem
from solver.domain.units import FEN_PER_CNY, US_PER_HOUR, cny
from solver.solve import checked_figures

Distinct = tuple[str, int, str]


def checked_rig(space: Space, pair: int, moved: Moved = UNMOVED) -> Rig:
    """The record of a pair, after recomputing its figures in plain integers and holding it against every limit.

    Raises:
        SolverFailure: it did not survive.
    """
    figures = checked_figures(space.problem, space.pairs, pair, moved)
    return rig_of(space.problem, space.pairs.choice(pair), figures)


def rig_of(problem: Problem, choice: Choice, figures: Figures | None = None) -> Rig:
    """The record of a choice, whether it keeps to the limits or not."""
    f = figures_of(problem, choice) if figures is None else figures
    return Rig(
        card_id=choice.card_id,
        card_name=problem.catalog.card_by_id[choice.card_id].name,
        card_count=choice.card_count,
        power_limit_w=choice.power_limit_w,
        platform_id=choice.platform_id,
        platform_name=problem.catalog.platform_by_id[choice.platform_id].name,
        with_used=choice.with_used,
        total_batch=f.total_batch,
        cost_cny=cny(f.cost_fen),
        epoch_hours=f.epoch_us / US_PER_HOUR,
        wall_power_w=f.wall_mw / 1000,
    )


def distinct(space: Space, pair: int) -> Distinct:
    """Card, count and platform of a pair: what makes two rigs different for a buyer."""
    pairs = space.pairs
    card, platform = space.cards[pairs.card[pair]], space.platforms[pairs.platform[pair]]
    return card.id, int(pairs.figures.card_count[pair]), platform.id


def differences(space: Space, best: int, other: int) -> tuple[Difference | None, tuple[Difference, ...]]:
    """What decided that `other` loses to `best` under the goal and its ties, and all axes on which they differ."""
    f = space.pairs.figures
    batch, cost, epoch, wall = (
        tuple(int(column[pair]) for pair in (best, other))
        for column in (f.total_batch, f.cost_fen, f.epoch_us, f.wall_mw)
    )
    axes = GOAL_SPECS[space.problem.goal].axes
    worse: dict[str, Difference] = {}
    if batch[0] != batch[1]:
        worse["batch"] = Difference(axis="batch", unit="samples", worse_by=batch[0] - batch[1])
    if cost[0] != cost[1]:
        worse["cost"] = Difference(axis="cost", unit="CNY", worse_by=float(cny(cost[1] - cost[0])))
    if epoch[0] != epoch[1]:
        worse["epoch"] = Difference(axis="epoch", unit="hours", worse_by=(epoch[1] - epoch[0]) / US_PER_HOUR)
    if wall[0] != wall[1]:
        worse["wall_power"] = Difference(axis="wall_power", unit="W", worse_by=(wall[1] - wall[0]) / 1000)
    if "cost_per_sample" in axes and 0 not in batch and cost[0] * batch[1] != cost[1] * batch[0]:
        each = (cost[1] * batch[0] - cost[0] * batch[1]) / (batch[0] * batch[1] * FEN_PER_CNY)
        worse["cost_per_sample"] = Difference(axis="cost_per_sample", unit="CNY per sample", worse_by=each)
    decided = next((worse[axis] for axis in (*axes, "wall_power") if axis in worse), None)
    return decided, tuple(worse[axis] for axis in dict.fromkeys((*axes, *worse)) if axis in worse)
