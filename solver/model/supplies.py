"""The power supplies of platforms as columns: wall power for any load, exact, and the least of a range of loads.

Modify this module when wall power is computed otherwise; `physics.wall_mw` is its scalar twin and must agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from solver.domain import physics
from solver.domain.catalog import Platform
from solver.model.arrays import INT64_SAFE, Ints, ints


@dataclass(frozen=True, eq=False)
class Supplies:
    """The power supplies of some platforms: their wall power as fractions of whole numbers, segment by segment.

    Rows are platforms, columns the segments of `physics.wall_segments`, padded with the last one.

    Attributes:
        host_w: draw of the host.
        until: highest load of each segment.
        n: with `a` and `b`: mW at the wall = ceil(load * n / (a + b * load)).
        a: see `n`.
        b: see `n`.
        beyond: the least wall power from the end of each segment on. An efficiency may rise so steeply with the load
            that more load draws less, so the least of a range of loads is not always that of its lowest.
    """

    host_w: Ints
    until: Ints
    n: npt.NDArray[Any]
    a: npt.NDArray[Any]
    b: npt.NDArray[Any]
    beyond: Ints

    def wall_mw(self, platform: Ints, cards_w: Ints) -> Ints:
        """Wall power, rounded up, when the cards together draw `cards_w`."""
        load = cards_w + self.host_w[platform]
        return self._wall(platform, load, self._segment(platform, load))

    def least_mw(self, platform: Ints, cards_w: Ints) -> Ints:
        """The least wall power of all loads that are at least `cards_w`."""
        load = cards_w + self.host_w[platform]
        segment = self._segment(platform, load)
        return np.minimum(self._wall(platform, load, segment), self.beyond[platform, segment])

    def _segment(self, platform: Ints, load: Ints) -> Ints:
        segment = np.zeros(load.shape, dtype=np.int64)
        for ends in self.until[:, :-1].T:
            segment += load > ends[platform]
        return segment

    def _wall(self, platform: Ints, load: Ints, segment: Ints) -> Ints:
        n, a, b = self.n[platform, segment], self.a[platform, segment], self.b[platform, segment]
        wall: Ints = -(-load * n // (a + b * load))
        return wall if wall.dtype == np.int64 else wall.astype(np.int64)


def supplies_of(platforms: Sequence[Platform], most_w: int) -> Supplies:
    """The supplies of these platforms, for cards that together draw at most `most_w`."""
    segments = [physics.wall_segments(platform.psu) for platform in platforms]
    width = max((len(row) for row in segments), default=1)
    padded = [[*row, *[row[-1]] * (width - len(row))] for row in segments]
    highest = most_w + max((p.host_draw_w for p in platforms), default=0)
    flat = [segment for row in padded for segment in row]
    safe = all(highest * n < INT64_SAFE and abs(a) + abs(b) * highest < INT64_SAFE for _, n, a, b in flat)

    def table(column: int) -> npt.NDArray[Any]:
        values = [[segment[column] for segment in row] for row in padded]
        # Exact Python integers where a product could leave 64 bits: slow, and rarely needed.
        return np.array(values, dtype=np.int64 if safe else object).reshape(len(platforms), width)

    until = np.array([[INT64_SAFE if s[0] is None else s[0] for s in row] for row in padded], dtype=np.int64)
    beyond = np.full((len(platforms), width), INT64_SAFE, dtype=np.int64)
    for at, (platform, row) in enumerate(zip(platforms, segments, strict=True)):
        # Along one segment the wall power only rises or only falls, so its least lies at an end.
        ends = [
            min(physics.wall_mw(platform.psu, end + extra) for extra in (0, 1)) for end, *_ in row if end is not None
        ]
        beyond[at, : len(ends)] = list(itertools.accumulate(reversed(ends), min))[::-1]
    return Supplies(
        host_w=ints(p.host_draw_w for p in platforms),
        until=until.reshape(len(platforms), width),
        n=table(1),
        a=table(2),
        b=table(3),
        beyond=beyond,
    )
