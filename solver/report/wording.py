"""Words and numbers for people: figures with thousands separators, times, intervals, names of goals and limits."""

from __future__ import annotations

from decimal import Decimal

from solver.domain.base import End, Interval
from solver.domain.language import language, message, message_as, say
from solver.domain.plan import Result

GOAL_WORDS = {
    "batch": message("largest total batch"),
    "epoch": message("shortest epoch"),
    "value": message("best value"),
    "cost": message("lowest cost"),
}
STATUS_WORDS = {
    "optimal": message("optimal: proved, nothing better fits these limits"),
    "feasible": message("a plan, but time ran out before it was proved best"),
    "infeasible": message("proved: no rig fits these limits"),
    "no_answer": message("no answer in the time given: nothing found, nothing proved"),
}


LIMIT_WORDS = {
    "budget": message("budget"),
    "card_count": message("card_count"),
    "expansion_slots": message("expansion_slots"),
    "pcie_x16_slots": message("pcie_x16_slots"),
    "wall_power": message("wall_power"),
    "psu": message("psu"),
    "case_cooling": message("case_cooling"),
    "card_length": message("card_length"),
    "room_cooling": message("room_cooling"),
    "host_ram": message("host_ram"),
    "stock": message("stock"),
    "condition": message("condition"),
    "include": message("include"),
    "exclude": message("exclude"),
    "nvlink": message("nvlink"),
    "precision": message("precision"),
    "power_limit": message("power_limit"),
    "vram": message("vram"),
    "min_batch": message("min_batch"),
    "max_epoch": message("max_epoch"),
}
"""The names of the limits: in English the codes themselves; elsewhere words, and the code where they are a heading."""
PART_WORDS = {
    "power connectors": message("power connectors"),
    "axial cards": message("axial cards"),
    "passive cards without ducted air": message("passive cards without ducted air"),
    "at least": message("at least"),
}
UNIT_WORDS = {
    "CNY": message("CNY"),
    "cards": message("cards"),
    "slots": message("slots"),
    "cards short": message("cards short"),
    "used cards": message("used cards"),
    "choices": message("choices"),
    "cards unpaired": message("cards unpaired"),
    "cards without BF16": message("cards without BF16"),
    "samples": message("samples"),
    "days": message("days"),
    "bytes": message("bytes"),
    "hours": message("hours"),
    "samples/CNY": message("samples/CNY"),
}
"""Units that are words; W, GB, MiB and mm are the same everywhere."""


TAG_WORDS = {
    "measured": message("measured"),
    "calibrated": message("calibrated"),
    "estimated": message("estimated"),
    "assumed": message("assumed"),
}
"""How far a figure of a workload can be trusted."""


USAGE_COLUMNS = (
    message("limit"),
    message_as("column", "used"),
    message("allowed"),
    message("headroom"),
    message("unit"),
)


STATE_WORDS = {
    "optimal": message("optimal"),
    "feasible": message("feasible"),
    "infeasible": message("infeasible"),
    "no_answer": message("no_answer"),
    "failed": message("failed"),
    "open": message("open"),
    "running": message("running"),
    "finished": message("finished"),
    "stopped": message("stopped"),
    "cancelled": message("cancelled"),
    "interrupted": message("interrupted"),
    "frontier": message("frontier"),
    "cp-sat": message("cp-sat"),
    "solver": message("solver"),
}
"""How a scenario ended, how a run stands, and what answered: in English the codes themselves."""


def state_words(state: str) -> str:
    """How a scenario ended or a run stands, as the reader calls it."""
    return say(STATE_WORDS.get(state, state))


def answer_words(result: Result) -> str:
    """'largest total batch: optimal: proved, nothing better fits these limits'."""
    goal = goal_words(result.goal, result.confidence)
    return say("{goal}: {status}", goal=goal, status=say(STATUS_WORDS[result.status]))


PLANNED_ON = {
    "low": message("planned on the low end of all intervals"),
    "expected": message("planned on the expected values"),
    "high": message("planned on the high end of all intervals"),
}


def goal_words(goal: str, confidence: End) -> str:
    """'shortest epoch, planned on the high end of all intervals': what is best, and at which end if not as expected."""
    words = say(GOAL_WORDS[goal])
    if confidence == "expected":
        return words
    return say("{goal}, {planned}", goal=words, planned=say(PLANNED_ON[confidence]))


def limit_words(limit: str, part: str = "") -> str:
    """'psu (power connectors)': a limit, and the part of it that is meant."""
    name = say(LIMIT_WORDS.get(limit, limit))
    return say("{limit} ({part})", limit=name, part=say(PART_WORDS.get(part, part))) if part else name


def unit_words(unit: str) -> str:
    """A unit as the reader calls it."""
    return say(UNIT_WORDS.get(unit, unit))


def money(amount: Decimal | float) -> str:
    """300000 -> '300,000', 91666.67 -> '91,666.67'."""
    value = Decimal(str(amount))
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.2f}"


def yuan(amount: Decimal | float) -> str:
    """An amount with its unit: '232,000 CNY'; a Chinese reader counts in tens of thousands: '23.2 万元'."""
    if language() == "zh":
        value = Decimal(str(amount))
        tens = value / 10_000
        if abs(value) >= 10_000 and tens == round(tens, 2):
            return f"{format(tens.normalize(), 'f')} 万元"
    return say("{amount} CNY", amount=money(amount))


def yuan_in_full(amount: Decimal | float) -> str:
    """An amount of an order: as `yuan`, and in Chinese the plain figure beside it: '10.35 万元（103,500 元）'."""
    short, full = yuan(amount), say("{amount} CNY", amount=money(amount))
    return short if short == full else f"{short}（{full}）"


def number(value: float, digits: int = 2) -> str:
    """A figure with thousands separators and at most `digits` decimals."""
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(hours: float, in_days: bool | None = None) -> str:
    """Hours, or days where they are that long: 17.8 -> '17.8 h', 208.3 -> '8.68 days'."""
    days = hours >= 24 if in_days is None else in_days
    return say("{n} days", n=f"{hours / 24:,.2f}") if days else say("{n} h", n=_hours(hours))


def _hours(hours: float) -> str:
    """One decimal; more where that would be 0: an epoch of seconds is not one of no time."""
    return f"{hours:,.1f}" if hours == 0 or abs(hours) >= 0.1 else number(hours, 4)


def between(hours: float, interval: Interval | None) -> str:
    """'20.3 h (16.0 to 28.8)', in the unit of the first; without an interval, or with one of no width, that alone."""
    if interval is None or interval.low == interval.high:
        return duration(hours)
    low, high = (f"{end / 24:,.2f}" if hours >= 24 else _hours(end) for end in (interval.low, interval.high))
    return say("{expected} ({low} to {high})", expected=duration(hours), low=low, high=high)


def spread(interval: Interval) -> str:
    """'1.39 days (between 1.17 days and 2.62 days, assumed)', in the unit of the expected value."""
    in_days = interval.expected >= 24
    low, mid, high = (duration(h, in_days) for h in (interval.low, interval.expected, interval.high))
    if interval.basis:
        tag = say(TAG_WORDS[interval.basis])
        return say("{expected} (between {low} and {high}, {tag})", expected=mid, low=low, high=high, tag=tag)
    return say("{expected} (between {low} and {high})", expected=mid, low=low, high=high)
