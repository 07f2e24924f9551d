"""The chapters of a saved answer: what to buy, what it costs and does, how far it holds, what else there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from solver.domain.language import say
from solver.domain.plan import Plan, Result
from solver.report.charts.canvas import NARROW, WIDE
from solver.report.charts.limits import limits_chart, watts_chart
from solver.report.charts.memory import memory_chart
from solver.report.charts.money import money_chart
from solver.report.charts.ranges import price_chart, shown_ranges
from solver.report.charts.staircase import staircase_chart
from solver.report.charts.time import time_chart
from solver.report.charts.words import limit_name, limits_named
from solver.report.document.chapter import Chapter, Fact, Report
from solver.report.document.question import assumption_sections, price_section, question_section
from solver.report.document.record import answer_record
from solver.report.explained.sections import Section, alternatives_section, frontier_sections, sections_of
from solver.report.explained.words import change_words
from solver.report.facts import offer_words, plan_facts
from solver.report.saved import Saved
from solver.report.wording import GOAL_WORDS, STATUS_WORDS, duration, money, number, spread


def answer_report(saved: Saved) -> Report:
    """The report of a saved answer, in the language in force."""
    result = saved.result
    return Report(
        kind="answer",
        title=say("Which GPU rig to buy"),
        headline=recommendation(saved),
        verdict=f"{say(GOAL_WORDS[result.goal])}: {say(STATUS_WORDS[result.status])}",
        good=result.status == "optimal",
        facts=() if result.plan is None else tuple(_facts(result, result.plan)),
        chapters=tuple(_chapters(saved)),
        record=answer_record(saved),
        footer=tuple(_footer(saved)),
    )


def recommendation(saved: Saved) -> str:
    """The answer in one sentence."""
    result, plan = saved.result, saved.result.plan
    if plan is not None:
        return say(
            "Buy {count}x {card} at {watts} W each on {platform}: {cost} CNY for a total batch of {batch} samples and "
            "an epoch in {epoch}, drawing {wall} W at the wall.",
            count=plan.card_count,
            card=plan.card_name,
            watts=plan.power_limit_w,
            platform=plan.platform_name,
            cost=money(plan.cost_cny),
            batch=plan.total_batch,
            epoch=spread(plan.epoch_hours),
            wall=number(plan.wall_power_w, 0),
        )
    if result.status != "infeasible":
        return say("No answer was found in the time given, and nothing was proved.")
    conflict = saved.explanation.conflict
    if conflict is None or not conflict.members:
        return say("No rig fits: no card, or no platform, has a price.")
    names = ", ".join(limit_name(member.limit) for member in conflict.members)
    told = say("No rig fits these limits: they cannot all be kept ({names}).", names=names)
    ways = [way for way in saved.explanation.relaxations if way.helps and way.rig is not None]
    if not ways:
        return told
    way = ways[0]
    changes = " + ".join(change_words(change) for change in way.changes)
    assert way.rig is not None
    rig = f"{way.rig.card_count}x {way.rig.card_name}"
    return told + " " + say("One way out: {changes}, which buys {rig}.", changes=changes, rig=rig)


def _facts(result: Result, plan: Plan) -> Iterator[Fact]:
    at = "result.plan."
    left = next(
        (
            say("{left} CNY under the budget", left=money(round(row.headroom, 2)))
            for row in result.usage
            if row.limit == "budget"
        ),
        "",
    )
    yield Fact(say("cost"), f"{money(plan.cost_cny)} CNY", at + "cost_cny", left)
    cards = say("{count} cards x {micro}", count=plan.card_count, micro=plan.micro_batch)
    yield Fact(say("total batch"), f"{plan.total_batch}", at + "total_batch", cards)
    low, high = (duration(h, plan.epoch_hours.expected >= 24) for h in (plan.epoch_hours.low, plan.epoch_hours.high))
    between = say("between {low} and {high}", low=low, high=high)
    yield Fact(say("epoch"), duration(plan.epoch_hours.expected), at + "epoch_hours.expected", between)
    margin = say("{left} W under the socket", left=number(plan.socket_w - plan.wall_power_w, 0))
    if plan.wall_power_w > plan.socket_w:
        margin = say("{over} W OVER the socket", over=number(plan.wall_power_w - plan.socket_w, 0))
    yield Fact(say("at the wall"), f"{number(plan.wall_power_w, 0)} W", at + "wall_power_w", margin)


def _chapters(saved: Saved) -> Iterator[Chapter]:
    result, explanation = saved.result, saved.explanation
    if explanation.conflict is not None:
        conflicts = tuple(map(_with_names, sections_of(explanation.model_copy(update={"cards": ()}))))
        yield Chapter("conflict", say("Why nothing fits, and the ways out"), sections=conflicts)
    if result.warnings:
        yield Chapter("warnings", say("Warnings"), notes=tuple(notice.message for notice in result.warnings))
    if result.plan is not None:
        yield Chapter(
            "figures",
            say("The rig in figures"),
            charts=(
                money_chart(result),
                memory_chart(saved.problem, result),
                time_chart(result),
                watts_chart(result),
                limits_chart(result),
                *((price_chart(explanation),) if shown_ranges(explanation) else ()),
            ),
        )
        yield Chapter("order", say("What to order"), sections=(_order(result.plan), _plan(result.plan)))
        yield Chapter("limits", say("Limits and what is left of them"), sections=(_usage(result),))
    if saved.frontier is not None and saved.frontier.points:
        choice = None if result.plan is None else result.plan.choice
        curve = tuple(replace(section, note=_curve_note(saved)) for section in frontier_sections(saved.frontier))
        yield Chapter(
            "frontier",
            say("What every budget buys"),
            wide=(
                (
                    staircase_chart(saved.frontier, choice, WIDE),
                    staircase_chart(saved.frontier, choice, NARROW),
                ),
            ),
            sections=curve,
        )
    if explanation.prices or explanation.figures or explanation.limits:
        holds = explanation.model_copy(update={"alternatives": (), "cards": (), "conflict": None})
        yield Chapter("holds", say("How far the answer holds"), sections=tuple(map(_with_names, sections_of(holds))))
    if explanation.alternatives:
        yield Chapter(
            "alternatives", say("What else there is"), sections=(alternatives_section(explanation.alternatives),)
        )
    if explanation.cards:
        cards = explanation.model_copy(
            update={"alternatives": (), "conflict": None, "limits": (), "prices": (), "figures": ()}
        )
        yield Chapter("cards", say("Every card, and why not"), sections=tuple(map(_with_names, sections_of(cards))))
    if not explanation.complete:
        note = say("Not all of the reasons were proved in the time given; those that stand here are proved.")
        yield Chapter("incomplete", say("Not complete"), text=(note,))
    sections = (question_section(saved.problem), price_section(saved), *assumption_sections(saved))
    yield Chapter("assumptions", say("Assumptions and sources"), sections=sections)


def _with_names(section: Section) -> Section:
    """A section of an explanation with its limits called as a buyer calls them, not by their ids.

    Only cells that hold ids and figures are touched, never one that may hold a name from a catalogue.
    """
    heads = (say("limit"), say("what does not fit"))
    at = [i for i, column in enumerate(section.columns) if column in heads]
    if section.title == say("no change of one of these alone helps"):
        at = [0]
    rows = [tuple(limits_named(cell) if i in at else cell for i, cell in enumerate(row)) for row in section.rows]
    return replace(section, rows=rows) if at else section


def _order(plan: Plan) -> Section:
    rows = [
        (line.name, str(line.quantity), money(line.unit_price_cny), money(line.total_cny), offer_words(line))
        for line in plan.order
    ]
    rows.append((say("total"), "", "", money(plan.cost_cny), ""))
    columns = (say("item"), say("quantity"), say("unit CNY"), say("total CNY"), say("offer"))
    return Section(say("The order"), columns, rows)


def _plan(plan: Plan) -> Section:
    return Section(say("The rig"), (say("what"), say("value")), plan_facts(plan))


def _usage(result: Result) -> Section:
    rows = [
        (
            limit_name(row.limit, row.part),
            number(row.used),
            (say("at least") + " " if row.at_least else "") + number(row.capacity),
            number(row.headroom),
            row.unit,
        )
        for row in result.usage
        if not row.used == row.capacity == 0
    ]
    columns = (say("limit"), say("used"), say("allowed"), say("headroom"), say("unit"))
    return Section(say("Every limit of the answer"), columns, rows)


def _curve_note(saved: Saved) -> str:
    curve = saved.frontier
    assert curve is not None
    if curve.complete:
        return say("Every point is proved, and there are no others: no plan beats one of these on both figures.")
    return say("Not complete: time ran out. Every point that stands here is proved.")


def _footer(saved: Saved) -> Iterator[str]:
    result, hashes = saved.result, saved.result.fingerprint
    yield say(
        "Fingerprint: question {question}, catalogue {catalogue}; solver {solver}, OR-Tools {ortools}",
        question=hashes.problem_sha256,
        catalogue=hashes.catalog_sha256,
        solver=hashes.solver_version,
        ortools=hashes.ortools_version,
    )
    stats = result.statistics
    yield say(
        "{pairs} pairs of option and platform, {model} of them in CP-SAT; {what_ifs} what-ifs solved for the reasons",
        pairs=f"{stats.pairs:,}",
        model=f"{stats.pairs_in_model:,}",
        what_ifs=f"{saved.explanation.what_ifs:,}",
    )
    yield say("Prices are of the days named; warnings are as of {day}.", day=saved.as_of.isoformat())
