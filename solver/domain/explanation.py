"""Why an answer is what it is: conflicts, ways out, breakpoints, price ranges, alternatives, trade-off curves.

Plain records; every figure in them has been solved for again before the record was made. Amounts are in the limit's
own unit, and again as whole numbers where exactness matters: `by_units` of `unit` / `scale` (fen of CNY, mW of W, MiB
of GB, microseconds of days). Modify this module when an explanation should tell something new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from solver.domain.base import End, Record
from solver.domain.plan import Plan, Result, Usage
from solver.domain.rig import Rig
from solver.domain.units import Cny


class Change(Record):
    """A limit moved. `by` is in `unit`, always positive; `to` is the capacity it then has, where a question sets it.

    `switched_off`: the limit is on or off and is given up (used offers allowed, an id taken off the list).
    """

    limit: str
    part: str = ""
    unit: str
    by: float = 0
    by_units: int = 0
    scale: int = 1
    to: float | None = None
    at_least: bool = False
    switched_off: bool = False


class Relaxation(Record):
    """The smallest change of some limits that makes a plan exist, and the plan it buys; one unit less does not do it.

    Where no change of these limits alone helps, `changes` is empty and `rig` is None: that is proved too.
    """

    limits: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    rig: Rig | None = None

    @property
    def helps(self) -> bool:
        """Whether a plan exists after the change."""
        return self.rig is not None


class ConflictMember(Record):
    """A limit that takes part in a conflict: its inequality in words, and its capacity where the question sets it."""

    limit: str
    inequality: str
    capacity: float | None = None
    unit: str = ""


class Conflict(Record):
    """Limits that cannot all be kept. `minimal`: dropping any one of them makes a plan exist; False if time ran out."""

    members: tuple[ConflictMember, ...]
    minimal: bool


class Breakpoint(Record):
    """A limit moved until the answer changes, and the answer then; None where nothing fits any more."""

    change: Change
    rig: Rig | None = None


class LimitBreakpoints(Record):
    """One limit of a question that has a plan, in its own unit.

    `binds`: without the limit the answer would be a better one, in the goal or in a tie. `improves`: the least
    loosening that improves the goal itself (None: none does). `keeps`: the most it can be tightened before the plan
    changes in card, count or platform; `changes` is one unit more. Both None: it may be tightened to nothing.
    """

    limit: str
    part: str = ""
    unit: str
    used: float | None = None
    capacity: float | None = None
    at_least: bool = False
    binds: bool
    improves: Breakpoint | None = None
    keeps: Change | None = None
    changes: Breakpoint | None = None


class PriceRange(Record):
    """The largest interval around today's price in which the plan stays, exact to the fen, both ends included.

    All offers of the item are replaced by one at that price (new, unlimited), as `--price` does. `low_cny` None: down
    to 0; `high_cny` None: however dear. `below` and `above` are the answers one fen outside; None where the range has
    no such end, or where nothing fits there (`nothing_below`, `nothing_above`). `holds` is False where the plan is not
    the answer even at today's price, because it hangs on several offers, their stock or their breaks: no range then.
    """

    item_id: str
    item_name: str
    kind: Literal["card", "platform"]
    today_cny: Cny
    holds: bool = True
    low_cny: Cny | None = None
    high_cny: Cny | None = None
    below: Rig | None = None
    above: Rig | None = None
    nothing_below: bool = False
    nothing_above: bool = False


class FigureRange(Record):
    """The largest interval of one uncertain figure of the workload, around today's, in which the plan stays.

    Exact to `step`, both ends included. None: to the end of what the field allows. `below` and `above` are the answers
    one step outside; None where there is no such end or nothing fits (`nothing_below`, `nothing_above`).
    `interval_low` and `interval_high` are the ends that the workload itself gives the figure; None where it gives none.
    """

    field: str
    unit: str
    step: float
    today: float
    low: float | None = None
    high: float | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    below: Rig | None = None
    above: Rig | None = None
    nothing_below: bool = False
    nothing_above: bool = False


class Difference(Record):
    """By how much a rig is worse on one axis (negative: better): samples, CNY, hours, W, CNY per sample."""

    axis: Literal["batch", "cost", "epoch", "wall_power", "cost_per_sample"]
    unit: str
    worse_by: float


class Alternative(Record):
    """A plan that is not the first: its place, and what it loses by.

    `decided_by` is the first axis of the goal and its ties on which they differ; None: only the fixed order of ids,
    counts and power limits parts them. `differences` are all axes on which they differ, that one included.
    """

    place: int
    rig: Rig
    decided_by: Difference | None
    differences: tuple[Difference, ...]


class Miss(Record):
    """A rig that does not fit: every part of a limit that it breaks, and the nearest rig of the same card that does.

    `fits_w`: the lowest and highest power limit (W, among those tried) at which the same cards fit that platform.
    `nearest`: where no power limit does, the rig of this card that comes nearest: as many cards as fit.
    """

    rig: Rig
    broken: tuple[Usage, ...]
    fits_w: tuple[int, int] | None = None
    nearest: Rig | None = None


class CardAccount(Record):
    """One card of the catalogue, accounted for.

    `chosen`; `beaten`: it fits, and `best` (its best rig) loses to the plan by `lost_by`; `excluded`: no rig of it
    fits; `no_price`. `miss` is the rig one would have liked (as many as allowed at full power) where that does not fit;
    for an excluded card the rig that misses by least.
    """

    card_id: str
    card_name: str
    status: Literal["chosen", "beaten", "excluded", "no_price"]
    best: Rig | None = None
    decided_by: Difference | None = None
    differences: tuple[Difference, ...] = ()
    miss: Miss | None = None


class Explanation(Record):
    """All of it. `complete` is False where time ran out or somebody stopped: what is there has still been proved."""

    result: Result
    complete: bool
    conflict: Conflict | None = None
    relaxations: tuple[Relaxation, ...] = ()
    together: tuple[Relaxation, ...] = ()
    limits: tuple[LimitBreakpoints, ...] = ()
    prices: tuple[PriceRange, ...] = ()
    figures: tuple[FigureRange, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    cards: tuple[CardAccount, ...] = ()
    what_ifs: int = 0
    """How many questions were solved to prove all this."""
    total_ms: float = 0


Axis = Literal["cost", "batch", "epoch", "watts", "value"]
AXIS_UNITS: Mapping[Axis, str] = {
    "cost": "CNY",
    "batch": "samples",
    "epoch": "hours",
    "watts": "W",
    "value": "samples/CNY",
}


class FrontierPoint(Record):
    """A point of a trade-off curve: its value on each axis (CNY, samples, hours, W, samples/CNY), and its plan."""

    values: tuple[float, float]
    plan: Plan


class Frontier(Record):
    """The complete Pareto set of two axes: no plan within the limits is better on one and no worse on the other.

    Points are in order of the first axis, best first. `complete` is False where not all was proved in time; the points
    that are there are proved.
    """

    axes: tuple[Axis, Axis]
    units: tuple[str, str]
    goal: str
    confidence: End = "expected"
    """The end of the workload's intervals that was planned on; values on the axes are those there."""
    points: tuple[FrontierPoint, ...]
    complete: bool = True
    what_ifs: int = 0
    total_ms: float = 0
