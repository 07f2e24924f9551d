"""The columns that hang on the workload's uncertain figures, as functions of them: micro-batch, total batch, epoch.

The formulas are those of physics.py; today's columns are compared with the model's when this is built. Only pairs are
kept that violate none of the limits that do not depend on these figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from solver.batch import Space, dense_rank
from solver.domain import physics
from solver.domain.errors import SolverFailure
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import Figures
from solver.domain.units import mib_up, milli
from solver.model.arrays import Ints
from solver.model.parts import epochs_us

MOVING = ("vram", "min_batch", "max_epoch")
"""Limits whose demand depends on the figures looked at here."""
_INT64_SAFE = 2**62


@dataclass(frozen=True)
class Values:
    """Today's value of each figure at the end that is planned on, in the units in which it moves."""

    reserve_mib: int
    compute_share_milli: int
    fixed_ms: int
    per_sample_ms: int


class Timing:
    """Micro-batch and epoch of the pairs that keep to all limits but `MOVING`.

    Today's times are the model's own columns. They move as functions of one figure where the workload has a single
    pace at the end that is planned on (`moves`): always at the expected one.
    """

    def __init__(self, space: Space) -> None:
        """Read what the columns depend on.

        Raises:
            SolverFailure: today's columns differ from the model's.
        """
        self.space = space
        work, pairs = space.problem.workload, space.pairs
        hardware = pairs.hardware
        self.work, self.end = work, hardware.end
        off = {rule.name: None for rule in space.rules if rule.row.limit in MOVING}
        self.at: Ints = np.flatnonzero(space.feasible(off))
        self.card: Ints = pairs.card[self.at]
        self.count: Ints = pairs.figures.card_count[self.at]
        paces = physics.paces(work, self.end)
        self.moves = len(paces) == 1
        self.today = Values(
            mib_up(work.figure("reserve_gb", self.end)),
            physics.compute_shares(work, self.end)[0],
            paces[0].fixed_ms,
            paces[0].per_sample_ms,
        )
        self.samples, self.accumulation = work.samples, work.gradient_accumulation
        self.each_mib = mib_up(work.figure("per_sample_gb", self.end))
        counts = range(1, int(self.count.max(initial=0)) + 1)
        taken = [0, *(physics.fixed_vram_mib(work, n, self.end) - self.today.reserve_mib for n in counts)]
        vram = np.array([card.vram_mib for card in space.cards], dtype=np.int64)
        self.free_mib = vram[self.card] - np.array(taken, dtype=np.int64)[self.count]
        watts = pairs.figures.power_limit_w[self.at]
        position = [
            first + int(np.searchsorted(hardware.watts[first : first + steps], limit))
            for first, steps, limit in zip(
                hardware.first[self.card].tolist(), hardware.steps[self.card].tolist(), watts.tolist(), strict=True
            )
        ]
        places, platform = hardware.places, pairs.platform[self.at]
        generation = np.minimum(hardware.generation[self.card], places.generation[platform])
        self.fixed_us: Ints = hardware.fixed_us[:, generation, self.count]
        self.optimizer_us: Ints = places.optimizer_us[:, self.count, platform]
        self.today_sample_us: Ints = hardware.sample_us[:, position]
        self.fixed_per_ms: Ints = np.array(
            [[0, *(physics.fixed_us(work, 1, n, g) for n in counts)] for g in range(physics.TOP_GENERATION + 1)],
            dtype=np.int64,
        )[generation, self.count]
        self.reference = milli(work.reference_tflops)
        self.tflops = np.array([milli(card.bf16_dense_tflops) for card in space.cards], dtype=np.int64)[self.card]
        # Bound by compute for more of its time, a card slower than the reference is slower still, another one faster.
        bound = physics.compute_shares(work, self.end)
        least, most = (min(bound), max(bound)) if self.end == "high" else (max(bound), min(bound))
        self.share_milli: Ints = np.where(self.tflops < self.reference, most, least)
        settings, back = np.unique(np.stack([self.card, watts]), axis=1, return_inverse=True)
        shares = []
        for card, limit in settings.T.tolist():
            model = space.cards[card]
            num, den = physics.power_share(model.power_curve or work.power_curve, model.tdp_w, limit)
            shared = math.gcd(num, den)
            shares.append((num // shared, den // shared))
        self.num, self.den = (
            np.array([share[part] for share in shares], dtype=np.int64)[back.reshape(-1)] for part in (0, 1)
        )
        # In sample_ratio: ms * thousandths * thousandths * den, twice, and below it tflops * num.
        most = max(self.reference, int(self.tflops.max(initial=1)))
        self.largest_per_ms = 2000 * most * max((max(share) for share in shares), default=1)
        f = pairs.figures
        if not np.array_equal(self.epoch_us(), f.epoch_us[self.at]) or not np.array_equal(
            self.total_batch(self.today.reserve_mib), f.total_batch[self.at]
        ):
            raise SolverFailure("the epochs of the explanation differ from the model's")

    def micro_batch(self, reserve_mib: int) -> Ints:
        """Samples on one card of each pair."""
        fits: Ints = np.maximum(0, (self.free_mib - reserve_mib) // self.each_mib)
        return fits

    def total_batch(self, reserve_mib: int) -> Ints:
        """Samples of a step on all cards of each pair."""
        return self.count * self.micro_batch(reserve_mib) * self.accumulation

    def sample_us(self, per_sample_ms: Any, k: Any, among: Any = slice(None)) -> Any:
        """Microseconds of a sample, rounded half up."""
        above, below = self.sample_ratio(per_sample_ms, k, among)
        return np.minimum(physics.SLOWEST_SAMPLE_US, (2 * above + below) // (2 * below)).astype(np.int64)

    def sample_ratio(self, per_sample_ms: Any, k: Any, among: Any = slice(None)) -> tuple[Any, Any]:
        """Microseconds of a sample before rounding, as (above, below)."""
        tflops, num, den = self.tflops[among], self.num[among], self.den[among]
        if self.largest_per_ms * int(np.max(per_sample_ms, initial=1)) >= _INT64_SAFE:
            tflops, num, den = (column.astype(object) for column in (tflops, num, den))
        return physics.sample_ratio(per_sample_ms, k, self.reference, tflops, num, den)

    def epoch_us(
        self,
        reserve_mib: int | None = None,
        fixed_ms: Any = None,
        per_sample_ms: Any = None,
        k: Any = None,
        among: Any = slice(None),
    ) -> Ints:
        """Microseconds of an epoch; what is not given is as today. Arrays of shape (values, 1) make a table."""
        today = self.today
        batch = self.micro_batch(today.reserve_mib if reserve_mib is None else reserve_mib)[among]
        fixed, sample = self.fixed_us[:, among], self.today_sample_us[:, among]
        if fixed_ms is not None:
            fixed = np.asarray(fixed_ms * self.fixed_per_ms[among])[np.newaxis]
        if per_sample_ms is not None or k is not None:
            moved = (
                today.per_sample_ms if per_sample_ms is None else per_sample_ms,
                self.share_milli[among] if k is None else k,
            )
            sample = self.sample_us(*moved, among)[np.newaxis]
        optimizer = self.optimizer_us[:, among]
        if fixed.ndim > 2 or sample.ndim > 2:  # tables: pace, value, pair
            fixed, sample, optimizer = (t if t.ndim > 2 else t[:, np.newaxis] for t in (fixed, sample, optimizer))
        return epochs_us(self.work, self.end, self.count[among], batch, fixed, sample, optimizer)

    def figures(self, total_batch: Ints, epoch_us: Ints) -> Figures:
        """The pairs' figures with another batch and epoch."""
        f = self.space.pairs.figures
        part = {name: getattr(f, name)[self.at] for name in f.__slots__ if isinstance(getattr(f, name), np.ndarray)}
        return replace(f, **{**part, "total_batch": total_batch, "epoch_us": epoch_us})

    @cached_property
    def resolution(self) -> int:
        """As `goals.value_key` wants it, for the batch without any reserve."""
        return int(self.total_batch(0).max(initial=1)) ** 2

    def keys(self, total_batch: Ints, epoch_us: Ints) -> tuple[Any, ...]:
        """The goal's key columns with another batch and epoch; less is better."""
        f = self.figures(total_batch, epoch_us)
        if max(1, int(f.cost_fen.max(initial=0))) * self.resolution >= _INT64_SAFE:
            f = replace(f, cost_fen=f.cost_fen.astype(object))
        return GOAL_SPECS[self.space.problem.goal].key(f, self.resolution)

    @cached_property
    def ties(self) -> Ints:
        """The rank of each pair by the ties that follow every goal's key, which none of these figures moves."""
        goal = self.space.problem.goal
        return dense_rank(self.space.keys(goal)[len(GOAL_SPECS[goal].axes) :])[self.at]

    @property
    def epoch_cap_us(self) -> int | None:
        """The longest epoch allowed."""
        rule = next((rule for rule in self.space.rules if rule.row.limit == "max_epoch"), None)
        return None if rule is None else rule.bound

    @property
    def least_batch(self) -> int:
        """The smallest total batch allowed."""
        rule = next((rule for rule in self.space.rules if rule.row.limit == "min_batch"), None)
        return 1 if rule is None else -rule.bound
