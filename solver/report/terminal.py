"""Answers as tables in the terminal (Rich). Colour only where the terminal wants it; NO_COLOR and pipes respected."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from solver.check import CheckReport
from solver.domain.language import say
from solver.domain.plan import Notice, Plan, Result, Usage
from solver.report.facts import check_headline, offer_words, plan_facts
from solver.report.wording import GOAL_WORDS, STATUS_WORDS, money, number


def print_result(result: Result, console: Console, more: Sequence[tuple[str, str]] = ()) -> None:
    """The whole answer: plan, money, batch and time, watts, headroom per limit, warnings, proof.

    `more` are further facts to print with those of the plan, as (name, value).
    """
    style = "bold green" if result.status == "optimal" else "bold yellow"
    console.print(Text(f"{GOAL_WORDS[result.goal]}: {STATUS_WORDS[result.status]}", style=style))
    if result.plan is not None:
        print_plan(result.plan, console, more)
        print_order(result.plan, console)
        print_usage(result.usage, console)
    if result.status == "infeasible":
        console.print(say("why, and the cheapest ways out: the same options with solver-cli explain"))
    if result.status == "feasible" and result.objective is not None and result.bound is not None:
        console.print(
            f"objective {number(result.objective, 6)} {result.objective_unit}, "
            f"proved bound {number(result.bound, 6)} {result.objective_unit}"
        )
    print_notices(result.warnings, console)
    stats = result.statistics
    console.print(
        Text(
            f"{stats.pairs:,} pairs of option and platform, {stats.pairs_in_model:,} in CP-SAT; "
            f"{stats.total_ms:,.1f} ms; question {result.fingerprint.problem_sha256[:12]}, "
            f"catalogue {result.fingerprint.catalog_sha256[:12]}",
            style="dim",
        )
    )


def print_plan(plan: Plan, console: Console, more: Sequence[tuple[str, str]] = ()) -> None:
    """The plan as a list of facts."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (*plan_facts(plan), *more):
        table.add_row(name, Text(value))
    console.print(table)


def print_order(plan: Plan, console: Console) -> None:
    """The money, line by line."""
    table = Table(box=box.SIMPLE_HEAD, title="money", title_justify="left", title_style="bold")
    for name, justify in (("item", "left"), ("quantity", "right"), ("unit CNY", "right"), ("total CNY", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("offer", overflow="fold")
    for line in plan.order:
        table.add_row(
            Text(line.name),
            str(line.quantity),
            money(line.unit_price_cny),
            money(line.total_cny),
            Text(offer_words(line)),
        )
    table.add_section()
    table.add_row("total", "", "", money(plan.cost_cny), "")
    console.print(table)


def print_usage(usage: Sequence[Usage], console: Console) -> None:
    """Used, capacity and headroom of every limit."""
    table = Table(box=box.SIMPLE_HEAD, title="limits", title_justify="left", title_style="bold")
    table.add_column("limit")
    for name in ("used", "allowed", "headroom"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for row in usage:
        if row.used == row.capacity == 0:
            continue  # "0 of 0 used cards" tells a reader nothing
        broken = row.headroom < 0
        style = "bold red" if broken else ""
        sign = "at least " if row.at_least else ""
        table.add_row(
            row.limit + (f" ({row.part})" if row.part else ""),
            number(row.used),
            sign + number(row.capacity),
            number(row.headroom),
            row.unit,
            style=style,
        )
    console.print(table)


def print_notices(notices: Sequence[Notice], console: Console) -> None:
    """Warnings, one a line."""
    for notice in notices:
        console.print(Text("warning: ", style="yellow") + Text(notice.message))


def print_check(report: CheckReport, console: Console) -> None:
    """Whether a rig holds, its figures, every limit, and every broken one with its margin."""
    headline, details = check_headline(report)
    console.print(Text(headline, style="bold green" if report.holds else "bold red"))
    for line in details:
        console.print(Text(f"  {line}"))
    print_plan(report.plan, console)
    print_order(report.plan, console)
    print_usage(report.usage, console)
    print_notices(report.warnings, console)
