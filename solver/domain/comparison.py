"""Two rigs held against each other by plain arithmetic: a rig in short, and by how much one is worse than another.

Used where explanations are made and where a saved one is checked again. Modify this module when plans are compared on
another figure.
"""

from __future__ import annotations

from typing import NamedTuple

from solver.domain.explanation import Axis, Difference
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import Figures
from solver.domain.plan import Choice
from solver.domain.problem import Problem
from solver.domain.recheck import epoch_hours_of, figures_of
from solver.domain.rig import Rig
from solver.domain.units import FEN_PER_CNY, US_PER_HOUR, cny


class Measures(NamedTuple):
    """The whole numbers by which rigs are compared: samples, fen, microseconds, mW."""

    batch: int
    cost_fen: int
    epoch_us: int
    wall_mw: int

    @classmethod
    def of(cls, figures: Figures) -> Measures:
        """Of one rig's figures."""
        return cls(figures.total_batch, figures.cost_fen, figures.epoch_us, figures.wall_mw)

    def on(self, axis: Axis) -> float:
        """The value on an axis of a trade-off curve, in the axis' unit."""
        values: dict[str, float] = {
            "cost": float(cny(self.cost_fen)),
            "batch": self.batch,
            "epoch": self.epoch_us / US_PER_HOUR,
            "watts": self.wall_mw / 1000,
            "value": self.batch * FEN_PER_CNY / max(self.cost_fen, 1),
        }
        return values[axis]


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
        epoch_hours_range=epoch_hours_of(problem, choice),
    )


def differences(goal: str, best: Measures, other: Measures) -> tuple[Difference | None, tuple[Difference, ...]]:
    """What decided that `other` loses to `best` under the goal and its ties, and all axes on which they differ."""
    axes = GOAL_SPECS[goal].axes
    worse: dict[str, Difference] = {}
    if best.batch != other.batch:
        worse["batch"] = Difference(axis="batch", unit="samples", worse_by=best.batch - other.batch)
    if best.cost_fen != other.cost_fen:
        worse["cost"] = Difference(axis="cost", unit="CNY", worse_by=float(cny(other.cost_fen - best.cost_fen)))
    if best.epoch_us != other.epoch_us:
        worse["epoch"] = Difference(axis="epoch", unit="hours", worse_by=(other.epoch_us - best.epoch_us) / US_PER_HOUR)
    if best.wall_mw != other.wall_mw:
        worse["wall_power"] = Difference(axis="wall_power", unit="W", worse_by=(other.wall_mw - best.wall_mw) / 1000)
    cross = other.cost_fen * best.batch - best.cost_fen * other.batch
    if "cost_per_sample" in axes and best.batch and other.batch and cross:
        each = cross / (best.batch * other.batch * FEN_PER_CNY)
        worse["cost_per_sample"] = Difference(axis="cost_per_sample", unit="CNY per sample", worse_by=each)
    decided = next((worse[axis] for axis in (*axes, "wall_power") if axis in worse), None)
    return decided, tuple(worse[axis] for axis in dict.fromkeys((*axes, *worse)) if axis in worse)
