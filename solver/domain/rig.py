"""A plan in short, and what is best at another end of the workload's intervals.

All that an answer tells beside its plan; what an explanation tells stands in explanation.py, which an answer does not
import (a tenth of what a cold `optimize` spends on records).
"""

from __future__ import annotations

from typing import Literal

from solver.domain.base import Interval, Record
from solver.domain.plan import Choice, Status
from solver.domain.units import CnyTotal


class Rig(Record):
    """A plan in short: what is chosen, and the figures by which plans are compared.

    `epoch_hours` is at the end of the intervals that was planned on, `epoch_hours_range` at all three.
    """

    card_id: str
    card_name: str
    card_count: int
    power_limit_w: int
    platform_id: str
    platform_name: str
    with_used: bool
    total_batch: int
    cost_cny: CnyTotal
    epoch_hours: float
    wall_power_w: float
    epoch_hours_range: Interval | None = None

    @property
    def choice(self) -> Choice:
        """The decisions."""
        return Choice(
            card_id=self.card_id,
            card_count=self.card_count,
            power_limit_w=self.power_limit_w,
            platform_id=self.platform_id,
            with_used=self.with_used,
        )

    @property
    def distinct(self) -> tuple[str, int, str]:
        """Card, count and platform: what makes two rigs different for a buyer."""
        return self.card_id, self.card_count, self.platform_id


class Outlook(Record):
    """The answer at another end of the workload's intervals: all figures low, as expected, or high together.

    `same`: card, count and platform are those of the plan. `rig` is None where nothing fits there (`status` is
    infeasible), or where no time was left to find one (no_answer); it may not be the best where `status` is feasible.
    """

    confidence: Literal["low", "expected", "high"]
    status: Status
    same: bool
    rig: Rig | None = None
