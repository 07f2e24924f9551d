"""The answer as records: a plan for one rig with all its figures, and the result around it.

How the figures follow from a choice stands in recheck.py. Modify this module when an answer should tell something new.
"""

from __future__ import annotations

import datetime
from typing import Literal

from solver.domain.base import End, Interval, Record
from solver.domain.units import Cny, CnyTotal

Status = Literal["optimal", "feasible", "infeasible", "no_answer"]


class Choice(Record):
    """What is decided: card, count, power limit per card, platform, and whether used offers may be bought."""

    card_id: str
    card_count: int
    power_limit_w: int
    platform_id: str
    with_used: bool = False


class OrderLine(Record):
    """One line of the order: quantity, unit price and total in CNY, and whose offer it is."""

    item_id: str
    name: str
    quantity: int
    unit_price_cny: Cny
    total_cny: CnyTotal
    condition: str = "new"
    vendor: str = ""
    quote_date: datetime.date | None = None
    valid_until: datetime.date | None = None
    lead_time_days: int | None = None
    tax_included: bool | None = None
    source: str = ""
    basis: str = ""


class Usage(Record):
    """How much of one limit is used, in the limit's unit. `at_least`: used must reach the capacity, not stay below."""

    limit: str
    unit: str
    used: float
    capacity: float
    at_least: bool = False
    part: str = ""

    @property
    def headroom(self) -> float:
        """What is left before the limit binds; negative where it is broken."""
        return self.used - self.capacity if self.at_least else self.capacity - self.used


class Plan(Record):
    """One rig and all that follows from it. Watts at the wall rounded up to 1 mW; times as intervals in hours."""

    card_id: str
    card_name: str
    card_count: int
    power_limit_w: int
    tdp_w: int
    platform_id: str
    platform_name: str
    with_used: bool
    micro_batch: int
    total_batch: int
    cost_cny: CnyTotal
    order: tuple[OrderLine, ...]
    steps_per_epoch: int
    step_seconds: Interval
    epoch_hours: Interval
    preparation_hours: Interval
    training_hours: Interval
    wall_power_w: float
    socket_w: float
    """What the socket gives: amps * volts, before any derating."""
    long_load_w: float
    """What distribution practice allows for loads of hours and days: 80 % of the socket (1.25x)."""
    heat_w: int
    psu_load_percent: float
    host_ram_gb: float
    micro_batch_range: Interval
    """Samples that fit a card at all ends of the memory figures; low where they are at their high end."""
    card_memory_gb: Interval
    """Memory of each card that this micro-batch takes."""
    host_memory_gb: Interval
    nvlink_pairs: int
    speed_share: float
    """Share of full speed at this power limit."""

    @property
    def choice(self) -> Choice:
        """The decisions of this plan."""
        return Choice(
            card_id=self.card_id,
            card_count=self.card_count,
            power_limit_w=self.power_limit_w,
            platform_id=self.platform_id,
            with_used=self.with_used,
        )


class Incumbent(Record):
    """A plan found on the way: its objective and the proved bound in the goal's unit, and the time it took."""

    choice: Choice
    objective: float
    bound: float | None
    elapsed_s: float


class Notice(Record):
    """Something the buyer should know; `code` is stable, `message` is for people, in English.

    `notices.notice_words` says it in the reader's language.
    """

    code: str
    message: str


class Statistics(Record):
    """How the answer was found: pairs of option and platform, how many reached CP-SAT, and the time it took."""

    pairs: int
    pairs_in_model: int
    solve_ms: float
    total_ms: float
    branches: int = 0
    conflicts: int = 0
    workers: int = 1


class Fingerprint(Record):
    """What an answer depends on: hashes of question and catalogue, and the versions of this program and OR-Tools."""

    problem_sha256: str
    catalog_sha256: str
    solver_version: str
    ortools_version: str


class Result(Record):
    """The answer: why it stopped (`status`), what is proved (`objective`, `bound`), and maybe a plan."""

    status: Status
    goal: str
    confidence: End = "expected"
    """The end of the workload's intervals that was planned on: objective, limits and batch are those there."""
    objective: float | None = None
    bound: float | None = None
    objective_unit: str = ""
    plan: Plan | None = None
    usage: tuple[Usage, ...] = ()
    warnings: tuple[Notice, ...] = ()
    statistics: Statistics
    fingerprint: Fingerprint
