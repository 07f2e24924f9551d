"""How far prices may move before the plan changes: a bar for each item, today's price in the middle."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from solver.domain.explanation import Explanation, PriceRange
from solver.domain.language import say
from solver.report.charts.canvas import NARROW, Scale, box, canvas, fitted, label, width_of
from solver.report.wording import money

MOST_ROWS = 12
_FAR = 2.0
"""The bar ends at this many times today's price; a range that goes on says so in words."""


def shown_ranges(explanation: Explanation) -> list[tuple[int, PriceRange]]:
    """The ranges worth drawing, with their places: those that end somewhere."""
    found = [
        (i, one)
        for i, one in enumerate(explanation.prices)
        if one.holds and one.today_cny > 0 and (one.low_cny is not None or one.high_cny is not None)
    ]
    return found[:MOST_ROWS]


def price_chart(explanation: Explanation, width: float = NARROW) -> Element:
    """Price ranges in which the plan holds, as shares of today's price; each in CNY in words."""
    head = say("Prices: the plan stays while")
    drawn = [label(0, 14, head, "strong")]
    scale = Scale(0, _FAR, 0, width)
    y = 36.0
    told = []
    for i, one in shown_ranges(explanation):
        today = float(one.today_cny)
        low = 0.0 if one.low_cny is None else float(one.low_cny) / today
        high = _FAR if one.high_cny is None else float(one.high_cny) / today
        words = _words(one)
        told.append(f"{one.item_name}: {words}")
        now = say("today {price}", price=money(one.today_cny))
        drawn += [
            label(0, y, fitted(one.item_name, width - 8 - width_of(now))),
            label(width, y, now, "soft", "end", f"explanation.prices.{i}.today_cny", one.today_cny),
            box(0, y + 6, width, 12, "room"),
            box(scale(low), y + 6, max(scale(high) - scale(low), 2), 12, "pale", told[-1]),
            box(scale(1) - 1.5, y + 3, 3, 18, "chosen", now),
        ]
        end = f"explanation.prices.{i}." + ("low_cny" if one.high_cny is None else "high_cny")
        drawn.append(label(0, y + 33, words, "", "", end, one.low_cny if one.high_cny is None else one.high_cny))
        y += 54
    drawn.append(label(0, y, fitted(say("mark: today; the scale ends at twice that"), width), "soft"))
    return canvas("prices", head, "; ".join(told), width, y + 6, *drawn)


def _words(one: PriceRange) -> str:
    if one.low_cny is None and one.high_cny is not None:
        return say("at most {high} CNY", high=money(one.high_cny))
    if one.high_cny is None and one.low_cny is not None:
        return say("at least {low} CNY", low=money(one.low_cny))
    return say("{low} to {high} CNY", low=money(one.low_cny or 0), high=money(one.high_cny or 0))
