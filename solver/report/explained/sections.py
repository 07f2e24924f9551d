"""Explanations and curves as sections of rows: what is said, in which order. Both forms, terminal and Markdown, follow.

Modify this module when an explanation gets another chapter or column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from solver.domain.explanation import (
    Alternative,
    CardAccount,
    Difference,
    Explanation,
    FigureRange,
    Frontier,
    LimitBreakpoints,
    PriceRange,
    Relaxation,
    Rig,
)
from solver.domain.language import say
from solver.domain.units import MIB_PER_GB
from solver.report.explained.words import (
    AXIS_WORDS,
    FIGURE_WORDS,
    Teller,
    amount,
    change_words,
    difference_words,
    miss_words,
)
from solver.report.wording import duration, money, number


@dataclass(frozen=True)
class Section:
    """A titled table, or a titled list of lines where it has no columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def sections_of(explanation: Explanation) -> Iterator[Section]:
    """What an explanation says, chapter by chapter; chapters with nothing to say are left out."""
    told = Teller(_rigs(explanation))
    if explanation.conflict is not None:
        yield from _why_not(explanation, told)
    if explanation.limits:
        yield _limits(explanation.limits, told)
    if explanation.prices:
        yield from _prices(explanation.prices, told)
    if explanation.figures:
        yield _figures(explanation.figures, told)
    if explanation.alternatives:
        yield alternatives_section(explanation.alternatives)
    if explanation.cards:
        yield from _cards(explanation.cards, told)


def _rigs(explanation: Explanation) -> Iterator[Rig | None]:
    for way in (*explanation.relaxations, *explanation.together):
        yield way.rig
    for limit in explanation.limits:
        for point in (limit.improves, limit.changes):
            yield None if point is None else point.rig
    for price in explanation.prices:
        yield from (price.below, price.above)
    for figure in explanation.figures:
        yield from (figure.below, figure.above)
    for alternative in explanation.alternatives:
        yield alternative.rig
    for card in explanation.cards:
        yield card.best
        yield None if card.miss is None else card.miss.rig


def _why_not(explanation: Explanation, told: Teller) -> Iterator[Section]:
    members = explanation.conflict.members if explanation.conflict is not None else ()
    minimal = explanation.conflict is not None and explanation.conflict.minimal
    if not members:
        yield Section("why", (), [("no card, or no platform, has a price: there is nothing to choose from",)])
    else:
        also = "; without any one of them a rig exists" if minimal else "; not all of them may be needed for that"
        here = ["" if m.capacity is None else f"{number(m.capacity, 6)} {m.unit}" for m in members]
        rows = [(m.limit, m.inequality.rstrip("."), value) for m, value in zip(members, here, strict=True)]
        yield Section("these limits cannot all be kept" + also, ("limit", "what it says", "here"), rows)
    ways = [way for way in explanation.relaxations if way.helps]
    if ways:
        yield _ways_out("any one of these makes a plan possible, and not one unit less", ways, told)
    elif explanation.together:
        title = "no single limit suffices; the fewest that must give way together, and not one unit less"
        yield _ways_out(title, explanation.together, told)
    hopeless = [way.limits[0] for way in explanation.relaxations if not way.helps]
    if hopeless:
        yield Section("no change of one of these alone helps", (), [(", ".join(hopeless),)])


def _ways_out(title: str, ways: Sequence[Relaxation], told: Teller) -> Section:
    rows = [
        (
            ", ".join(way.limits),
            " and ".join(change_words(change) for change in way.changes),
            told.plan(way.rig) if way.rig is not None else "",
        )
        for way in ways
    ]
    return Section(title, ("limit", "change", "the plan it buys"), rows)


def _limits(limits: Sequence[LimitBreakpoints], told: Teller) -> Section:
    rows = []
    for row in limits:
        if row.improves is None and row.changes is None and (row.part or not row.binds):
            continue  # of a part that only shares its limit's name there is nothing to say
        here = ""
        if row.used is not None and row.capacity is not None:
            here = f"{number(row.used)} of {'at least ' if row.at_least else ''}{number(row.capacity)} {row.unit}"
        improves, keeps = "", ""
        if row.improves is not None and row.improves.rig is not None:
            improves = f"{change_words(row.improves.change)}: {told.plan(row.improves.rig)}"
        if row.keeps is not None and row.changes is not None:
            after = told.rig(row.changes.rig) if row.changes.rig is not None else "nothing fits"
            room = f"by {amount(row.keeps)} {row.unit}" if row.keeps.by_units else "not at all"
            room += f", to {amount(row.keeps, row.keeps.to)}" if row.keeps.to is not None and row.keeps.by_units else ""
            keeps = f"{room}; then {after}"
        name = row.limit + (f" ({row.part})" if row.part else "")
        rows.append((name, here, "yes" if row.binds else "", improves, keeps))
    return Section(
        "limits: which bind, what improves the goal, how far each can be tightened before the plan changes",
        ("limit", "used", "binds", "the least that improves the goal", "the plan stays when tightened"),
        rows,
        note="The plan stays: card, count and platform; its power limit may change. "
        "Where a limit belongs to the platform, it is moved on every platform.",
    )


def _prices(prices: Sequence[PriceRange], told: Teller) -> Iterator[Section]:
    rows, free = [], []
    for one in prices:
        if one.holds and one.low_cny is None and one.high_cny is None:
            free.append(one.item_name)
            continue
        if not one.holds:
            rows.append((one.item_name, money(one.today_cny), "-", "-", "hangs on several offers, stock or breaks", ""))
            continue
        low = "0" if one.low_cny is None else money(one.low_cny)
        high = "any" if one.high_cny is None else money(one.high_cny)
        rows.append((one.item_name, money(one.today_cny), low, high, *_outside(one, told)))
    note = "All offers of an item replaced by one at that price, as --price does; one item at a time."
    if rows:
        title = "prices: the plan stays while the price is between"
        yield Section(title, ("item", "today CNY", "from", "to", "below", "above"), rows, note)
    if free:
        yield Section("whatever the price of one of these, the plan stays", (), [(", ".join(free),)])


def _outside(one: PriceRange | FigureRange, told: Teller) -> tuple[str, str]:
    below = "nothing fits" if one.nothing_below else told.rig(one.below) if one.below is not None else ""
    above = "nothing fits" if one.nothing_above else told.rig(one.above) if one.above is not None else ""
    return below, above


def _figures(figures: Sequence[FigureRange], told: Teller) -> Section:
    rows = []
    for one in figures:
        scale, unit, digits = (MIB_PER_GB, "MiB", 0) if one.unit == "GB" else (1, one.unit, 3)
        low = "any" if one.low is None else number(one.low * scale, digits)
        high = "any" if one.high is None else number(one.high * scale, digits)
        name = FIGURE_WORDS.get(one.field, one.field) + (f", {unit}" if unit else "")
        own = [] if one.interval_low is None or one.interval_high is None else [one.interval_low, one.interval_high]
        interval = (
            say("{low} to {high}", low=number(own[0] * scale, digits), high=number(own[1] * scale, digits))
            if own
            else ""
        )
        rows.append((name, number(one.today * scale, digits), interval, _verdict(one), low, high, *_outside(one, told)))
    return Section(
        "uncertain figures of the workload: the plan stays while each is between",
        ("figure", "today", "its interval", "over all of it", "from", "to", "below", "above"),
        rows,
    )


def _verdict(one: FigureRange) -> str:
    """Whether the plan is the same over the whole interval that the workload gives a figure."""
    if one.interval_low is None or one.interval_high is None:
        return ""
    below = one.low is not None and one.interval_low < one.low
    above = one.high is not None and one.interval_high > one.high
    if below and above:
        return say("flips below and above")
    if below or above:
        return say("flips below") if below else say("flips above")
    return say("stays")


def alternatives_section(alternatives: Sequence[Alternative]) -> Section:
    """The best plans that differ in card, count or platform."""
    told = Teller(one.rig for one in alternatives)
    rows = []
    for one in alternatives:
        loses = "" if one.place == 1 else difference_words(one.decided_by)
        better = _better([d for d in one.differences if d != one.decided_by])
        rows.append(
            (
                str(one.place),
                told.rig(one.rig),
                str(one.rig.total_batch),
                money(one.rig.cost_cny),
                duration(one.rig.epoch_hours),
                number(one.rig.wall_power_w, 0),
                loses + (f" (but {better})" if better else ""),
            )
        )
    return Section(
        "the best plans, distinct in card, count or platform",
        ("", "rig", "batch", "CNY", "epoch", "W", "loses by"),
        rows,
    )


def _better(differences: Sequence[Difference]) -> str:
    return ", ".join(difference_words(d) for d in differences if d.worse_by < 0)


def _cards(cards: Sequence[CardAccount], told: Teller) -> Iterator[Section]:
    rows = []
    for card in cards:
        if card.status == "no_price":
            continue
        verdict = "excluded" if card.best is None else told.rig(card.best)
        if card.status == "chosen":
            verdict += ": chosen"
        elif card.best is not None:
            verdict += f": {difference_words(card.decided_by)}"
        rows.append((card.card_name, verdict, miss_words(card)))
    if rows:
        yield Section("every card", ("card", "its best rig, and what it loses by", "what does not fit"), rows)
    unpriced = [card.card_id for card in cards if card.status == "no_price"]
    if unpriced:
        yield Section("no price, never chosen", (), [(", ".join(unpriced),)])


def frontier_sections(frontier: Frontier) -> Iterator[Section]:
    """A curve as a table: one row a point."""
    first, second = frontier.axes
    one_platform = len({point.plan.platform_id for point in frontier.points}) <= 1
    rows = []
    for point in frontier.points:
        plan = point.plan
        rows.append(
            (
                f"{plan.card_count}x {plan.card_name} at {plan.power_limit_w} W"
                + ("" if one_platform else f" on {plan.platform_name}"),
                money(plan.cost_cny),
                str(plan.total_batch),
                duration(plan.epoch_hours.expected),
                number(plan.wall_power_w, 0),
                number(plan.total_batch * 1e5 / max(float(plan.cost_cny), 0.01), 2),
            )
        )
    proved = "proved complete" if frontier.complete else "not complete: time ran out, and only what is proved is shown"
    where = f"all on {frontier.points[0].plan.platform_name}; " if rows and one_platform else ""
    count = "no plan fits" if not rows and frontier.complete else f"{len(rows)} points"
    yield Section(
        f"{AXIS_WORDS[first]} against {AXIS_WORDS[second]}: every plan that no other beats on both",
        ("rig", "CNY", "batch", "epoch", "W", "samples per 100,000 CNY"),
        rows,
        note=f"{count}, {proved}; {where}{frontier.what_ifs} what-ifs, {frontier.total_ms:,.0f} ms",
    )
