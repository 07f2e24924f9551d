"""From today's value of one figure outwards, to the first value at which another rig is best. Exact, without a grid.

A walk jumps from event to event: a value before which the winner cannot have changed. Two kinds: `Lines`, where the one
key column that moves is a straight line in the value for every pair (prices, the fixed time of a step), so the first
value at which one pair overtakes another is a division of whole numbers; and `Rounded`, where it is a line rounded to
whole microseconds (per-sample time, compute share), so an event is the first value at which an overtaking is possible,
and what happens there is looked at exactly. Nothing here solves; what is found is then proved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from solver.batch import OutOfTime, Patience
from solver.model.arrays import Ints

_INT64_SAFE = 2**62
_CHUNK = 1024
_MOST_EVENTS = 5000
FAR = 2**60
"""Beyond every value of every figure."""


class Walk(Protocol):
    """What a walk needs: who wins at a value, and the next value at which somebody else may."""

    def winner(self, value: int) -> int | None:
        """The pair that is best at a value; None where nothing fits."""

    def next_event(self, value: int, winner: int | None, direction: int) -> int | None:
        """The next value (exclusive of this one) in the direction, before which the winner cannot change."""


@dataclass(frozen=True)
class Edge:
    """Where a walk ended: the last value with the same rig, and what wins one step further.

    `last` is None where the rig stays to the end of the range; then `beyond` says nothing.
    """

    last: int | None
    beyond: int | None = None


def edge(walk: Walk, rig_of: Callable[[int], Any], start: int, end: int, patience: Patience) -> Edge:
    """The last value, from `start` towards `end` inclusive, up to which the same rig wins.

    Raises:
        OutOfTime: the walk was too long.
    """
    direction = 1 if end >= start else -1
    value = start
    winner = walk.winner(value)
    rig = None if winner is None else rig_of(winner)
    for _ in range(_MOST_EVENTS):
        if patience.over:
            raise OutOfTime
        event = walk.next_event(value, winner, direction)
        if event is None or (event - end) * direction > 0:
            return Edge(None)
        winner = walk.winner(event)
        if (None if winner is None else rig_of(winner)) != rig:
            return Edge(event - direction, winner)
        value = event
    raise OutOfTime


@dataclass(frozen=True, eq=False)
class Lines:
    """Pairs of which one key column is (slope * value + start) / divisor; less is better.

    Attributes:
        pairs: the index of each.
        before: rank by the key columns before the one that moves.
        slope, start, divisor: the column that moves; divisor at least 1.
        after: rank by the key columns behind it.
        low, high: the values between which the pair keeps to every limit.
    """

    pairs: Ints
    before: Ints
    slope: Any
    start: Any
    divisor: Any
    after: Ints
    low: Any
    high: Any

    @classmethod
    def of(
        cls, pairs: Ints, before: Ints, slope: Ints, start: Ints, divisor: Ints, after: Ints, cap: int | None
    ) -> Lines:
        """From columns of the pairs that keep to all other limits; `cap` bounds slope * value + start."""
        if int(np.abs(start).max(initial=0)) * int(divisor.max(initial=1)) * 2 >= _INT64_SAFE:
            slope, start, divisor = (column.astype(object) for column in (slope, start, divisor))
        low = np.zeros(len(pairs), dtype=slope.dtype)
        high = np.full(len(pairs), FAR, dtype=slope.dtype)
        if cap is not None:
            room = cap - start
            moving = slope > 0
            high[moving] = room[moving] // slope[moving]
            high[~moving & (room < 0)] = -1
        return cls(pairs, before, slope, start, divisor, after, low, high)

    def winner(self, value: int) -> int | None:
        """The pair that is best at a value."""
        at = self._winner(value)
        return None if at is None else int(self.pairs[at])

    def _winner(self, value: int) -> int | None:
        at = np.flatnonzero((self.low <= value) & (value <= self.high))
        if not len(at):
            return None
        at = at[self.before[at] == self.before[at].min()]
        slope, start = self.slope[at], self.start[at]
        resolution = int(self.divisor.max()) ** 2
        if max(1, int(slope.max()) * value + int(np.abs(start).max())) * resolution >= _INT64_SAFE:
            slope, start = slope.astype(object), start.astype(object)
        # floor(height * r / divisor) orders the fractions, r being the square of the largest divisor.
        height = (slope * value + start) * resolution // self.divisor[at]
        at = at[height == height.min()]
        return int(at[self.after[at].argmin()])

    def next_event(self, value: int, winner: int | None, direction: int) -> int | None:
        """The next value at which another pair overtakes the winner, or the winner no longer fits."""
        low, high = self.low, self.high
        if winner is not None:
            mine = int(np.flatnonzero(self.pairs == winner)[0])
            low, high = self._overtakes(mine)
        if direction > 0:
            starts = np.maximum(low, value + 1)
            events = starts[starts <= high].tolist()
            if winner is not None:
                events.append(int(self.high[mine]) + 1)
            return min(events, default=None)
        ends = np.minimum(high, value - 1)
        events = ends[ends >= low].tolist()
        if winner is not None:
            events.append(int(self.low[mine]) - 1)
        return max(events, default=None)

    def _overtakes(self, mine: int) -> tuple[Any, Any]:
        """For each pair the values, low to high, at which it fits and is better than pair `mine`."""
        m, q = int(self.divisor[mine]), self.divisor
        a = self.slope * m - int(self.slope[mine]) * q
        b = int(self.start[mine]) * q - self.start * m
        b = b - (self.after >= self.after[mine])  # a tie wins only with the better rank behind it: a * value <= b
        low, high = self.low.copy(), self.high.copy()
        same = self.before == self.before[mine]
        never = (self.before > self.before[mine]) | (same & (a == 0) & (b < 0))
        rising, falling = same & (a > 0), same & (a < 0)
        high[rising] = np.minimum(high[rising], b[rising] // a[rising])
        low[falling] = np.maximum(low[falling], -(b[falling] // -a[falling]))
        never[mine] = True
        low[never], high[never] = 1, 0
        return low, high


@dataclass(frozen=True, eq=False)
class Rounded:
    """Pairs of which one key column is slope * value + start, off by less than `error`.

    Attributes:
        pairs, before, after: as in `Lines`.
        slope, start, error: the line in floating point, and how far the exact column can be from it.
        profile: pairs of one profile have the same column at every value.
        exact: (positions among the pairs, values) -> the exact column, shape (values, positions).
        cap: the column must not be above it; None for no limit.
    """

    pairs: Ints
    before: Ints
    slope: Any
    start: Any
    error: Any
    profile: Ints
    after: Ints
    exact: Callable[[Ints, Ints], Ints]
    cap: int | None

    def winner(self, value: int) -> int | None:
        """The pair that is best at a value."""
        everywhere = np.arange(len(self.pairs))
        if not len(everywhere):
            return None
        height = self.exact(everywhere, np.array([value]))[0]
        at = everywhere if self.cap is None else np.flatnonzero(height <= self.cap)
        if not len(at):
            return None
        at = at[self.before[at] == self.before[at].min()]
        at = at[height[at] == height[at].min()]
        return int(self.pairs[at[self.after[at].argmin()]])

    def next_event(self, value: int, winner: int | None, direction: int) -> int | None:
        """The next value at which another pair overtakes the winner or fits, or the winner no longer fits.

        Where that hangs on rounding, the exact columns of the pairs in question are looked at, `_CHUNK` values on; the
        end of the chunk is then an event at which nothing happens.
        """
        steps, mine = self._steps(value, winner, direction)
        least = float(steps.min(initial=FAR))
        if least >= FAR:
            return None
        if least > 1:
            return value + direction * int(least)
        near = steps <= 1
        length = int(min(float(steps[~near].min(initial=_CHUNK)), _CHUNK))
        asked = np.flatnonzero(near)
        values = value + direction * np.arange(1, length + 1)
        if mine is not None:
            asked = np.unique(np.append(asked, mine))
        height = self.exact(asked, values)
        fits = np.ones(height.shape, dtype=np.bool_) if self.cap is None else height <= self.cap
        if mine is None:
            happens = fits.any(axis=1)
        else:
            own = int(np.flatnonzero(asked == mine)[0])
            before, after = self.before[asked], self.after[asked]
            lower = (height < height[:, [own]]) | ((height == height[:, [own]]) & (after < after[own]))
            beats = fits & ((before < before[own]) | ((before == before[own]) & lower))
            beats[:, own] = False
            happens = beats.any(axis=1) | ~fits[:, own]
        first = int(happens.argmax()) if happens.any() else length - 1
        return int(values[first])

    def _steps(self, value: int, winner: int | None, direction: int) -> tuple[Any, int | None]:
        """For each pair after how many steps it can at the earliest overtake the winner, or come to fit."""
        height = self.start + self.slope * value
        if winner is None:
            if self.cap is None:
                return np.full(len(self.pairs), float(FAR)), None
            return _first(height - self.cap - self.error, self.slope * direction), None
        mine = int(np.flatnonzero(self.pairs == winner)[0])
        gap = height - height[mine] - self.error - self.error[mine]
        steps = _first(gap, (self.slope - self.slope[mine]) * direction)
        steps[(self.before > self.before[mine]) | (self.profile == self.profile[mine])] = FAR
        ahead = self.before < self.before[mine]
        if self.cap is None:
            steps[ahead] = 1  # it fits, so it would have won
        else:
            comes = _first(height - self.cap - self.error, self.slope * direction)
            steps[ahead] = comes[ahead]
            room = _first(self.cap - height - self.error, -self.slope * direction)
            steps[mine] = room[mine]
        return steps, mine


def _first(gap: Any, closing: Any) -> Any:
    """After how many steps each gap can first be closed, at a change of `closing` a step; FAR for never, at least 1."""
    steps = np.full(len(gap), float(FAR))
    steps[~(gap > 0)] = 1
    towards = (gap > 0) & (closing < 0)
    steps[towards] = np.clip(np.floor(gap[towards] / -closing[towards]) - 1, 1, FAR)
    return steps
