"""What is told of a plan, an offer and a check, as words: the same in the terminal, in Markdown and in reports.

Modify this module when an answer should say something new; how it looks is decided where it is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from solver.domain.base import Interval
from solver.domain.language import listed, message, say
from solver.domain.plan import OrderLine, Plan
from solver.domain.rig import Outlook
from solver.report.wording import (
    PLANNED_ON,
    TAG_WORDS,
    duration,
    limit_words,
    number,
    spread,
    unit_words,
    yuan,
    yuan_in_full,
)

if TYPE_CHECKING:
    from solver.check import CheckReport

CONDITION_WORDS = {"new": message("new"), "used": message("used")}
BASIS_WORDS = {
    "guide": message("guide"),
    "source": message("source"),
    "quote": message("quote"),
    "assumed": message("assumed"),
    "computed": message("computed"),
    "unverified": message("unverified"),
}


def plan_title(plan: Plan) -> str:
    """'2x A100 80GB PCIe at 300 W each, on Guide base system'."""
    return say(
        "{count}x {card} at {watts} W each, on {platform}",
        count=plan.card_count,
        card=plan.card_name,
        watts=plan.power_limit_w,
        platform=plan.platform_name,
    )


def plan_facts(plan: Plan) -> list[tuple[str, str]]:
    """What follows from a plan, as (name, value)."""
    watts, tdp = plan.power_limit_w, plan.tdp_w
    if watts == tdp:
        limit = say("{watts} W per card (its TDP)", watts=watts)
    else:
        share = f"{plan.speed_share:.1%}"
        limit = say("{watts} W per card (TDP {tdp} W; {share} of full speed)", watts=watts, tdp=tdp, share=share)
    facts = [
        (say("plan"), f"{plan.card_count}x {plan.card_name} ({plan.card_id})"),
        (say("power limit"), limit),
        (say("platform"), f"{plan.platform_name} ({plan.platform_id})"),
        (say("total cost"), yuan_in_full(plan.cost_cny)),
        (say("total batch"), _batch(plan)),
        (
            say("step"),
            say(
                "{seconds}, {steps} steps per epoch",
                seconds=_seconds(plan.step_seconds),
                steps=f"{plan.steps_per_epoch:,}",
            ),
        ),
        (say("epoch"), spread(plan.epoch_hours)),
        (say("training"), _training(plan)),
        (say("at the wall"), say("{watts} W; {margins}", watts=number(plan.wall_power_w, 0), margins=_margins(plan))),
        (
            say("heat in the case"),
            say(
                "{watts} W (power supply at {percent} % load)",
                watts=f"{plan.heat_w:,}",
                percent=number(plan.psu_load_percent, 1),
            ),
        ),
        (say("card memory"), _memory(plan.card_memory_gb)),
        (say("host RAM"), _memory(plan.host_memory_gb)),
    ]
    if plan.nvlink_pairs:
        facts.append((say("NVLink"), say("{count} pair(s) possible; bridges not priced", count=plan.nvlink_pairs)))
    return facts


def _batch(plan: Plan) -> str:
    """'124 samples (4 cards x micro-batch 31); a card surely fits 29, at best 33'."""
    steps = plan.total_batch // max(1, plan.card_count * plan.micro_batch)
    counts = {"batch": f"{plan.total_batch:,}", "count": plan.card_count, "micro": f"{plan.micro_batch:,}"}
    if steps <= 1:
        text = say("{batch} samples ({count} cards x micro-batch {micro})", **counts)
    else:
        text = say("{batch} samples ({count} cards x micro-batch {micro} x {steps} accumulated)", steps=steps, **counts)
    fits = plan.micro_batch_range
    if fits.low == fits.high:
        return text
    return text + say("; a card surely fits {low:.0f}, at best {high:.0f}", low=fits.low, high=fits.high)


def _seconds(step: Interval) -> str:
    """'75.81 s (between 59.98 s and 107.7 s, assumed)'."""
    expected, low, high = (say("{n} s", n=number(end)) for end in (step.expected, step.low, step.high))
    if step.low == step.high:
        return expected
    tag = say(TAG_WORDS[step.basis or "assumed"])
    return say("{expected} (between {low} and {high}, {tag})", expected=expected, low=low, high=high, tag=tag)


def _training(plan: Plan) -> str:
    """'1.30 days (between 1.13 days and 1.66 days, assumed), 11 h of preparation included'."""
    time, before = spread(plan.training_hours), plan.preparation_hours
    if not before.high:
        return time
    if before.low == before.high:
        return say("{time}, {hours} h of preparation included", time=time, hours=number(before.expected))
    return say(
        "{time}, {hours} h ({low} to {high}) of preparation included",
        time=time,
        hours=number(before.expected),
        low=number(before.low),
        high=number(before.high),
    )


def _memory(gb: Interval) -> str:
    """'47.5 GB (46.9 to 48.8, estimated)'."""
    expected, low, high = (f"{number(end, 1)}" for end in (gb.expected, gb.low, gb.high))
    if gb.low == gb.high:
        return f"{expected} GB"
    if gb.basis:
        tag = say(TAG_WORDS[gb.basis])
        return say("{expected} GB ({low} to {high}, {tag})", expected=expected, low=low, high=high, tag=tag)
    return say("{expected} GB ({low} to {high})", expected=expected, low=low, high=high)


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
            "total batch {batch}, {cost}, {epoch} an epoch",
            batch=f"{rig.total_batch:,}",
            cost=yuan(rig.cost_cny),
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
    for watts, under, over in (
        (
            plan.socket_w,
            message("{left} W under the socket's {watts} W"),
            message("{left} W OVER the socket's {watts} W"),
        ),
        (
            plan.long_load_w,
            message("{left} W under the {watts} W advised for long loads"),
            message("{left} W OVER the {watts} W advised for long loads"),
        ),
    ):
        left = watts - plan.wall_power_w
        parts.append(say(under if left >= 0 else over, left=number(abs(left), 0), watts=number(watts, 0)))
    return listed(parts)


def item_words(line: OrderLine, plan: Plan) -> str:
    """What a line of the order is for: the name of the card or platform, or the extra cost of the build."""
    if line.name == f"extra cost of a {plan.card_count}-card build":
        return say("extra cost of a {count}-card build", count=plan.card_count)
    return line.name


def offer_words(line: OrderLine) -> str:
    """'new, used' and whose offer it is, of which day, until when, and what is known of tax and delivery."""
    parts = [say(CONDITION_WORDS.get(line.condition, line.condition)), line.vendor]
    if line.quote_date is not None:
        parts.append(line.quote_date.isoformat())
    if line.valid_until is not None:
        parts.append(say("valid until {date}", date=line.valid_until.isoformat()))
    if line.tax_included is not None:
        parts.append(say("tax included") if line.tax_included else say("without tax"))
    if line.lead_time_days is not None:
        days = line.lead_time_days
        parts.append(say("{n} days", n=days) if days else say("from stock"))
    return listed(part for part in (*parts, say(BASIS_WORDS.get(line.basis, line.basis))) if part)


def check_headline(report: CheckReport) -> tuple[str, list[str]]:
    """Whether a rig holds, in a sentence, and a line for each broken part of a limit with its margin."""
    title = plan_title(report.plan)
    if report.holds:
        headline = say("holds: {rig} keeps to every limit", rig=title)
    elif report.broken:
        names = dict.fromkeys(limit_words(row.limit) for row in report.broken)
        headline = say("does not hold: {rig} breaks {limits}", rig=title, limits=listed(names))
    else:
        headline = say("cannot be vouched for: {rig} has no full price", rig=title)
    few = message("{limit}: {used} at least {capacity} {unit}, {by} {unit} too few")
    many = message("{limit}: {used} of {capacity} {unit}, {by} {unit} too many")
    details = [
        say(
            few if row.at_least else many,
            limit=limit_words(row.limit, row.part),
            used=number(row.used),
            capacity=number(row.capacity),
            unit=unit_words(row.unit),
            by=number(-row.headroom),
        )
        for row in report.broken
    ]
    if report.confidence != "expected":
        details.append(say(PLANNED_ON[report.confidence]))
    if report.power_limits_that_fit is not None:
        low, high = report.power_limits_that_fit
        details.append(say("it holds at a power limit of {low} to {high} W per card", low=low, high=high))
    return headline, details
