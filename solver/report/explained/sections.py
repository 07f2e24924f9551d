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
)
from solver.domain.language import listed, message, say
from solver.domain.plan import Plan
from solver.domain.rig import Rig
from solver.domain.units import MIB_PER_GB
from solver.report.explained.words import (
    AXIS_WORDS,
    FIGURE_WORDS,
    Teller,
    amount,
    change_words,
    difference_words,
    miss_words,
    missed,
)
from solver.report.wording import PLANNED_ON, USAGE_COLUMNS, between, limit_words, money, number, unit_words

NONE_FITS = message("none fits: {limits}")
"""The verdict on a card of which no rig fits, and the limits that the nearest one breaks."""
OF = message("{used} of {capacity} {unit}")
OF_AT_LEAST = message("{used} of at least {capacity} {unit}")


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
        nothing = say("no card, or no platform, has a price: there is nothing to choose from")
        yield Section(say("why"), (), [(nothing,)])
    else:
        if minimal:
            title = say("these limits cannot all be kept; without any one of them a rig exists")
        else:
            title = say("these limits cannot all be kept; not all of them may be needed for that")
        rows = [
            (
                limit_words(m.limit),
                say(m.inequality).rstrip(".。"),
                "" if m.capacity is None else f"{number(m.capacity, 6)} {unit_words(m.unit)}",
            )
            for m in members
        ]
        yield Section(title, (say("limit"), say("what it says"), say("here")), rows)
    ways = [way for way in explanation.relaxations if way.helps]
    if ways:
        yield _ways_out(say("any one of these makes a plan possible, and not one unit less"), ways, told)
    elif explanation.together:
        title = say("no single limit suffices; the fewest that must give way together, and not one unit less")
        yield _ways_out(title, explanation.together, told)
    hopeless = [limit_words(way.limits[0]) for way in explanation.relaxations if not way.helps]
    if hopeless:
        yield Section(say("no change of one of these alone helps"), (), [(listed(hopeless),)])


def _ways_out(title: str, ways: Sequence[Relaxation], told: Teller) -> Section:
    rows = [
        (
            listed(map(limit_words, way.limits)),
            say(" and ").join(change_words(change) for change in way.changes),
            told.plan(way.rig) if way.rig is not None else "",
        )
        for way in ways
    ]
    return Section(title, (say("limit"), say("change"), say("the plan it buys")), rows)


def _limits(limits: Sequence[LimitBreakpoints], told: Teller) -> Section:
    rows = []
    for row in limits:
        if row.improves is None and row.changes is None and (row.part or not row.binds):
            continue  # of a part that only shares its limit's name there is nothing to say
        here = ""
        if row.used is not None and row.capacity is not None:
            here = say(
                OF_AT_LEAST if row.at_least else OF,
                used=number(row.used),
                capacity=number(row.capacity),
                unit=unit_words(row.unit),
            )
        improves, keeps = "", ""
        if row.improves is not None and row.improves.rig is not None:
            improves = say(
                "{change}: {plan}", change=change_words(row.improves.change), plan=told.plan(row.improves.rig)
            )
        if row.keeps is not None and row.changes is not None:
            then = told.rig(row.changes.rig) if row.changes.rig is not None else say("nothing fits")
            by, unit = amount(row.keeps), unit_words(row.unit)
            if not row.keeps.by_units:
                keeps = say("not at all; then {then}", then=then)
            elif row.keeps.to is None:
                keeps = say("by {by} {unit}; then {then}", by=by, unit=unit, then=then)
            else:
                to = amount(row.keeps, row.keeps.to)
                keeps = say("by {by} {unit}, to {to}; then {then}", by=by, unit=unit, to=to, then=then)
        name = limit_words(row.limit, row.part)
        rows.append((name, here, say("yes") if row.binds else "", improves, keeps))
    return Section(
        say("limits: which bind, what improves the goal, how far each can be tightened before the plan changes"),
        (
            say("limit"),
            say(USAGE_COLUMNS[1]),
            say("binds"),
            say("the least that improves the goal"),
            say("the plan stays when tightened"),
        ),
        rows,
        note=say(
            "The plan stays: card, count and platform; its power limit may change. "
            "Where a limit belongs to the platform, it is moved on every platform."
        ),
    )


def _prices(prices: Sequence[PriceRange], told: Teller) -> Iterator[Section]:
    rows, free = [], []
    for one in prices:
        if one.holds and one.low_cny is None and one.high_cny is None:
            free.append(one.item_name)
            continue
        if not one.holds:
            several = say("hangs on several offers, stock or breaks")
            rows.append((one.item_name, money(one.today_cny), "-", "-", several, ""))
            continue
        low = "0" if one.low_cny is None else money(one.low_cny)
        high = say("any") if one.high_cny is None else money(one.high_cny)
        rows.append((one.item_name, money(one.today_cny), low, high, *_outside(one, told)))
    note = say("All offers of an item replaced by one at that price, as --price does; one item at a time.")
    if rows:
        title = say("prices: the plan stays while the price is between")
        columns = (say("item"), say("today CNY"), say("from"), say("to"), say("below"), say("above"))
        yield Section(title, columns, rows, note)
    if free:
        yield Section(say("whatever the price of one of these, the plan stays"), (), [(listed(free),)])


def _outside(one: PriceRange | FigureRange, told: Teller) -> tuple[str, str]:
    below = say("nothing fits") if one.nothing_below else told.rig(one.below) if one.below is not None else ""
    above = say("nothing fits") if one.nothing_above else told.rig(one.above) if one.above is not None else ""
    return below, above


def _figures(figures: Sequence[FigureRange], told: Teller) -> Section:
    rows = []
    for one in figures:
        scale, unit, digits = (MIB_PER_GB, "MiB", 0) if one.unit == "GB" else (1, one.unit, 3)
        low = say("any") if one.low is None else number(one.low * scale, digits)
        high = say("any") if one.high is None else number(one.high * scale, digits)
        name = say(FIGURE_WORDS.get(one.field, one.field))
        if unit:
            name = say("{figure}, {unit}", figure=name, unit=unit_words(unit))
        own = [] if one.interval_low is None or one.interval_high is None else [one.interval_low, one.interval_high]
        interval = (
            say("{low} to {high}", low=number(own[0] * scale, digits), high=number(own[1] * scale, digits))
            if own
            else ""
        )
        rows.append((name, number(one.today * scale, digits), interval, _verdict(one), low, high, *_outside(one, told)))
    return Section(
        say("uncertain figures of the workload: the plan stays while each is between"),
        (
            say("figure"),
            say("today"),
            say("its interval"),
            say("over all of it"),
            say("from"),
            say("to"),
            say("below"),
            say("above"),
        ),
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
                f"{one.rig.total_batch:,}",
                money(one.rig.cost_cny),
                between(one.rig.epoch_hours, one.rig.epoch_hours_range),
                number(one.rig.wall_power_w, 0),
                say("{loses} (but {better})", loses=loses, better=better) if better else loses,
            )
        )
    return Section(
        say("the best plans, distinct in card, count or platform"),
        ("", say("rig"), say("batch"), say("CNY"), say("epoch"), "W", say("loses by")),
        rows,
    )


def _better(differences: Sequence[Difference]) -> str:
    return listed(difference_words(d) for d in differences if d.worse_by < 0)


def _cards(cards: Sequence[CardAccount], told: Teller) -> Iterator[Section]:
    rows = []
    for card in cards:
        if card.status == "no_price":
            continue
        if card.best is None:
            verdict = say(NONE_FITS, limits=missed(card)) if card.miss is not None else say("excluded")
        elif card.status == "chosen":
            verdict = say("{rig}: chosen", rig=told.rig(card.best))
        else:
            verdict = say("{rig}: {loses}", rig=told.rig(card.best), loses=difference_words(card.decided_by))
        rows.append((card.card_name, verdict, miss_words(card)))
    if rows:
        yield Section(
            say("every card"), (say("card"), say("its best rig, and what it loses by"), say("what does not fit")), rows
        )
    unpriced = [card.card_id for card in cards if card.status == "no_price"]
    if unpriced:
        yield Section(say("no price, never chosen"), (), [(listed(unpriced),)])


def frontier_sections(frontier: Frontier) -> Iterator[Section]:
    """A curve as a table: one row a point."""
    first, second = frontier.axes
    one_platform = len({point.plan.platform_id for point in frontier.points}) <= 1
    rows = []
    for point in frontier.points:
        plan = point.plan
        rows.append(
            (
                _rig_of(plan, one_platform),
                money(plan.cost_cny),
                f"{plan.total_batch:,}",
                between(plan.epoch_hours.at(frontier.confidence), plan.epoch_hours),
                number(plan.wall_power_w, 0),
                number(plan.total_batch * 1e5 / max(float(plan.cost_cny), 0.01), 2),
            )
        )
    count = say("no plan fits") if not rows and frontier.complete else say("{n} points", n=len(rows))
    proved = (
        say("proved complete")
        if frontier.complete
        else say("not complete: time ran out, and only what is proved is shown")
    )
    solved = say("{count} what-ifs, {ms} ms", count=frontier.what_ifs, ms=f"{frontier.total_ms:,.0f}")
    if rows and one_platform:
        platform = frontier.points[0].plan.platform_name
        note = say(
            "{points}, {proved}; all on {platform}; {solved}",
            points=count,
            proved=proved,
            platform=platform,
            solved=solved,
        )
    else:
        note = say("{points}, {proved}; {solved}", points=count, proved=proved, solved=solved)
    title = say(
        "{first} against {second}: every plan that no other beats on both",
        first=say(AXIS_WORDS[first]),
        second=say(AXIS_WORDS[second]),
    )
    if frontier.confidence != "expected":
        title = say("{title}; {planned}", title=title, planned=say(PLANNED_ON[frontier.confidence]))
    yield Section(
        title,
        (say("rig"), say("CNY"), say("batch"), say("epoch"), "W", say("samples per 100,000 CNY")),
        rows,
        note=note,
    )


def _rig_of(plan: Plan, one_platform: bool) -> str:
    said = {"count": plan.card_count, "card": plan.card_name, "watts": plan.power_limit_w}
    if one_platform:
        return say("{count}x {card} at {watts} W", **said)
    return say("{count}x {card} at {watts} W on {platform}", **said, platform=plan.platform_name)
