"""Warnings that come with an answer: what the buyer should know beyond the limits.

A notice carries its sentence in English, to every program and into every file. Whoever prints it for people reads the
values back out of that sentence, whose forms stand here, and says it in the reader's language. Modify this module to
warn of something new: its sentence in `NOTICES`, one function, one line in `notices_for`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from string import Formatter

from solver.domain.language import language, listed, message, say
from solver.domain.limits import socket_mw
from solver.domain.plan import Notice, Plan
from solver.domain.problem import Problem

STALE_AFTER_DAYS = 365
MOST_NAMES = 30
AVAILABILITY = (
    message(
        "Named in the US export rule of 2023-10-17 for China; quoted above 18,000 CNY after it. The price offered in "
        "this catalogue is older."
    ),
    message(
        "Not legally sold new in China since 2022-09: exports of the A100 and H100 to China need a US licence (rule of "
        "2022-08-26). The rule of 2023-10 covers it too."
    ),
    message("Not legally sold new in China since 2023-10: the US rule of that month covers it, effective 2023-10-23."),
)
"""What the shipped catalogue says of availability, marked for translation; a test holds the two together."""
NOTICES: dict[str, tuple[str, ...]] = {
    "socket_load": (
        message(
            "{wall_w} W at the wall for days is above 80 % of the socket ({long_load_w} W of {socket_w} W); "
            "the limit in force is {limit_w} W"
        ),
    ),
    "batch_above_samples": (
        message(
            "the total batch of {batch} holds more than the {samples} samples of an epoch: an epoch is one step, and "
            "a larger batch gains nothing"
        ),
    ),
    "price_assumed": (
        message("the price of {item} is assumed: no source"),
        message("the price of {item} is assumed: {source}"),
    ),
    "price_old": (message("the price of {item} is of {date}, more than a year old"),),
    "quote_expired": (
        message("the quote for {item} by {vendor} expired on {date}"),
        message("the quote for {item} expired on {date}"),
    ),
    "price_untaxed": (
        message("the price of {item} by {vendor} is without tax"),
        message("the price of {item} is without tax"),
    ),
    "availability": (message("{item}: {availability}"),),
    "unverified": (message("{item}: no public source confirms {fields}"),),
    "unpriced": (
        message("cards without a price, never chosen: {cards}"),
        message("platforms without a price, never chosen: {platforms}"),
        message("no price for {items}: the cost shown does not contain it"),
    ),
}
"""What each notice says: of the forms of one code, the one that names what is known; those that name more first."""


def notice(code: str, **values: str) -> Notice:
    """A notice of `NOTICES`; values that are empty are left out, and with them the form that would name them."""
    given = {name: value for name, value in values.items() if value}
    for form in NOTICES[code]:
        if set(_fields_of(form)) == set(given):
            return Notice(code=code, message=form.format(**given))
    raise ValueError(f"no form of {code} has the fields {', '.join(given)}")


def notice_words(notice: Notice) -> str:
    """The notice in the reader's language; one that no form of ours made, of a later server, in English."""
    if language() == "en":
        return notice.message
    for form in NOTICES.get(notice.code, ()):
        read = re.fullmatch(_pattern(form), notice.message, re.DOTALL)
        if read is not None:
            return say(form, **_said(read.groupdict()))
    return notice.message


def _said(values: dict[str, str]) -> dict[str, str]:
    if "availability" in values:
        values["availability"] = say(values["availability"])  # that of the shipped catalogue has a translation
    for names in ("fields", "cards", "platforms", "items"):
        if names in values:
            values[names] = listed(values[names].split(", "))
    return values


def _pattern(form: str) -> str:
    """What a message of this form looks like; shorter values first, so that 'by' and 'on' of a form are its own."""
    return "".join(
        re.escape(text) + (f"(?P<{field}>.+?)" if field else "") for text, field, _, _ in Formatter().parse(form)
    )


def _fields_of(form: str) -> list[str]:
    return [field for _, field, _, _ in Formatter().parse(form) if field]


def notices_for(problem: Problem, plan: Plan | None, today: datetime.date) -> tuple[Notice, ...]:
    """All warnings for an answer, in a fixed order."""
    found = list(_unpriced(problem))
    if plan is not None:
        found = [
            *_socket_load(problem, plan),
            *_batch(problem, plan),
            *_prices(plan, today),
            *_facts(problem, plan),
            *found,
        ]
    return tuple(found)


def _socket_load(problem: Problem, plan: Plan) -> Iterator[Notice]:
    if plan.wall_power_w > plan.long_load_w:
        yield notice(
            "socket_load",
            wall_w=f"{plan.wall_power_w:,.0f}",
            long_load_w=f"{plan.long_load_w:,.0f}",
            socket_w=f"{plan.socket_w:,.0f}",
            limit_w=f"{socket_mw(problem) / 1000:,.0f}",
        )


def _batch(problem: Problem, plan: Plan) -> Iterator[Notice]:
    if plan.total_batch > problem.workload.samples:
        yield notice("batch_above_samples", batch=f"{plan.total_batch:,}", samples=f"{problem.workload.samples:,}")


def _prices(plan: Plan, today: datetime.date) -> Iterator[Notice]:
    for line in plan.order:
        if line.basis == "assumed":
            yield notice("price_assumed", item=line.name, source=line.source)
        if line.quote_date is not None and (today - line.quote_date).days > STALE_AFTER_DAYS:
            yield notice("price_old", item=line.name, date=line.quote_date.isoformat())
        if line.valid_until is not None and line.valid_until < today:
            yield notice("quote_expired", item=line.name, vendor=line.vendor, date=line.valid_until.isoformat())
        if line.tax_included is False:
            yield notice("price_untaxed", item=line.name, vendor=line.vendor)


def _facts(problem: Problem, plan: Plan) -> Iterator[Notice]:
    for item in (problem.catalog.card_by_id[plan.card_id], problem.catalog.platform_by_id[plan.platform_id]):
        if item.availability:
            yield notice("availability", item=item.name, availability=item.availability)
        if item.unverified:
            yield notice("unverified", item=item.name, fields=", ".join(item.unverified))


def _unpriced(problem: Problem) -> Iterator[Notice]:
    for what, items in (("cards", problem.catalog.unpriced_cards), ("platforms", problem.catalog.unpriced_platforms)):
        if items:
            names = ", ".join(item.id for item in items[:MOST_NAMES]) + (", ..." if len(items) > MOST_NAMES else "")
            yield notice("unpriced", **{what: names})
