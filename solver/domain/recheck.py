"""The re-check: from the choice of a rig to all that follows from it, recomputed in plain integers.

Figures, limits that are broken, and the plan go from the records by the formulas of physics.py and buying.py, without
the solver and without the model's arrays. Modify this module when a figure of a plan is computed otherwise, or a plan
tells a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from fractions import Fraction

from solver.domain import buying, physics
from solver.domain.base import End, Interval, Tag
from solver.domain.catalog import Card, Platform
from solver.domain.limits import UNLIMITED, UNMOVED, Figures, Moved, Row, rows
from solver.domain.plan import Choice, OrderLine, Plan, Usage
from solver.domain.problem import Problem
from solver.domain.units import NEVER_US, US_PER_HOUR, US_PER_S, cny, fen
from solver.domain.workload import Workload

LONG_LOAD_SHARE = 0.8
"""Distribution practice asks 1.25x for long loads: 80 % of the socket."""

ENDS: tuple[End, ...] = ("low", "expected", "high")


def figures_of(problem: Problem, choice: Choice) -> Figures:
    """All figures of one rig, in plain integers from the records; an unpriced card or platform costs 0 here."""
    card = problem.catalog.card_by_id[choice.card_id]
    platform = problem.catalog.platform_by_id[choice.platform_id]
    work, n, watts = problem.workload, choice.card_count, choice.power_limit_w
    cost, missing, used = buying.extra_cost_fen(platform, n), 0, 0
    for item, quantity in ((card.id, n), (platform.id, 1)):
        offers = buying.offers_for(problem, item, choice.with_used)
        if offers:
            bought = buying.purchase(offers, quantity)
            cost, missing, used = cost + bought.cost_fen, missing + bought.missing, used + bought.used
    end = problem.confidence
    batch = physics.micro_batch(card, work, n, end)
    step = physics.rig_step_us(card, platform, work, n, watts, batch, end)
    total = physics.total_batch(work, n, batch)
    load = physics.dc_w(platform, n, watts)
    fed = physics.cards_fed(card, platform)
    return Figures(
        card_count=n,
        power_limit_w=watts,
        cost_fen=cost,
        total_batch=total,
        epoch_us=physics.epoch_us(work.samples, total, step),
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
        vram_used_mib=physics.vram_used_mib(work, n, batch, end),
        vram_mib=card.vram_mib,
        host_ram_mib=physics.host_ram_mib(work, n, end),
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
    batch = physics.micro_batch(card, work, n, problem.confidence)
    step, epoch, training = _times(work, card, platform, n, batch, watts)
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
        micro_batch_range=_fitting(work, card, n),
        card_memory_gb=_memory(work, CARD_MEMORY, lambda end: physics.vram_used_mib(work, n, batch, end)),
        host_memory_gb=_memory(work, HOST_MEMORY, lambda end: physics.host_ram_mib(work, n, end)),
        nvlink_pairs=n // 2 if card.nvlink_pair_gb_s else 0,
        speed_share=round(
            float(Fraction(*physics.power_share(card.power_curve or work.power_curve, card.tdp_w, watts))), 3
        ),
    )


def socket_w(problem: Problem) -> float:
    """Watts the socket gives: amps * volts."""
    return float(problem.site.socket_amps * problem.site.socket_volts)


def preparation(work: Workload) -> Interval:
    """Hours before the first step, tagged where there are any."""
    known = ("preparation_low_h", "preparation_expected_h", "preparation_high_h")
    return Interval(
        low=float(work.preparation_low_h),
        expected=float(work.preparation_expected_h),
        high=float(work.preparation_high_h),
        basis=tag_of(work, known) if work.preparation_high_h else None,
    )


CARD_MEMORY = ("weights_gb", "buffers_gb", "reserve_gb", "sharded_gb", "per_sample_gb")
HOST_MEMORY = ("host_ram_bytes_per_parameter", "host_ram_per_extra_card_gb", "host_ram_per_card_gb")
_TRUST: tuple[Tag, ...] = ("measured", "calibrated", "estimated", "assumed")


def tag_of(work: Workload, names: Iterable[str]) -> Tag:
    """How far what follows from these figures is trusted: as far as the least trusted of them that is not 0."""
    tags = {work.tag_of(name) for name in names if work.figure(name, "high")}
    return max(tags, key=_TRUST.index, default="assumed")


def _memory(work: Workload, names: tuple[str, ...], mib: Callable[[End], int]) -> Interval:
    """Memory in GB at all three ends."""
    low, expected, high = (round(mib(end) / 1024, 2) for end in ENDS)
    return Interval(low=low, expected=expected, high=high, basis=tag_of(work, names))


def _fitting(work: Workload, card: Card, n: int) -> Interval:
    """The micro-batch that fits: fewest where the memory is at its high end."""
    low, expected, high = (physics.micro_batch(card, work, n, end) for end in reversed(ENDS))
    return Interval(low=low, expected=expected, high=high, basis=tag_of(work, CARD_MEMORY))


def _times(
    work: Workload, card: Card, platform: Platform, n: int, batch: int, watts: int
) -> tuple[Interval, Interval, Interval]:
    """Step (s), epoch (h), training (h) with this micro-batch at all three ends of the times, see docs."""
    total = physics.total_batch(work, n, batch)
    steps = [physics.rig_step_us(card, platform, work, n, watts, batch, end) for end in ENDS]
    epochs = [physics.epoch_us(work.samples, total, step) for step in steps]
    before = preparation(work)
    names = ["fixed_s", "optimizer_s", "per_sample_s"] if batch else []
    tag = _tag_of_times(work, card, n, names, watts)

    def interval(values: Sequence[int], unit_us: int, plus: Interval | None = None, times: int = 1) -> Interval:
        extra = (0.0, 0.0, 0.0) if plus is None else (plus.low, plus.expected, plus.high)
        low, expected, high = (
            round(times * us / unit_us + more, 6) if total else NEVER_US / US_PER_HOUR
            for us, more in zip(values, extra, strict=True)
        )
        tags = [tag] if plus is None or plus.basis is None else [tag, plus.basis]
        return Interval(low=low, expected=expected, high=high, basis=max(tags, key=_TRUST.index))

    return (
        interval(steps, US_PER_S),
        interval(epochs, US_PER_HOUR),
        interval(epochs, US_PER_HOUR, before, work.epochs),
    )


def _tag_of_times(work: Workload, card: Card, n: int, names: Sequence[str], watts: int) -> Tag:
    """How far a step is trusted on this card, at this count and watts: those measured are of one card at its TDP."""
    tags = [tag_of(work, names)]
    if card.id != work.reference_card_id and work.compute_share_low != work.compute_share_high:
        tags.append("assumed")  # how the time of a sample changes with the card hangs on the share bound by compute
    curve = card.power_curve or work.power_curve
    if names and Fraction(*physics.power_share(curve, card.tdp_w, watts)) < 1:
        tags.append("assumed" if card.power_curve is None else "estimated")
    if n > 1 and tags[0] == "measured":
        tags.append(tag_of(work, ("card_scaling",)))
    return max(tags, key=_TRUST.index)


def epoch_hours_of(problem: Problem, choice: Choice) -> Interval:
    """Hours of an epoch at all three ends, with the micro-batch that fits at the end planned on."""
    card = problem.catalog.card_by_id[choice.card_id]
    platform = problem.catalog.platform_by_id[choice.platform_id]
    work, n = problem.workload, choice.card_count
    batch = physics.micro_batch(card, work, n, problem.confidence)
    return _times(work, card, platform, n, batch, choice.power_limit_w)[1]


def _order(problem: Problem, choice: Choice, card: Card, platform: Platform) -> tuple[OrderLine, ...]:
    lines: list[OrderLine] = []
    for item, quantity in ((card, choice.card_count), (platform, 1)):
        offers = buying.offers_for(problem, item.id, choice.with_used)
        if not offers:
            continue
        for offer, pieces in buying.purchase(offers, quantity).lines:
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
    extra = buying.extra_cost_fen(platform, choice.card_count)
    if extra:
        name = f"extra cost of a {choice.card_count}-card build"
        amount = cny(extra)
        lines.append(
            OrderLine(
                item_id=platform.id, name=name, quantity=1, unit_price_cny=amount, total_cny=amount, basis="assumed"
            )
        )
    return tuple(lines)
