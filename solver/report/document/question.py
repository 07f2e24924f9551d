"""What was asked and assumed, and whose prices: the part of a report that says how far to trust the rest."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal

from solver.domain.base import Record
from solver.domain.catalog import Card, Offer, Platform
from solver.domain.language import say
from solver.domain.problem import Problem
from solver.domain.workload import Workload
from solver.report.explained.sections import Section
from solver.report.saved import Saved
from solver.report.wording import GOAL_WORDS, money, number

MOST_OFFERS = 60


def question_section(problem: Problem) -> Section:
    """What was asked: the goal, every limit that is set, the place, the training."""
    limits, site, work = problem.limits, problem.site, problem.workload
    rows = [(say("goal"), say(GOAL_WORDS[problem.goal]))]
    for name, field in type(limits).model_fields.items():
        value = getattr(limits, name)
        if value != field.get_default() or name == "max_cards":
            rows.append((name, _plain(value)))
    rows += [(name, _plain(getattr(site, name))) for name in type(site).model_fields if getattr(site, name) is not None]
    rows.append((say("workload"), f"{work.name} ({work.id})"))
    return Section(say("What was asked"), (say("what"), say("value")), rows)


def assumption_sections(saved: Saved) -> Iterator[Section]:
    """The figures behind the answer with their sources: of the workload, the chosen card and the chosen platform."""
    problem, plan = saved.problem, saved.result.plan
    yield _figures(say("Figures of the training: {name}", name=problem.workload.name), problem.workload)
    if plan is not None:
        catalog = problem.catalog
        card, platform = catalog.card_by_id[plan.card_id], catalog.platform_by_id[plan.platform_id]
        yield _figures(say("Figures of the card: {name}", name=card.name), card)
        yield _figures(say("Figures of the platform: {name}", name=platform.name), platform)


def _figures(title: str, entry: Workload | Card | Platform) -> Section:
    rows = [
        (
            ", ".join(_figure(entry, name) for name in one.fields),
            basis_words(one.basis),
            one.date or "",
            one.source,
        )
        for one in entry.provenance
    ]
    return Section(title, (say("figures"), say("basis"), say("date"), say("source")), rows)


def _figure(entry: Record, name: str) -> str:
    """'reserve_gb 1.5'; of a table of figures the name only."""
    value = getattr(entry, name, None)
    if isinstance(value, bool) or value is None or not isinstance(value, (int, float, str, Decimal)):
        return name
    return f"{name} {_plain(value)}"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, Decimal):
        return number(float(value), 10)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value)
    return str(value)


def basis_words(basis: str) -> str:
    """How far to trust a figure."""
    words = {
        "guide": say("the guide"),
        "source": say("public source"),
        "computed": say("computed"),
        "assumed": say("assumed"),
        "unverified": say("unverified"),
        "quote": say("quote"),
    }
    return words.get(basis, basis)


def price_section(saved: Saved) -> Section:
    """Every price that the answer was weighed against, with its vendor, day and source."""
    catalog = saved.problem.catalog
    names = {card.id: card.name for card in catalog.cards}
    names |= {platform.id: platform.name for platform in catalog.platforms}
    told = _told_of(saved)
    offers = [offer for offer in catalog.offers if offer.item_id in told] or list(catalog.offers)
    rows = [
        (
            names.get(offer.item_id, offer.item_id),
            money(offer.unit_price_cny),
            _condition(offer),
            offer.vendor,
            _day(offer.quote_date),
            basis_words(offer.basis),
            offer.source,
        )
        for offer in offers[:MOST_OFFERS]
    ]
    more = len(offers) - MOST_OFFERS
    columns = (say("item"), say("CNY"), say("condition"), say("vendor"), say("dated"), say("basis"), say("source"))
    return Section(
        say("Prices: whose, and of which day"),
        columns,
        rows,
        note=say("and {count} more offers", count=f"{more:,}") if more > 0 else "",
    )


def _told_of(saved: Saved) -> set[str]:
    explanation = saved.explanation
    told = {one.item_id for one in explanation.prices}
    told |= {one.card_id for one in explanation.cards}
    for other in explanation.alternatives:
        told |= {other.rig.card_id, other.rig.platform_id}
    for point in saved.frontier.points if saved.frontier is not None else ():
        told |= {point.plan.card_id, point.plan.platform_id}
    return told | {line.item_id for line in (saved.result.plan.order if saved.result.plan is not None else ())}


def _condition(offer: Offer) -> str:
    parts = [say("used") if offer.condition == "used" else say("new")]
    if offer.min_quantity > 1:
        parts.append(say("from {count} pieces", count=offer.min_quantity))
    if offer.stock is not None:
        parts.append(say("{count} in stock", count=offer.stock))
    if offer.valid_until is not None:
        parts.append(say("valid until {day}", day=offer.valid_until.isoformat()))
    return ", ".join(parts)


def _day(day: datetime.date | None) -> str:
    return "" if day is None else day.isoformat()
