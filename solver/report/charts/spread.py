"""How a figure is distributed over the scenarios of a run, with the quantiles of its summary."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from solver.domain.language import say
from solver.report.charts.canvas import NARROW, Scale, box, canvas, fitted, label, line, ticks, width_of
from solver.report.wording import money, number
from solver.sweep.story import Distribution


def figure_name(name: str) -> str:
    """A figure of a run in words, with its unit."""
    words = {"cost_cny": say("Cost, CNY"), "total_batch": say("Total batch"), "epoch_hours": say("Epoch, hours")}
    return words.get(name, name)


def figure_told(name: str, value: float) -> str:
    """A value of that figure in words."""
    return money(value) if name == "cost_cny" else number(value, 0 if name == "total_batch" else 2)


def spread_chart(found: Distribution, spread: Mapping[str, float], width: float = NARROW) -> Element:
    """Bars of how many scenarios have a plan with the figure there; median and the middle 90 % below.

    Args:
        found: the distribution.
        spread: its quantiles: min, p5, median, p95, max.
        width: px.
    """
    single = all(each.low == each.high for each in found.bins)
    top, height = 44.0, 120.0
    most = max(each.count for each in found.bins)
    up = Scale(0, most, top + height, top)
    head = figure_name(found.name)
    counted = say("scenarios, at most {count} in a bar", count=f"{most:,}")
    drawn = [label(0, 14, head, "strong"), label(0, 32, fitted(counted, width), "soft")]
    told = []
    if single:
        room = width / len(found.bins)
        shown = 0.0
        for i, each in enumerate(found.bins):
            value = figure_told(found.name, each.low)
            told.append(f"{value}: {each.count:,}")
            x = room * i
            drawn.append(_bar(i, x + room * 0.1, room * 0.8, up(each.count), top + height, told[-1], each.count))
            half = width_of(value) / 2
            middle = min(max(x + room / 2, half), width - half)
            if middle - half >= shown:
                drawn.append(label(middle, top + height + 17, value, "soft tick", "middle"))
                shown = middle + half + 8
    else:
        scale = Scale(found.bins[0].low, found.bins[-1].high, 0, width)
        for i, each in enumerate(found.bins):
            between = say(
                "{low} to {high}", low=figure_told(found.name, each.low), high=figure_told(found.name, each.high)
            )
            told.append(f"{between}: {each.count:,}")
            x, end = scale(each.low), scale(each.high)
            drawn.append(_bar(i, x + 0.5, end - x - 1, up(each.count), top + height, told[-1], each.count))
        for value in ticks(scale.low, scale.high, 3):
            text = number(value)
            half = width_of(text) / 2
            x = min(max(scale(value), half), width - half)
            drawn += [
                line(scale(value), top + height, scale(value), top + height + 4, "axis"),
                label(x, top + height + 17, text, "soft tick", "middle"),
            ]
    drawn.append(line(0, top + height, width, top + height, "axis"))
    y = top + height + 38
    low, middle, high = (figure_told(found.name, spread[name]) for name in ("p5", "median", "p95"))
    drawn += [
        label(0, y, say("median"), "soft"),
        label(width, y, middle, "", "end", f"summary.spread.{found.name}.median", spread["median"]),
        label(0, y + 18, say("nine of ten between"), "soft"),
        label(width, y + 18, say("{low} to {high}", low=low, high=high), "", "end"),
    ]
    return canvas(f"spread-{found.name.replace('_', '-')}", head, "; ".join(told), width, y + 26, *drawn)


def _bar(i: int, x: float, wide: float, y: float, bottom: float, tip: str, count: int) -> Element:
    return box(x, y, wide, bottom - y, "bar", tip, bin=i, value=count)
