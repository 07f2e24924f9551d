"""How a figure is distributed over the scenarios of a run, with the quantiles of its summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    return money(value) if name == "cost_cny" else number(value, 2)


def spread_chart(found: Distribution, spread: Mapping[str, float], width: float = NARROW) -> Element:
    """Bars of how many scenarios have a plan with the figure there; median and the middle 90 % below.

    Args:
        found: the distribution.
        spread: its quantiles: min, p5, median, p95, max.
        width: px.
    """
    top, height = 44.0, 120.0
    most = max(each.count for each in found.bins)
    up = Scale(0, most, top + height, top)
    head = figure_name(found.name)
    counted = say("scenarios, at most {count} in a bar", count=f"{most:,}")
    drawn = [label(0, 14, head, "strong"), label(0, 32, fitted(counted, width), "soft")]
    single = all(each.low == each.high for each in found.bins)
    across = Scale(found.bins[0].low, found.bins[-1].high, 0, width)
    room = width / len(found.bins)
    told, places = [], []
    for i, each in enumerate(found.bins):
        low, high = figure_told(found.name, each.low), figure_told(found.name, each.high)
        where = low if single else say("{low} to {high}", low=low, high=high)
        told.append(f"{where}: {each.count:,}")
        start, end = (room * (i + 0.1), room * (i + 0.9)) if single else (across(each.low), across(each.high) - 1)
        y = up(each.count)
        drawn.append(box(start, y, end - start, top + height - y, "bar", told[-1], bin=i, value=each.count))
        places.append((room * (i + 0.5), low))
    if not single:
        places = [(across(tick), number(tick)) for tick in ticks(across.low, across.high)]
    drawn += _ticks(places, top + height, width)
    drawn.append(line(0, top + height, width, top + height, "axis"))
    y = top + height + 38
    few, middle, many = (figure_told(found.name, spread[name]) for name in ("p5", "median", "p95"))
    drawn += [
        label(0, y, say("median"), "soft"),
        label(width, y, middle, "", "end", f"summary.spread.{found.name}.median", spread["median"]),
        label(0, y + 18, say("nine of ten between"), "soft"),
        label(width, y + 18, say("{low} to {high}", low=few, high=many), "", "end"),
    ]
    return canvas(f"spread-{found.name.replace('_', '-')}", head, "; ".join(told), width, y + 26, *drawn)


def _ticks(places: list[tuple[float, str]], y: float, width: float) -> Iterator[Element]:
    """Marks below the axis, and words at those that have room for them."""
    shown = 0.0
    for at, words in places:
        yield line(at, y, at, y + 4, "axis")
        half = width_of(words) / 2
        x = min(max(at, half), width - half)
        if x - half >= shown:
            yield label(x, y + 17, words, "soft tick", "middle")
            shown = x + half + 8
