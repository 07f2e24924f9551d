"""Answers as Markdown, for tickets, mails and wikis: the same facts as the table in the terminal.

What comes from data is escaped: no cell breaks the table, becomes a link or, pasted into a spreadsheet, a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from solver.check import CheckReport
from solver.domain.language import say
from solver.domain.plan import Notice, Plan, Result, Usage
from solver.report.facts import check_headline, offer_words, plan_facts
from solver.report.wording import GOAL_WORDS, STATUS_WORDS, money, number

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def escaped(text: str) -> str:
    """Data as Markdown text on one line."""
    plain = _SPECIAL.sub(r"\\\1", " ".join("".join(c if c.isprintable() else " " for c in text).split()))
    return "\\" + plain if plain[:1] in ("=", "+", "-", "@") else plain


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """The lines of a table; the cells are Markdown already. `right` are the columns of figures."""
    aligned = ["---:" if i in set(right) else "---" for i in range(len(header))]
    return ["| " + " | ".join(cells) + " |" for cells in (header, aligned, *rows)]


def result_markdown(result: Result, more: Sequence[tuple[str, str]] = ()) -> str:
    """The whole answer of `optimize`; `more` are further facts to print with those of the plan, as (name, value)."""
    lines = [f"## {GOAL_WORDS[result.goal]}: {STATUS_WORDS[result.status]}", ""]
    if result.plan is not None:
        lines += [*_plan(result.plan, more), *_order(result.plan), *_usage(result.usage)]
    if result.status == "infeasible":
        lines += [say("Why, and the cheapest ways out: the same options with `solver-cli explain`."), ""]
    if result.status == "feasible" and result.objective is not None and result.bound is not None:
        unit = result.objective_unit
        lines += [f"Objective {number(result.objective, 6)} {unit}, proved bound {number(result.bound, 6)} {unit}.", ""]
    lines += _notices(result.warnings)
    hashes = result.fingerprint
    lines.append(f"Question `{hashes.problem_sha256[:12]}`, catalogue `{hashes.catalog_sha256[:12]}`.")
    return "\n".join(lines) + "\n"


def check_markdown(report: CheckReport) -> str:
    """The whole answer of `check`."""
    headline, details = check_headline(report)
    lines = [f"## {escaped(headline)}", "", *(f"- {escaped(line)}" for line in details)]
    lines += [""] if details else []
    lines += [*_plan(report.plan), *_order(report.plan), *_usage(report.usage), *_notices(report.warnings)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _plan(plan: Plan, more: Sequence[tuple[str, str]] = ()) -> list[str]:
    facts = (*plan_facts(plan), *more)
    return [*table(("", ""), ((f"**{name}**", escaped(value)) for name, value in facts)), ""]


def _order(plan: Plan) -> list[str]:
    rows = []
    for line in plan.order:
        told = escaped(offer_words(line))
        rows.append((escaped(line.name), str(line.quantity), money(line.unit_price_cny), money(line.total_cny), told))
    rows.append(("**total**", "", "", f"**{money(plan.cost_cny)}**", ""))
    return [*table(("item", "quantity", "unit CNY", "total CNY", "offer"), rows, right=(1, 2, 3)), ""]


def _usage(usage: Sequence[Usage]) -> list[str]:
    rows = []
    for row in usage:
        if row.used == row.capacity == 0:
            continue  # "0 of 0 used cards" tells a reader nothing
        name = row.limit.replace("_", "\\_") + (f" ({row.part})" if row.part else "")
        broken = "**" if row.headroom < 0 else ""
        allowed = ("at least " if row.at_least else "") + number(row.capacity)
        rows.append((f"{broken}{name}{broken}", number(row.used), allowed, number(row.headroom), row.unit))
    return [*table(("limit", "used", "allowed", "headroom", "unit"), rows, right=(1, 2, 3)), ""]


def _notices(notices: Sequence[Notice]) -> list[str]:
    return [*(f"- **warning:** {escaped(notice.message)}" for notice in notices), *([""] if notices else [])]
