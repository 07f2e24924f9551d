"""How far the workload's uncertain figures may be off before another plan is best: reserve, compute share, step times.

The interval is the connected one around today's value, exact to the step of the figure. Its ends are found by a walk
over the columns (walk.py) and then solved: the plan stays at the end, and does not one step outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from solver.batch import Bools, OutOfTime, Patience, Space, WhatIf, best_of_each, dense_rank
from solver.domain import physics
from solver.domain.errors import SolverFailure
from solver.domain.explanation import FigureRange
from solver.domain.goals import GOAL_SPECS
from solver.domain.uncertain import own_ends, with_figure
from solver.domain.units import MIB_PER_GB, NEVER_US
from solver.explain.rigs import checked_rig, distinct
from solver.explain.timing import Timing
from solver.explain.walk import Edge, Lines, Rounded, Walk, edge
from solver.model.arrays import Ints


@dataclass(frozen=True)
class Figure:
    """An uncertain figure: its field, how its whole steps become the field's value, and the range of steps."""

    field: str
    unit: str
    steps_per_unit: int
    """Steps in one unit as people read it."""
    low: int
    high: int
    today: Callable[[Timing], int]
    walk: Callable[[Timing], Walk]
    value: Callable[[int], Decimal]
    """Steps -> the value of the field."""


@dataclass(frozen=True, eq=False)
class Thresholds:
    """The reserve: batch and epoch of every pair jump where a card gains or loses a sample, and nowhere else."""

    timing: Timing

    def winner(self, value: int) -> int | None:
        """The pair that is best with that reserve."""
        timing = self.timing
        batch, epoch = timing.total_batch(value), timing.epoch_us(reserve_mib=value)
        good = batch >= timing.least_batch
        if timing.epoch_cap_us is not None:
            good &= epoch <= timing.epoch_cap_us
        at = np.flatnonzero(good)
        for key in (*timing.keys(batch, epoch), timing.ties):
            if not len(at):
                return None
            here = key[at]
            at = at[here == here.min()]
        return int(timing.at[at[0]]) if len(at) else None

    def next_event(self, value: int, winner: int | None, direction: int) -> int | None:  # noqa: ARG002  a walk's way
        """The next reserve at which some card gains or loses a sample."""
        timing = self.timing
        micro, free, each = timing.micro_batch(value), timing.free_mib, timing.each_mib
        if direction > 0:
            left = free[micro > 0] - micro[micro > 0] * each  # with more reserve than this the last sample is gone
            return int(left.min()) + 1 if len(left) else None
        gains = free - (micro + 1) * each
        gains = gains[gains < value]
        return int(gains.max()) if len(gains) else None


def _split(timing: Timing) -> tuple[Ints, Ints, Bools]:
    """(rank before the epoch, rank behind it, whether today's batch is allowed) of the timing's pairs."""
    goal = timing.space.problem.goal
    batch = timing.total_batch(timing.today.reserve_mib)
    keys = timing.keys(batch, timing.epoch_us())
    at = GOAL_SPECS[goal].axes.index("epoch")
    before = dense_rank(keys[:at]) if at else np.zeros(len(batch), dtype=np.int64)
    return before, dense_rank((*keys[at + 1 :], timing.ties)), batch >= timing.least_batch


def _steps(timing: Timing, batch: Ints) -> Ints:
    steps: Ints = -(-timing.samples // np.maximum(batch, 1))
    return steps


def _fixed(timing: Timing) -> Walk:
    """The fixed time of a micro-step: an epoch is a whole multiple of it, and what does not depend on it."""
    before, after, good = _split(timing)
    micro = timing.micro_batch(timing.today.reserve_mib)
    steps = _steps(timing, timing.count * micro * timing.accumulation)
    end = FIGURES[2].high
    if np.any(timing.epoch_us(fixed_ms=end)[good] >= NEVER_US):
        raise OutOfTime  # 31,700 years: beyond what the arithmetic tells apart
    micro_steps = steps * timing.accumulation
    slope = micro_steps * timing.fixed_per_ms
    start = micro_steps * micro * timing.today_sample_us[0] + steps * timing.optimizer_us[0]
    at = np.flatnonzero(good)
    one = np.ones(len(at), dtype=np.int64)
    return Lines.of(timing.at[at], before[at], slope[at], start[at], one, after[at], timing.epoch_cap_us)


def _per_sample(timing: Timing) -> Walk:
    """The time of a sample on the reference card: a line for every pair, rounded to whole microseconds a sample."""
    return _rounded(timing, lambda steps: {"per_sample_ms": steps}, FIGURES[3])


def _share(timing: Timing) -> Walk:
    """The share bound by compute: a line for every pair, rising or falling, rounded to whole microseconds a sample."""
    return _rounded(timing, lambda steps: {"k": steps}, FIGURES[1])


def _rounded(timing: Timing, figure: Callable[[Any], dict[str, Any]], of: Figure) -> Walk:
    before, after, good = _split(timing)
    micro = timing.micro_batch(timing.today.reserve_mib)
    steps = _steps(timing, timing.count * micro * timing.accumulation)
    micro_steps = steps * timing.accumulation
    if np.any(timing.epoch_us(**figure(of.high))[good] >= NEVER_US):
        raise OutOfTime
    parts = {"per_sample_ms": timing.today.per_sample_ms, "k": timing.share_milli}

    def sample_at(value: int) -> tuple[Any, Any, Any]:
        values = {**parts, **figure(value)}
        above, below = timing.sample_ratio(values["per_sample_ms"], values["k"])
        shared = np.gcd(above, below)
        return above.astype(float) / below.astype(float), above // shared, below // shared

    (low, *exactly_low), (high, *exactly_high) = sample_at(of.low), sample_at(of.high)
    each = (high - low) / (of.high - of.low)
    rest = micro_steps * timing.fixed_us[0] + steps * timing.optimizer_us[0]
    slope = micro_steps * micro * each
    start = rest + micro_steps * micro * (low - each * of.low)
    # Half a microsecond a sample by rounding, and what floating point may be off.
    error = micro_steps * micro * 0.5 + 1e-9 * (rest + np.abs(slope) * of.high) + 1
    error[np.maximum(low, high) >= physics.SLOWEST_SAMPLE_US] = np.inf
    at = np.flatnonzero(good)
    # A line is known by two of its points: pairs that share both round alike everywhere.
    profile = dense_rank((micro_steps, micro, rest, *exactly_low, *exactly_high))

    def exact(positions: Ints, values: Ints) -> Ints:
        among = at[positions]
        return timing.epoch_us(**figure(values[:, np.newaxis]), among=among)

    return Rounded(
        timing.at[at], before[at], slope[at], start[at], error[at], profile[at], after[at], exact, timing.epoch_cap_us
    )


FIGURES: tuple[Figure, ...] = (
    Figure(
        "reserve_gb",
        "GB",
        MIB_PER_GB,
        0,
        1_000_000 * MIB_PER_GB,
        lambda t: t.today.reserve_mib,
        Thresholds,
        lambda mib: Decimal(mib) / MIB_PER_GB,
    ),
    Figure(
        "compute_share",
        "",
        1000,
        0,
        1000,
        lambda t: t.today.compute_share_milli,
        _share,
        lambda milli: Decimal(milli) / 1000,
    ),
    Figure("fixed_s", "s", 1000, 0, 3_600_000, lambda t: t.today.fixed_ms, _fixed, lambda ms: Decimal(ms) / 1000),
    Figure(
        "per_sample_s",
        "s",
        1000,
        1,
        3_600_000,
        lambda t: t.today.per_sample_ms,
        _per_sample,
        lambda ms: Decimal(ms) / 1000,
    ),
)


def figure_ranges(timing: Timing, best: int, patience: Patience) -> tuple[tuple[FigureRange, ...], bool]:
    """For each uncertain figure the largest interval around today's value in which the plan stays; and whether all are.

    A figure whose times leave what the arithmetic tells apart (28 hours a sample, 31,700 years an epoch) is left out.

    Raises:
        OutOfTime: time ran out; what was found is lost.
        SolverFailure: the solver disagrees with the columns.
    """
    space = timing.space
    found: list[tuple[Figure, Edge, Edge]] = []
    # A time that is one of several paces at this end of the intervals moves nothing by itself.
    figures = FIGURES if space.problem.confidence == "expected" else FIGURES[:1] + (FIGURES[2:] if timing.moves else ())
    for figure in figures:
        try:
            walk = figure.walk(timing)
            today = figure.today(timing)
            edges = [
                edge(walk, lambda pair: distinct(space, pair), today, end, patience)
                for end in (figure.low, figure.high)
            ]
        except OutOfTime:
            if patience.over:
                raise
            continue
        found.append((figure, edges[0], edges[1]))
    asked: list[WhatIf] = []
    for figure, down, up in found:
        for end, direction in ((down, -1), (up, 1)):
            if end.last is not None:
                asked += [
                    WhatIf(Space.of(with_figure(space.problem, figure.field, figure.value(s))))
                    for s in (end.last, end.last + direction)
                ]
    answers = iter(zip(asked, best_of_each(asked, patience), strict=True))
    ranges = tuple(_record(space, best, figure, down, up, answers) for figure, down, up in found)
    return ranges, len(found) == len(figures)


def _record(space: Space, best: int, figure: Figure, down: Edge, up: Edge, answers: Any) -> FigureRange:
    ends: dict[str, Any] = {}
    for side, value, end in (("below", "low", down), ("above", "high", up)):
        if end.last is None:
            continue
        (_, inside), (beyond, outside) = next(answers), next(answers)
        if inside is None or distinct(space, inside) != distinct(space, best) or outside != end.beyond:
            raise SolverFailure(f"CP-SAT does not confirm the range of {figure.field} at {end.last}")
        ends[value] = end.last / figure.steps_per_unit
        ends[side] = None if outside is None else checked_rig(beyond.space, outside)
        ends[f"nothing_{side}"] = outside is None
    interval = own_ends(space.problem.workload, figure.field)
    if interval is not None:
        ends |= {"interval_low": float(interval[0]), "interval_high": float(interval[1])}
    return FigureRange(
        field=figure.field,
        unit=figure.unit,
        step=1 / figure.steps_per_unit,
        today=float(space.problem.workload.figure(figure.field, space.problem.confidence)),
        **ends,
    )
