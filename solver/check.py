"""check: is a given rig sound? Every limit with its margin, by plain arithmetic; no solver is imported."""

from __future__ import annotations

import datetime

from solver.domain import physics
from solver.domain.base import End, Record
from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.domain.language import say
from solver.domain.notices import notice, notices_for
from solver.domain.plan import Choice, Notice, Plan, Usage
from solver.domain.problem import Problem
from solver.domain.recheck import broken, figures_of, plan_of, usage_of, usage_row

MOST_CARDS = 64


class CheckReport(Record):
    """A rig held against every limit. `broken` names every broken part of a limit; its headroom is the margin."""

    holds: bool
    confidence: End = "expected"
    """The end of the workload's intervals at which the limits were checked and the batch was counted."""
    plan: Plan
    usage: tuple[Usage, ...]
    broken: tuple[Usage, ...]
    unpriced: tuple[str, ...]
    """Ids of the rig without a price: its cost is not known, and no budget can be promised."""
    power_limits_that_fit: tuple[int, int] | None
    """Lowest and highest power limit (W) at which everything holds, where the given one does not; None if none does."""
    warnings: tuple[Notice, ...]


def check(
    problem: Problem, card_id: str, count: int, platform_id: str, power_limit_w: int | None, today: datetime.date
) -> CheckReport:
    """Hold a rig against every limit of the question.

    Args:
        problem: the question; its catalogue knows the card and the platform.
        card_id: the card.
        count: how many, 1 to 64.
        platform_id: the platform.
        power_limit_w: any watts the card can be set to; None for its TDP.
        today: the day against which prices age.

    Raises:
        UnknownName: no such card or platform.
        InvalidProblem: count or power limit out of range.
    """
    catalog = problem.catalog
    card = catalog.card_by_id.get(card_id)
    if card is None:
        raise UnknownName(
            [Violation("card", shown(card_id), say("no card has this id") + nearest(card_id, catalog.card_by_id))]
        )
    if platform_id not in catalog.platform_by_id:
        known = nearest(platform_id, catalog.platform_by_id)
        raise UnknownName([Violation("platform", shown(platform_id), say("no platform has this id") + known)])
    if not 1 <= count <= MOST_CARDS:
        raise InvalidProblem.of("count", count, say("must be between {low} and {high}", low=1, high=MOST_CARDS))
    watts = card.tdp_w if power_limit_w is None else power_limit_w
    low, high = card.power_limit_min_w or card.tdp_w, physics.highest_power_limit_w(card)
    if not low <= watts <= high:
        if low == high:
            allowed = say("must be {watts} W for {card}", watts=low, card=card.id)
        else:
            allowed = say("must be between {low} and {high} W for {card}", low=low, high=high, card=card.id)
        raise InvalidProblem.of("power_limit_w", watts, allowed)

    offers = catalog.offers_by_item
    unpriced = tuple(item for item in (card_id, platform_id) if item not in offers)

    def rig(limit_w: int) -> Choice:
        new_only = not problem.limits.allow_used
        return Choice(
            card_id=card_id, card_count=count, power_limit_w=limit_w, platform_id=platform_id, with_used=not new_only
        )

    choice = rig(watts)
    figures = figures_of(problem, choice)
    failed = broken(problem, figures)
    fits = None
    if failed:
        good = [w for w in range(low, high + 1) if not broken(problem, figures_of(problem, rig(w)))]
        fits = (good[0], good[-1]) if good else None
    budget_unknown = bool(unpriced) and problem.limits.budget_cny is not None
    plan = plan_of(problem, choice)
    notices = [n for n in notices_for(problem, plan, today) if n.code != "unpriced"]
    if unpriced:
        notices.append(notice("unpriced", items=", ".join(unpriced)))
    return CheckReport(
        holds=not failed and not budget_unknown,
        confidence=problem.confidence,
        plan=plan,
        usage=usage_of(problem, figures),
        broken=tuple(usage_row(row) for row in failed),
        unpriced=unpriced,
        power_limits_that_fit=fits,
        warnings=tuple(notices),
    )
