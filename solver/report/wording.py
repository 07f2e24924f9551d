"""Words and numbers for people: figures with thousands separators, times, intervals, names of goals and limits."""

from __future__ import annotations

from decimal import Decimal

from solver.domain.records import Interval

GOAL_WORDS = {
    "batch": "largest total batch",
    "epoch": "shortest epoch",
    "value": "best value",
    "cost": "lowest cost",
}
STATUS_WORDS = {
    "optimal": "optimal: proved, nothing better fits these limits",
    "feasible": "a plan, but time ran out before it was proved best",
    "infeasible": "proved: no rig fits these limits",
    "no_answer": "no answer in the time given: nothing found, nothing proved",
}


def money(amount: Decimal | float) -> str:
    """300000 -> '300,000', 91666.67 -> '91,666.67'."""
    value = Decimal(str(amount))
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.2f}"


def number(value: float, digits: int = 2) -> str:
    """A figure with thousands separators and at most `digits` decimals."""
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(hours: float, in_days: bool | None = None) -> str:
    """Hours, or days where they are that long: 17.8 -> '17.8 h', 208.3 -> '8.68 days'."""
    days = hours >= 24 if in_days is None else in_days
    return f"{hours / 24:,.2f} days" if days else f"{hours:,.1f} h"


def spread(interval: Interval) -> str:
    """'1.39 days (between 1.17 days and 2.62 days, assumed)', in the unit of the expected value."""
    in_days = interval.expected >= 24
    low, mid, high = (duration(h, in_days) for h in (interval.low, interval.expected, interval.high))
    return f"{mid} (between {low} and {high}{', ' + interval.basis if interval.basis else ''})"
