"""What every budget buys: the trade-off curve as a staircase, each step named by its rig.

The names stand in a column beside the stairs, apart from each other whatever the steps are, with a line to each step.
"""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element

from solver.domain.explanation import Frontier, FrontierPoint
from solver.domain.language import say
from solver.domain.plan import Choice
from solver.report.charts.canvas import (
    FONT,
    WIDE,
    Scale,
    box,
    canvas,
    fitted,
    label,
    line,
    path,
    spread_out,
    ticks,
    width_of,
)
from solver.report.charts.words import axis_name, short_axis_name
from solver.report.wording import money, number

MOST_STEPS = 60
MARK = " ◀"
_GAP = 17


def staircase_chart(frontier: Frontier, chosen: Choice | None = None, width: float = WIDE) -> Element:
    """The points of a curve in order of its first axis (upright lines) against its second (steps).

    Args:
        frontier: the curve.
        chosen: the plan to mark, where it is on the curve.
        width: px.

    Raises:
        ValueError: the curve has no points.
    """
    points = sorted(enumerate(frontier.points), key=lambda each: each[1].values[0])[:MOST_STEPS]
    if not points:
        raise ValueError("no points, no curve")
    first, second = frontier.axes
    mine = [point.plan.choice == chosen for _, point in points]
    names = [_name(point) for _, point in points]
    values = [_told(second, point.values[1]) for _, point in points]
    figures = max(width_of(value) for value in values)
    wide = max(width_of(name + MARK) * 1.06 for name in names)  # the chosen one is bold
    prices = [_told(first, point.values[0]) for _, point in points]
    priced = 18 + max(width_of(price) for price in prices) if width >= WIDE else 0.0  # a phone has no room for it
    column = min(figures + 8 + wide + 2, width * 0.55) + priced
    top, height = 44.0, max(230.0, len(points) * _GAP + 20.0, width * 0.36)
    xs = [_shown(first, point.values[0]) for _, point in points]
    ys = [_shown(second, point.values[1]) for _, point in points]
    levels = ticks(0, max(ys) * 1.05 or 1)
    left, right = max(width_of(number(level)) for level in levels) + 10, width - column - 26
    across = Scale(min(0.0, *xs) if xs[0] < xs[-1] * 0.5 else xs[0] * 0.95, xs[-1] * 1.06 or 1, left, right)
    up = Scale(0, max(ys) * 1.05 or 1, top + height, top)
    head = say("{second} against {first}", second=short_axis_name(second), first=short_axis_name(first))
    head = head[:1].upper() + head[1:]
    drawn = [label(0, 14, fitted(head, width), "strong"), label(0, 32, axis_name(second), "soft")]
    for value in levels:
        y = up(value)
        drawn += [line(left, y, right, y, "grid"), label(left - 6, y + 4, number(value), "soft tick", "end")]
    room = right - left
    for value in ticks(across.low, across.high, max(2, int(room / 76))):
        x = across(value)
        drawn += [
            line(x, top + height, x, top + height + 5, "axis"),
            label(x, top + height + 18, number(value), "soft tick", "middle"),
        ]
    drawn += [
        line(left, top + height, right, top + height, "axis"),
        label(left, top + height + 36, axis_name(first), "soft"),
        path(_stairs(xs, ys, across, up), "step"),
    ]
    rising = sorted(range(len(points)), key=lambda i: up(ys[i]))
    places = spread_out([up(ys[i]) for i in rising], _GAP, top, top + height)
    for i, place in zip(rising, places, strict=True):
        at, point = points[i]
        end = across(xs[i + 1]) if i + 1 < len(xs) else right
        y = up(ys[i])
        tip = f"{names[i]}: {values[i]}, {money(point.plan.cost_cny)} CNY"
        text_at = width - column
        drawn += [
            _leader(end, y, right + 4, place, text_at - 4),
            box(across(xs[i]) - 4, y - 4, 8, 8, "chosen" if mine[i] else "dot", tip, step=names[i]),
            label(
                text_at + figures,
                place + 4,
                values[i],
                "strong",
                "end",
                f"frontier.points.{at}.values.1",
                point.values[1],
            ),
            label(
                text_at + figures + 8,
                place + 4,
                fitted(names[i] + (MARK if mine[i] else ""), column - priced - figures - 8, FONT),
                "strong" if mine[i] else "",
            ),
        ]
        if priced:
            where = f"frontier.points.{at}.values.0"
            drawn.append(label(width, place + 4, prices[i], "soft", "end", where, point.values[0]))
    if priced:
        drawn.append(label(width, 32, axis_name(first), "soft", "end"))
    if any(mine):
        drawn.append(label(width - column, top + height + 36, MARK.strip() + " " + say("this answer"), "soft"))
    told = "; ".join(
        say("from {x}: {y}, {rig}", x=_told(first, point.values[0]), y=value, rig=name)
        for (_, point), value, name in zip(points, values, names, strict=True)
    )
    return canvas("frontier", head, told, width, top + height + 44, *drawn)


def _leader(x1: float, y1: float, bend: float, y2: float, x2: float) -> Element:
    """A thin line from a step to its name: level, then bent."""
    return path([(x1, y1), (bend, y1), (x2 - 2, y2), (x2, y2)], "grid lead")


def _name(point: FrontierPoint) -> str:
    plan = point.plan
    limited = "" if plan.power_limit_w == plan.tdp_w else f" @{plan.power_limit_w} W"
    return f"{plan.card_count}x {plan.card_name}{limited}"


def _shown(axis: str, value: float) -> float:
    return value * 1e5 if axis == "value" else value


def _told(axis: str, value: float) -> str:
    shown = _shown(axis, value)
    if axis == "cost":
        return money(round(shown, 2))
    return number(shown, 0 if axis in ("batch", "watts") else 1 if axis == "epoch" else 2)


def _stairs(xs: list[float], ys: list[float], across: Scale, up: Scale) -> list[tuple[float, float]]:
    corners = [(across(xs[0]), up(ys[0]))]
    if ys[-1] > ys[0]:
        corners.insert(0, (across(xs[0]), up(0)))  # for less money there is nothing
    for (_, y), (x_next, y_next) in pairwise(zip(xs, ys, strict=True)):
        corners += [(across(x_next), up(y)), (across(x_next), up(y_next))]
    return [*corners, (across.end, up(ys[-1]))]
