"""How often each rig wins in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from solver.domain.language import say
from solver.report.charts.canvas import NARROW, Scale, box, canvas, fitted, label, width_of

MOST_RIGS = 12


def wins_chart(summary: Mapping[str, Any], width: float = NARROW) -> Element:
    """A bar for each rig that wins somewhere, as a share of the scenarios with a plan."""
    head = say("Share of the scenarios with a plan")
    drawn = [label(0, 14, head, "strong")]
    scale = Scale(0, 1, 0, width)
    told = []
    y = 36.0
    winners = summary["winners"]
    for i, each in enumerate(winners[:MOST_RIGS]):
        share, rig = f"{each['share']:.1%}", f"{each['card_count']}x {each['card_id']}"
        told.append(f"{rig}: {share}")
        drawn += [
            label(0, y, fitted(rig, width - 8 - width_of(share))),
            label(width, y, share, "", "end", f"summary.winners.{i}.share", each["share"]),
            box(0, y + 6, width, 10, "room"),
            box(0, y + 6, max(scale(each["share"]), 1.5), 10, "bar", told[-1]),
        ]
        y += 34
    more = len(winners) - MOST_RIGS
    if more > 0:
        drawn.append(label(0, y, say("{count} more rigs", count=more), "soft"))
        y += 20
    return canvas("wins", head, "; ".join(told), width, y - 8, *drawn)
