"""What is told of a plan, an offer and a check, as words: the same in the terminal, in Markdown and in reports.

Modify this module when an answer should say something new; how it looks is decided where it is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from solver.check import CheckReport
from solver.domain.explanation import Outlook
from solver.domain.language import say
from solver.domain.plan import OrderLine, Plan
from solver.domain.records import Interval
from solver.report.wording import duration, money, number, spread


def plan_title(plan: Plan) -> str:
    """'2x A100 80GB PCIe at 300 W each, on Guide base system'."""
    return f"{plan.card_count}x {plan.card_name} at {plan.power_limit_w} W each, on {plan.platform_name}"


def plan_facts(plan: Plan) -> list[tuple[str, str]]:
    """What follows from a plan, as (name, value)."""
    limit = (
        "its TDP" if plan.power_limit_w == plan.tdp_w else f"TDP {plan.tdp_w} W; {plan.speed_share:.1%} of full speed"
    )
    facts = [
        ("plan", f"{plan.card_count}x {plan.card_name} ({plan.card_id})"),
        ("power limit", f"{plan.power_limit_w} W per card ({limit})"),
        ("platform", f"{plan.platform_name} ({plan.platform_id})"),
        ("total cost", f"{money(plan.cost_cny)} CNY"),
        ("total batch", _batch(plan)),
        ("step", f"{number(plan.step_seconds.expected)} s, {plan.steps_per_epoch:,} steps per epoch"),
        ("epoch", spread(plan.epoch_hours)),
        (
            "training",
            f"{spread(plan.training_hours)}, {number(plan.preparation_hours.expected)} h of preparation included",
        ),
        ("at the wall", f"{number(plan.wall_power_w, 0)} W; {_margins(plan)}"),
        ("heat in the case", f"{plan.heat_w:,} W (power supply at {number(plan.psu_load_percent, 1)} % load)"),
        ("card memory", _memory(plan.card_memory_gb)),
        ("host RAM", _memory(plan.host_memory_gb)),
    ]
    if plan.nvlink_pairs:
        facts.append(("NVLink", f"{plan.nvlink_pairs} pair(s) possible; bridges not priced"))
    return facts


def _batch(plan: Plan) -> str:
    """'124 samples (4 cards x micro-batch 31); a card surely fits 29, at best 33'."""
    steps = plan.total_batch // max(1, plan.card_count * plan.micro_batch)
    accumulated = "" if steps <= 1 else say(" x {steps} accumulated", steps=steps)
    text = f"{plan.total_batch} samples ({plan.card_count} cards x micro-batch {plan.micro_batch}{accumulated})"
    fits = plan.micro_batch_range
    if fits.low == fits.high:
        return text
    return text + say("; a card surely fits {low:.0f}, at best {high:.0f}", low=fits.low, high=fits.high)


def _memory(gb: Interval) -> str:
    """'47.5 GB (46.9 to 48.8, estimated)'."""
    if gb.low == gb.high:
        return f"{number(gb.expected, 1)} GB"
    basis = f", {gb.basis}" if gb.basis else ""
    return f"{number(gb.expected, 1)} GB ({number(gb.low, 1)} to {number(gb.high, 1)}{basis})"


def outlook_facts(plan: Plan | None, ends: Sequence[Outlook]) -> list[tuple[str, str]]:
    """Whether the plan is the same at the other ends of the workload's intervals, as (name, value).

    Where it was planned on the low or high end (the one that `ends` lacks), that comes first, with its epoch.
    """
    facts = []
    planned = {"low", "high"} - {end.confidence for end in ends}
    if plan is not None and ends and planned:
        at = planned.pop()
        epoch = duration(getattr(plan.epoch_hours, at))
        words = {
            "low": lambda: say("all that is uncertain at its low end: {epoch} an epoch", epoch=epoch),
            "high": lambda: say("all that is uncertain at its high end: {epoch} an epoch", epoch=epoch),
        }
        facts.append((say("planned on"), words[at]()))
    for end in ends:
        what = _END_WORDS[end.confidence]()
        if end.rig is None:
            found = say("no rig fits") if end.status == "infeasible" else say("not found out in the time given")
            facts.append((what, found))
            continue
        rig = end.rig
        figures = say(
            "total batch {batch}, {cost} CNY, {epoch} an epoch",
            batch=rig.total_batch,
            cost=money(rig.cost_cny),
            epoch=duration(rig.epoch_hours),
        )
        name = say("{count}x {card} at {watts} W", count=rig.card_count, card=rig.card_name, watts=rig.power_limit_w)
        if end.status != "optimal":
            told = say("not proved in the time given; the best found is {rig}: {figures}", rig=name, figures=figures)
            facts.append((what, told))
        elif end.same:
            facts.append((what, say("the same rig at {watts} W: {figures}", watts=rig.power_limit_w, figures=figures)))
        else:
            facts.append((what, say("flips to {rig}: {figures}", rig=name, figures=figures)))
    return facts


_END_WORDS: dict[str, Callable[[], str]] = {
    "low": lambda: say("if all is low"),
    "expected": lambda: say("if all is as expected"),
    "high": lambda: say("if all is high"),
}
"""All uncertain figures of the workload at one end together: least memory and time, or most."""


def _margins(plan: Plan) -> str:
    """'1,188 W under the socket's 2,200 W, 748 W under the 1,760 W advised for long loads'."""
    parts = []
    for watts, what in ((plan.socket_w, "the socket's {} W"), (plan.long_load_w, "the {} W advised for long loads")):
        left = watts - plan.wall_power_w
        parts.append(f"{number(abs(left), 0)} W {'under' if left >= 0 else 'OVER'} {what.format(number(watts, 0))}")
    return ", ".join(parts)


def offer_words(line: OrderLine) -> str:
    """'new, used' and whose offer it is, of which day, until when, and what is known of tax and delivery."""
    parts = [line.condition, line.vendor]
    if line.quote_date is not None:
        parts.append(line.quote_date.isoformat())
    if line.valid_until is not None:
        parts.append(f"valid until {line.valid_until.isoformat()}")
    if line.tax_included is not None:
        parts.append("tax included" if line.tax_included else "without tax")
    if line.lead_time_days is not None:
        parts.append(f"{line.lead_time_days} days" if line.lead_time_days else "from stock")
    return ", ".join(part for part in (*parts, line.basis) if part)


def check_headline(report: CheckReport) -> tuple[str, list[str]]:
    """Whether a rig holds, in a sentence, and a line for each broken part of a limit with its margin."""
    title = plan_title(report.plan)
    if report.holds:
        headline = f"holds: {title} keeps to every limit"
    elif report.broken:
        headline = f"does not hold: {title} breaks {', '.join(dict.fromkeys(row.limit for row in report.broken))}"
    else:
        headline = f"cannot be vouched for: {title} has no full price"
    details = []
    for row in report.broken:
        part = f" ({row.part})" if row.part else ""
        wanted = "at least" if row.at_least else "of"
        details.append(
            f"{row.limit}{part}: {number(row.used)} {wanted} {number(row.capacity)} {row.unit}, "
            f"{number(-row.headroom)} {row.unit} {'too few' if row.at_least else 'too many'}"
        )
    if report.power_limits_that_fit is not None:
        low, high = report.power_limits_that_fit
        details.append(f"it holds at a power limit of {low} to {high} W per card")
    return headline, details
