"""Where the money goes: a bar divided among the lines of the order, and what is left of the budget."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from solver.domain.language import say
from solver.domain.plan import Result
from solver.report.charts.bars import Part, divided
from solver.report.charts.canvas import NARROW, canvas, label
from solver.report.wording import money


def money_chart(result: Result, width: float = NARROW) -> Element:
    """The order of a plan by its lines. Money in CNY.

    Raises:
        ValueError: the result has no plan.
    """
    plan = result.plan
    if plan is None:
        raise ValueError("no plan, no money")
    parts = [
        Part(
            float(line.total_cny),
            f"{line.quantity}x {line.name}",
            money(line.total_cny),
            f"result.plan.order.{i}.total_cny",
            line.total_cny,
        )
        for i, line in enumerate(plan.order)
    ]
    for i, row in enumerate(result.usage):
        if row.limit == "budget" and row.headroom > 0:
            left = round(row.headroom, 6)
            parts.append(
                Part(left, say("left of the budget"), money(left), f"result.usage.{i}.headroom", left, free=True)
            )
    head = say("Money: {amount} CNY", amount=money(plan.cost_cny))
    drawn, end = divided(parts, 26, width)
    return canvas(
        "money",
        head,
        "; ".join(f"{part.name}: {part.told}" for part in parts),
        width,
        end,
        label(0, 14, head, "strong", "", "result.plan.cost_cny", plan.cost_cny),
        *drawn,
    )
