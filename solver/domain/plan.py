"""The answer: a plan for one rig with every figure recomputed in plain integers, and the result around it.

`figures_of` is the re-check: it goes from the records to the figures by the formulas of physics.py, without the
solver and without the model's arrays. Modify this module when an answer should tell something new.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from fractions import Fraction
from typing import Literal

from pydantic import Field

from solver.domain import physics
from solver.domain.limits import UNLIMITED, UNMOVED, Figures, Moved, Row, rows
from solver.domain.problem import Problem
from solver.domain.records import Card, Interval, Offer, Platform, Record, Workload
from solver.domain.units import NEVER_US, US_PER_HOUR, Cny, CnyTotal, cny, fen, milli

LONG_LOAD_SHARE = 0.8
"""Distribution practice asks 1.25x for long loads: 80 % of the socket."""

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

    `values` are what the message names, by which it can be said in another language (`notices.notice_words`).
    """

    code: str
    message: str
    values: dict[str, str] = Field(default_factory=dict)


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
    objective: float | None = None
    bound: float | None = None
    objective_unit: str = ""
    plan: Plan | None = None
    usage: tuple[Usage, ...] = ()
    warnings: tuple[Notice, ...] = ()
    statistics: Statistics
    fingerprint: Fingerprint


def offers_for(problem: Problem, item_id: str, with_used: bool) -> tuple[Offer, ...]:
    """The offers of an item that may be bought: new ones, or all where `with_used` or no new one exists."""
    offers = problem.catalog.offers_by_item.get(item_id, ())
    if with_used:
        return offers
    return tuple(o for o in offers if o.condition == "new") or offers


def figures_of(problem: Problem, choice: Choice) -> Figures:
    """All figures of one rig, in plain integers from the records; an unpriced card or platform costs 0 here."""
    card = problem.catalog.card_by_id[choice.card_id]
    platform = problem.catalog.platform_by_id[choice.platform_id]
    work, n, watts = problem.workload, choice.card_count, choice.power_limit_w
    cost, missing, used = physics.extra_cost_fen(platform, n), 0, 0
    for item, quantity in ((card.id, n), (platform.id, 1)):
        offers = offers_for(problem, item, choice.with_used)
        if offers:
            bought = physics.purchase(offers, quantity)
            cost, missing, used = cost + bought.cost_fen, missing + bought.missing, used + bought.used
    batch = physics.micro_batch(card, work)
    step = physics.step_us(
        milli(work.fixed_s), physics.scaling_milli(work, n), batch, physics.per_sample_us(card, work, watts)
    )
    load = physics.dc_w(platform, n, watts)
    fed = physics.cards_fed(card, platform)
    return Figures(
        card_count=n,
        power_limit_w=watts,
        cost_fen=cost,
        total_batch=n * batch,
        epoch_us=physics.epoch_us(work.samples, n * batch, step),
        slots=n * card.slot_width,
        expansion_slots=platform.expansion_slots,
        pcie_x16_slots=platform.pcie_x16_slots,
        wall_mw=physics.wall_mw(platform.psu, load),
        psu_demand_mw=physics.psu_demand_mw(platform, n, watts),
        psu_rated_mw=platform.psu.rated_w * 1000,
        cards_fed=UNLIMITED if fed is None else fed,
        heat_mw=load * 1000,
        airflow_mw=physics.airflow_mw(platform),
        axial_cards=n if card.cooling == "axial" else 0,
        max_axial_cards=platform.max_axial_cards,
        unducted_cards=n if card.cooling == "passive" and not platform.ducted else 0,
        card_length_mm=card.length_mm or 0,
        max_card_length_mm=platform.max_card_length_mm or UNLIMITED,
        vram_used_mib=physics.vram_used_mib(work, batch),
        vram_mib=card.vram_mib,
        host_ram_mib=physics.host_ram_mib(work, n),
        host_ram_capacity_mib=physics.host_ram_capacity_mib(platform),
        missing_cards=missing,
        used_cards=used,
        unpaired_cards=unpaired_cards(card, n),
        lacks_bf16=0 if card.bf16_tensor_cores else 1,
        listed=lambda ids: _listed(ids, card, platform),
    )


def unpaired_cards(card: Card, count: int) -> int:
    """Cards without an NVLink partner: the odd one out, or all where the card has no NVLink (or it is not known)."""
    return count % 2 if card.nvlink_pair_gb_s else count


def _listed(ids: Collection[str], card: Card, platform: Platform) -> tuple[int, int]:
    return int(card.id in ids), int(platform.id in ids)


def broken(problem: Problem, figures: Figures, moved: Moved = UNMOVED) -> tuple[Row, ...]:
    """The rows of the limits that a rig breaks, in the order of the limits; `moved` as in `limits.rows`."""
    return tuple(row for row in rows(problem, figures, moved) if row.excess() > 0)


def usage_of(problem: Problem, figures: Figures) -> tuple[Usage, ...]:
    """One entry per limit: its broken part with the largest excess, or else its first part."""
    worst: dict[str, Row] = {}
    for row in rows(problem, figures):
        held = worst.get(row.limit)
        if held is None or row.excess() > 0 >= held.excess():
            worst[row.limit] = row
    return tuple(usage_row(row) for row in worst.values() if row.capacity < UNLIMITED)


def usage_row(row: Row) -> Usage:
    """A row of whole numbers as people read it."""
    return Usage(
        limit=row.limit,
        unit=row.unit,
        used=_scaled(row.used, row.scale),
        capacity=_scaled(row.capacity, row.scale),
        at_least=row.at_least,
        part=row.part,
    )


def _scaled(value: int, scale: int) -> float:
    return value // scale if value % scale == 0 else value / scale


def plan_of(problem: Problem, choice: Choice) -> Plan:
    """Everything that follows from a choice, recomputed from the records."""
    card = problem.catalog.card_by_id[choice.card_id]
    platform = problem.catalog.platform_by_id[choice.platform_id]
    work, n, watts = problem.workload, choice.card_count, choice.power_limit_w
    f = figures_of(problem, choice)
    batch = physics.micro_batch(card, work)
    step, epoch, training = _times(work, card, n, batch, watts)
    return Plan(
        card_id=card.id,
        card_name=card.name,
        card_count=n,
        power_limit_w=watts,
        tdp_w=card.tdp_w,
        platform_id=platform.id,
        platform_name=platform.name,
        with_used=choice.with_used,
        micro_batch=batch,
        total_batch=f.total_batch,
        cost_cny=cny(f.cost_fen),
        order=_order(problem, choice, card, platform),
        steps_per_epoch=-(-work.samples // f.total_batch) if f.total_batch else 0,
        step_seconds=step,
        epoch_hours=epoch,
        preparation_hours=preparation(work),
        training_hours=training,
        wall_power_w=f.wall_mw / 1000,
        socket_w=socket_w(problem),
        long_load_w=socket_w(problem) * LONG_LOAD_SHARE,
        heat_w=physics.dc_w(platform, n, watts),
        psu_load_percent=round(100 * physics.dc_w(platform, n, watts) / platform.psu.rated_w, 1),
        host_ram_gb=round(f.host_ram_mib / 1024, 2),
        nvlink_pairs=n // 2 if card.nvlink_pair_gb_s else 0,
        speed_share=round(
            float(Fraction(*physics.power_share(card.power_curve or work.power_curve, card.tdp_w, watts))), 3
        ),
    )


def socket_w(problem: Problem) -> float:
    """Watts the socket gives: amps * volts."""
    return float(problem.site.socket_amps * problem.site.socket_volts)


def preparation(work: Workload) -> Interval:
    """Hours before the first step."""
    return Interval(
        low=float(work.preparation_low_h),
        expected=float(work.preparation_expected_h),
        high=float(work.preparation_high_h),
    )


def _times(work: Workload, card: Card, n: int, batch: int, watts: int) -> tuple[Interval, Interval, Interval]:
    """Step (s), epoch (h), training (h): least and greatest over the measured pairs of steps and over k, see docs.

    Expected is the workload's fixed and per-sample time at `compute_share`; the interval always contains it.
    """
    speed = Fraction(*physics.power_share(card.power_curve or work.power_curve, card.tdp_w, watts))
    ratio = Fraction(work.reference_tflops) / Fraction(card.bf16_dense_tflops)
    scaling = Fraction(physics.scaling_milli(work, n), 1000)
    steps = -(-work.samples // (n * batch)) if n * batch else 0

    def step(fixed: Fraction, per_sample: Fraction, k: Fraction) -> Fraction:
        return fixed * scaling + batch * per_sample * ((1 - k) + k * ratio) / speed

    expected_us = physics.step_us(
        milli(work.fixed_s), physics.scaling_milli(work, n), batch, physics.per_sample_us(card, work, watts)
    )
    expected = Fraction(expected_us, 1_000_000)
    spread = [expected]
    for fixed, per_sample in (*measured_pairs(work), (Fraction(work.fixed_s), Fraction(work.per_sample_s))):
        for k in (work.compute_share_low, work.compute_share_high):
            spread.append(step(fixed, per_sample, Fraction(k)))

    def interval(scale: Fraction, plus: Interval | None = None, times: int = 1) -> Interval:
        low, mid, high = (float(x * scale * times) for x in (min(spread), expected, max(spread)))
        if plus is not None:
            low, mid, high = low + plus.low, mid + plus.expected, high + plus.high
        if not n * batch:
            low = mid = high = NEVER_US / US_PER_HOUR
        return Interval(low=round(low, 6), expected=round(mid, 6), high=round(high, 6))

    per_hour = Fraction(steps, 3600)
    return interval(Fraction(1)), interval(per_hour), interval(per_hour, preparation(work), work.epochs)


def measured_pairs(work: Workload) -> list[tuple[Fraction, Fraction]]:
    """(fixed, per sample) in seconds from every two measured steps of different micro-batch.

    From the guide's 25 or 30 s at 1 and 45, 51 or 60 s at 7: six pairs, fixed 19.2 to 27.5, per sample 2.5 to 5.8.
    Pairs that give a negative time are left out.
    """
    pairs = []
    for a in work.measured_steps:
        for b in work.measured_steps:
            if a.micro_batch < b.micro_batch:
                per_sample = Fraction(b.seconds - a.seconds) / (b.micro_batch - a.micro_batch)
                fixed = Fraction(a.seconds) - a.micro_batch * per_sample
                if per_sample >= 0 and fixed >= 0:
                    pairs.append((fixed, per_sample))
    return pairs


def _order(problem: Problem, choice: Choice, card: Card, platform: Platform) -> tuple[OrderLine, ...]:
    lines: list[OrderLine] = []
    for item, quantity in ((card, choice.card_count), (platform, 1)):
        offers = offers_for(problem, item.id, choice.with_used)
        if not offers:
            continue
        for offer, pieces in physics.purchase(offers, quantity).lines:
            lines.append(
                OrderLine(
                    item_id=item.id,
                    name=item.name,
                    quantity=pieces,
                    unit_price_cny=offer.unit_price_cny,
                    total_cny=cny(fen(offer.unit_price_cny) * pieces),
                    condition=offer.condition,
                    vendor=offer.vendor,
                    quote_date=offer.quote_date,
                    valid_until=offer.valid_until,
                    lead_time_days=offer.lead_time_days,
                    tax_included=offer.tax_included,
                    source=offer.source,
                    basis=offer.basis,
                )
            )
    extra = physics.extra_cost_fen(platform, choice.card_count)
    if extra:
        name = f"extra cost of a {choice.card_count}-card build"
        amount = cny(extra)
        lines.append(
            OrderLine(
                item_id=platform.id, name=name, quantity=1, unit_price_cny=amount, total_cny=amount, basis="assumed"
            )
        )
    return tuple(lines)
