"""The goals: what is best, and how ties are broken, as columns of whole numbers of which less is better.

Modify this module to add a goal: one function returning its key columns, one line in `GOAL_SPECS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from solver.domain.limits import Figures, Whole
from solver.domain.units import FEN_PER_CNY, US_PER_HOUR


def batch_key(f: Figures, resolution: int) -> tuple[Whole, ...]:  # noqa: ARG001  every key has one signature
    """Largest total batch, then lower cost, shorter epoch."""
    return (-f.total_batch, f.cost_fen, f.epoch_us)


def epoch_key(f: Figures, resolution: int) -> tuple[Whole, ...]:  # noqa: ARG001  every key has one signature
    """Shortest expected epoch, then lower cost."""
    return (f.epoch_us, f.cost_fen)


def value_key(f: Figures, resolution: int) -> tuple[Whole, ...]:
    """Least cost per sample of total batch, then larger batch, shorter epoch.

    floor(cost * resolution / batch) orders cost / batch exactly when resolution >= the square of the largest batch:
    two different fractions differ by at least 1 / (batch * batch). A rig without room
    for a sample comes last; the vram limit refuses it.
    """
    empty = (f.total_batch == 0) * 1
    return (empty, f.cost_fen * resolution // (f.total_batch + empty), -f.total_batch, f.epoch_us)


def cost_key(f: Figures, resolution: int) -> tuple[Whole, ...]:  # noqa: ARG001  every key has one signature
    """Lowest cost, then larger batch, shorter epoch."""
    return (f.cost_fen, -f.total_batch, f.epoch_us)


@dataclass(frozen=True, slots=True)
class GoalSpec:
    """A goal: its key columns, what each of them orders by, its unit, and its value as a person reads it."""

    name: str
    key: Callable[[Figures, int], tuple[Whole, ...]]
    unit: str
    objective: Callable[[int, int, int], float]
    """(total_batch, cost_fen, epoch_us) -> value in `unit`."""
    larger_is_better: bool
    axes: tuple[str, ...]
    """What the key columns order by, one name each: batch, cost, epoch, cost_per_sample; empty (no room, last)."""

    @property
    def axis(self) -> str:
        """What the goal itself is about; the columns behind it are ties."""
        return next(axis for axis in self.axes if axis != "empty")

    @property
    def own_columns(self) -> int:
        """How many of the first key columns are the goal itself."""
        return self.axes.index(self.axis) + 1


GOAL_SPECS: dict[str, GoalSpec] = {
    spec.name: spec
    for spec in (
        GoalSpec("batch", batch_key, "samples", lambda batch, _cost, _epoch: batch, True, ("batch", "cost", "epoch")),
        GoalSpec(
            "epoch", epoch_key, "hours", lambda _batch, _cost, epoch: epoch / US_PER_HOUR, False, ("epoch", "cost")
        ),
        GoalSpec(
            "value",
            value_key,
            "samples/CNY",
            lambda batch, cost, _epoch: batch * FEN_PER_CNY / max(cost, 1),
            True,
            ("empty", "cost_per_sample", "batch", "epoch"),
        ),
        GoalSpec(
            "cost", cost_key, "CNY", lambda _batch, cost, _epoch: cost / FEN_PER_CNY, False, ("cost", "batch", "epoch")
        ),
    )
}
