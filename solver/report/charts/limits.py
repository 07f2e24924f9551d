"""What is used of each limit: those in watts, and all others."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from solver.domain.language import say
from solver.domain.plan import Result, Usage
from solver.report.charts.bars import framed
from solver.report.charts.canvas import NARROW, Scale, box, canvas, fitted, label, width_of
from solver.report.charts.words import limit_name
from solver.report.wording import number

ROW = 34


def watts_chart(result: Result, width: float = NARROW) -> Element:
    """Watts at the wall, of the power supply and of the cooling, against what each gives.

    Raises:
        ValueError: the result has no plan.
    """
    plan = result.plan
    if plan is None:
        raise ValueError("no plan, no watts")
    head = say("Watts: {watts} W at the wall", watts=number(plan.wall_power_w, 0))
    drawn = [label(0, 14, head, "strong", "", "result.plan.wall_power_w", plan.wall_power_w)]
    rows = [(i, row) for i, row in enumerate(result.usage) if row.unit == "W"]
    y = 36.0
    told = []
    for i, row in rows:
        lines, words = _row(i, row, y, width, digits=0)
        drawn += lines
        told.append(words)
        if row.limit == "wall_power" and plan.long_load_w <= row.capacity:
            scale = Scale(0, max(row.used, row.capacity) or 1, 0, width)
            tip = say("{watts} W: advised for loads of hours and days", watts=number(plan.long_load_w, 0))
            at = scale(plan.long_load_w)
            drawn.append(box(at - 1, y + 3, 2, 16, "chosen", tip, at="result.plan.long_load_w", value=plan.long_load_w))
            words = say("▲ {watts} W advised for long loads", watts=number(plan.long_load_w, 0))
            start = min(max(at - 5, 0), width - width_of(words))
            drawn.append(label(start, y + 31, words, "soft", "", "result.plan.long_load_w", plan.long_load_w))
            y += 18
        y += ROW
    return canvas("watts", head, "; ".join(told), width, y - 6, *drawn)


def limits_chart(result: Result, width: float = NARROW) -> Element:
    """The limits that are not in watts, each in its own unit."""
    head = say("Limits: what is used of each")
    drawn = [label(0, 14, head, "strong")]
    y = 36.0
    told = []
    for i, row in enumerate(result.usage):
        if row.unit == "W" or row.used == row.capacity == 0:
            continue  # the watts have their chart; "0 of 0 used cards" tells a reader nothing
        lines, words = _row(i, row, y, width)
        drawn += lines
        told.append(words)
        y += ROW
    return canvas("limits", head, "; ".join(told), width, y - 8, *drawn)


def _row(i: int, row: Usage, y: float, width: float, digits: int = 2) -> tuple[list[Element], str]:
    used, allowed = number(row.used, digits), number(row.capacity, digits)
    if row.at_least:
        words = say("{used} of at least {allowed} {unit}", used=used, allowed=allowed, unit=row.unit)
    else:
        words = say("{used} of {allowed} {unit}", used=used, allowed=allowed, unit=row.unit)
    name = limit_name(row.limit, row.part)
    return [
        label(0, y, fitted(name, width - 8 - width_of(words))),
        label(width, y, words, "", "end", f"result.usage.{i}.used", row.used),
        *framed(row.used, row.capacity, row.at_least, 0, y + 6, width),
    ], f"{name}: {words}"
