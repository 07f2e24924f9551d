"""Warnings that come with an answer: what the buyer should know beyond the limits.

Modify this module to warn of something new: one function, one line in `notices_for`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from solver.domain.limits import socket_mw
from solver.domain.plan import Notice, Plan
from solver.domain.problem import Problem

STALE_AFTER_DAYS = 365


def notices_for(problem: Problem, plan: Plan | None, today: datetime.date) -> tuple[Notice, ...]:
    """All warnings for an answer, in a fixed order."""
    found = list(_unpriced(problem))
    if plan is not None:
        found = [*_socket_load(problem, plan), *_prices(plan, today), *_facts(problem, plan), *found]
    return tuple(found)


def _socket_load(problem: Problem, plan: Plan) -> Iterator[Notice]:
    if plan.wall_power_w > plan.long_load_w:
        yield Notice(
            code="socket_load",
            message=f"{plan.wall_power_w:,.0f} W at the wall for days is above 80 % of the socket "
            f"({plan.long_load_w:,.0f} W of {plan.socket_w:,.0f} W); "
            f"the limit in force is {socket_mw(problem) / 1000:,.0f} W",
        )


def _prices(plan: Plan, today: datetime.date) -> Iterator[Notice]:
    for line in plan.order:
        if line.basis == "assumed":
            yield Notice(
                code="price_assumed", message=f"the price of {line.name} is assumed: {line.source or 'no source'}"
            )
        if line.quote_date is not None and (today - line.quote_date).days > STALE_AFTER_DAYS:
            yield Notice(
                code="price_old",
                message=f"the price of {line.name} is of {line.quote_date.isoformat()}, more than a year old",
            )
        if line.valid_until is not None and line.valid_until < today:
            yield Notice(
                code="quote_expired",
                message=f"the quote for {line.name}"
                + (f" by {line.vendor}" if line.vendor else "")
                + f" expired on {line.valid_until.isoformat()}",
            )
        if line.tax_included is False:
            yield Notice(
                code="price_untaxed",
                message=f"the price of {line.name}" + (f" by {line.vendor}" if line.vendor else "") + " is without tax",
            )


def _facts(problem: Problem, plan: Plan) -> Iterator[Notice]:
    for item in (problem.catalog.card_by_id[plan.card_id], problem.catalog.platform_by_id[plan.platform_id]):
        if item.availability:
            yield Notice(code="availability", message=f"{item.name}: {item.availability}")
        if item.unverified:
            yield Notice(
                code="unverified", message=f"{item.name}: no public source confirms {', '.join(item.unverified)}"
            )


def _unpriced(problem: Problem) -> Iterator[Notice]:
    for what, items in (("cards", problem.catalog.unpriced_cards), ("platforms", problem.catalog.unpriced_platforms)):
        if items:
            names = ", ".join(item.id for item in items[:30]) + (", ..." if len(items) > 30 else "")
            yield Notice(code="unpriced", message=f"{what} without a price, never chosen: {names}")
