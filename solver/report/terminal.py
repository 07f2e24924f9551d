"""Answers as tables in the terminal (Rich). Colour only where the terminal wants it; NO_COLOR and pipes respected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from solver.domain.language import say
from solver.domain.notices import notice_words
from solver.domain.plan import Notice, Plan, Result, Usage
from solver.report.facts import check_headline, item_words, offer_words, plan_facts
from solver.report.prose import Prose
from solver.report.wording import USAGE_COLUMNS, answer_words, limit_words, money, number, unit_words

if TYPE_CHECKING:
    from solver.check import CheckReport


def print_result(result: Result, console: Console, more: Sequence[tuple[str, str]] = ()) -> None:
    """The whole answer: plan, money, batch and time, watts, headroom per limit, warnings, proof.

    `more` are further facts to print with those of the plan, as (name, value).
    """
    style = "bold green" if result.status == "optimal" else "bold yellow"
    console.print(Prose(answer_words(result), style=style))
    if result.plan is not None:
        print_plan(result.plan, console, more)
        print_order(result.plan, console)
        print_usage(result.usage, console)
    if result.status == "infeasible":
        console.print(say("why, and the cheapest ways out: the same options with solver-cli explain"))
    if result.status == "feasible" and result.objective is not None and result.bound is not None:
        console.print(
            say(
                "objective {objective} {unit}, proved bound {bound} {unit}",
                objective=number(result.objective, 6),
                bound=number(result.bound, 6),
                unit=unit_words(result.objective_unit),
            )
        )
    print_notices(result.warnings, console)
    stats = result.statistics
    console.print(
        Prose(
            say(
                "{pairs} pairs of option and platform, {in_model} in CP-SAT; {ms} ms; "
                "question {question}, catalogue {catalogue}",
                pairs=f"{stats.pairs:,}",
                in_model=f"{stats.pairs_in_model:,}",
                ms=f"{stats.total_ms:,.1f}",
                question=result.fingerprint.problem_sha256[:12],
                catalogue=result.fingerprint.catalog_sha256[:12],
            ),
            style="dim",
        )
    )


def print_plan(plan: Plan, console: Console, more: Sequence[tuple[str, str]] = ()) -> None:
    """The plan as a list of facts."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (*plan_facts(plan), *more):
        table.add_row(name, Prose(value))
    console.print(table)


def print_order(plan: Plan, console: Console) -> None:
    """The money, line by line."""
    table = Table(box=box.SIMPLE_HEAD, title=say("money"), title_justify="left", title_style="bold")
    table.add_column(say("item"))
    for name in (say("quantity"), say("unit CNY"), say("total CNY")):
        table.add_column(name, justify="right")
    table.add_column(say("offer"), overflow="fold")
    for line in plan.order:
        table.add_row(
            Prose(item_words(line, plan)),
            str(line.quantity),
            money(line.unit_price_cny),
            money(line.total_cny),
            Prose(offer_words(line)),
        )
    table.add_section()
    table.add_row(say("total"), "", "", money(plan.cost_cny), "")
    console.print(table)


def print_usage(usage: Sequence[Usage], console: Console) -> None:
    """Used, capacity and headroom of every limit."""
    table = Table(box=box.SIMPLE_HEAD, title=say("limits"), title_justify="left", title_style="bold")
    for name in USAGE_COLUMNS:
        table.add_column(say(name), justify="right" if name in USAGE_COLUMNS[1:4] else "left")
    for row in usage:
        if row.used == row.capacity == 0:
            continue  # "0 of 0 used cards" tells a reader nothing
        broken = row.headroom < 0
        style = "bold red" if broken else ""
        table.add_row(
            limit_words(row.limit, row.part),
            number(row.used),
            say("at least {n}", n=number(row.capacity)) if row.at_least else number(row.capacity),
            number(row.headroom),
            unit_words(row.unit),
            style=style,
        )
    console.print(table)


def print_notices(notices: Sequence[Notice], console: Console) -> None:
    """Warnings, one a line."""
    for notice in notices:
        console.print(Prose(Text.assemble((say("warning: "), "yellow"), notice_words(notice))))


def print_check(report: CheckReport, console: Console) -> None:
    """Whether a rig holds, its figures, every limit, and every broken one with its margin."""
    headline, details = check_headline(report)
    console.print(Prose(headline, style="bold green" if report.holds else "bold red"))
    for line in details:
        console.print(Prose(f"  {line}"))
    print_plan(report.plan, console)
    print_order(report.plan, console)
    print_usage(report.usage, console)
    print_notices(report.warnings, console)
