"""Answers as tables in the terminal (Rich). Colour only where the terminal wants it; NO_COLOR and pipes respected."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from solver.check import CheckReport
from solver.domain.plan import Notice, Plan, Result, Usage
from solver.report.wording import GOAL_WORDS, STATUS_WORDS, money, number, spread


def print_result(result: Result, console: Console) -> None:
    """The whole answer: plan, money, batch and time, watts, headroom per limit, warnings, proof."""
    style = "bold green" if result.status == "optimal" else "bold yellow"
    console.print(Text(f"{GOAL_WORDS[result.goal]}: {STATUS_WORDS[result.status]}", style=style))
    if result.plan is not None:
        print_plan(result.plan, console)
        print_order(result.plan, console)
        print_usage(result.usage, console)
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


def plan_title(plan: Plan) -> str:
    """'2x A100 80GB PCIe at 300 W each, on Guide base system'."""
    return f"{plan.card_count}x {plan.card_name} at {plan.power_limit_w} W each, on {plan.platform_name}"


def print_plan(plan: Plan, console: Console) -> None:
    """The plan as a list of facts."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    limit = (
        "its TDP" if plan.power_limit_w == plan.tdp_w else f"TDP {plan.tdp_w} W; {plan.speed_share:.1%} of full speed"
    )
    facts = [
        ("plan", f"{plan.card_count}x {plan.card_name} ({plan.card_id})"),
        ("power limit", f"{plan.power_limit_w} W per card ({limit})"),
        ("platform", f"{plan.platform_name} ({plan.platform_id})"),
        ("total cost", f"{money(plan.cost_cny)} CNY"),
        ("total batch", f"{plan.total_batch} samples ({plan.card_count} cards x micro-batch {plan.micro_batch})"),
        ("step", f"{number(plan.step_seconds.expected)} s, {plan.steps_per_epoch:,} steps per epoch"),
        ("epoch", spread(plan.epoch_hours)),
        (
            "training",
            f"{spread(plan.training_hours)}, {number(plan.preparation_hours.expected)} h of preparation included",
        ),
        ("at the wall", f"{number(plan.wall_power_w, 0)} W; {_margins(plan)}"),
        ("heat in the case", f"{plan.heat_w:,} W (power supply at {number(plan.psu_load_percent, 1)} % load)"),
        ("host RAM", f"{number(plan.host_ram_gb, 1)} GB"),
    ]
    if plan.nvlink_pairs:
        facts.append(("NVLink", f"{plan.nvlink_pairs} pair(s) possible; bridges not priced"))
    for name, value in facts:
        table.add_row(name, Text(value))
    console.print(table)


def _margins(plan: Plan) -> str:
    """'1,188 W under the socket's 2,200 W, 748 W under the 1,760 W advised for long loads'."""
    parts = []
    for watts, what in ((plan.socket_w, "the socket's {} W"), (plan.long_load_w, "the {} W advised for long loads")):
        left = watts - plan.wall_power_w
        parts.append(f"{number(abs(left), 0)} W {'under' if left >= 0 else 'OVER'} {what.format(number(watts, 0))}")
    return ", ".join(parts)


def print_order(plan: Plan, console: Console) -> None:
    """The money, line by line."""
    table = Table(box=box.SIMPLE_HEAD, title="money", title_justify="left", title_style="bold")
    for name, justify in (("item", "left"), ("quantity", "right"), ("unit CNY", "right"), ("total CNY", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("offer", overflow="fold")
    for line in plan.order:
        offer = [line.condition, line.vendor, line.quote_date.isoformat() if line.quote_date else "", line.basis]
        table.add_row(
            Text(line.name),
            str(line.quantity),
            money(line.unit_price_cny),
            money(line.total_cny),
            Text(", ".join(part for part in offer if part)),
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
    if report.holds:
        console.print(Text(f"holds: {plan_title(report.plan)} keeps to every limit", style="bold green"))
    elif report.broken:
        names = ", ".join(dict.fromkeys(row.limit for row in report.broken))
        console.print(Text(f"does not hold: {plan_title(report.plan)} breaks {names}", style="bold red"))
    else:
        console.print(Text(f"cannot be vouched for: {plan_title(report.plan)} has no full price", style="bold red"))
    for row in report.broken:
        part = f" ({row.part})" if row.part else ""
        wanted = "at least" if row.at_least else "of"
        console.print(
            f"  {row.limit}{part}: {number(row.used)} {wanted} {number(row.capacity)} {row.unit}, "
            f"{number(-row.headroom)} {row.unit} {'too few' if row.at_least else 'too many'}"
        )
    if report.power_limits_that_fit is not None:
        low, high = report.power_limits_that_fit
        console.print(f"  it holds at a power limit of {low} to {high} W per card")
    print_plan(report.plan, console)
    print_order(report.plan, console)
    print_usage(report.usage, console)
    print_notices(report.warnings, console)
