"""How long it takes: step, epoch and training as intervals with the expected value in them."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from solver.domain.base import Interval
from solver.domain.language import paired, say, strung
from solver.domain.plan import Plan, Result
from solver.report.charts.canvas import NARROW, Scale, box, canvas, label, line, ticks
from solver.report.wording import duration, number


def time_chart(result: Result, width: float = NARROW) -> Element:
    """Epoch and training of a plan, in hours or days.

    Raises:
        ValueError: the result has no plan.
    """
    plan = result.plan
    if plan is None:
        raise ValueError("no plan, no time")
    rows = _rows(plan)
    in_days = plan.training_hours.expected >= 48
    unit = 24 if in_days else 1
    unit_name = say("days") if in_days else say("h")
    most = max(row.high for _, row, _ in rows) / unit
    scale = Scale(0, most * 1.02 or 1, 0, width)
    head = say("Time: an epoch takes {time}", time=duration(plan.epoch_hours.expected))
    drawn = [label(0, 14, head, "strong", "", "result.plan.epoch_hours.expected", plan.epoch_hours.expected)]
    y = 38.0
    told = []
    for name, hours, at in rows:
        low, mid, high = (f"{each / unit:,.{1 + in_days}f}" for each in (hours.low, hours.expected, hours.high))
        span = mid if hours.low == hours.high else say("{middle} ({low} to {high})", middle=mid, low=low, high=high)
        words = f"{span} {unit_name}"
        told.append(paired(name, words))
        drawn += [
            label(0, y, name),
            label(width, y, words, "", "end", f"result.plan.{at}.expected", hours.expected),
            box(0, y + 6, width, 14, "room"),
            box(
                scale(hours.low / unit),
                y + 6,
                max(scale(hours.high / unit) - scale(hours.low / unit), 2),
                14,
                "pale",
                told[-1],
                at=f"result.plan.{at}.low",
                value=hours.low,
            ),
            box(
                scale(hours.expected / unit) - 1.5,
                y + 4,
                3,
                18,
                "chosen",
                paired(name, mid),
                at=f"result.plan.{at}.high",
                value=hours.high,
            ),
        ]
        y += 42
    y -= 10
    for value in ticks(0, most, 5):
        drawn.append(line(scale(value), y - 4, scale(value), y, "axis"))
        anchor = "start" if value == 0 else "end" if scale(value) > width - 14 else "middle"
        drawn.append(label(scale(value), y + 12, number(value), "soft tick", anchor))
    caption = say("{unit}: dark mark: expected, light bar: interval", unit=say("days") if in_days else say("hours"))
    drawn.append(label(0, y + 30, caption, "soft"))
    return canvas("time", head, strung(told), width, y + 36, *drawn)


def _rows(plan: Plan) -> list[tuple[str, Interval, str]]:
    return [
        (say("an epoch"), plan.epoch_hours, "epoch_hours"),
        (say("preparation"), plan.preparation_hours, "preparation_hours"),
        (say("training, all epochs"), plan.training_hours, "training_hours"),
    ]
