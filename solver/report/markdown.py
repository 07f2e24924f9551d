"""Answers as Markdown, for tickets, mails and wikis: the same facts as the table in the terminal.

What comes from data is escaped: no cell breaks the table, becomes a link or, pasted into a spreadsheet, a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from solver.domain.language import say
from solver.domain.notices import notice_words
from solver.domain.plan import Notice, Plan, Result, Usage
from solver.report.facts import check_headline, item_words, offer_words, plan_facts
from solver.report.wording import USAGE_COLUMNS, answer_words, limit_words, money, number, unit_words

if TYPE_CHECKING:
    from solver.check import CheckReport

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
    lines = [f"## {answer_words(result)}", ""]
    if result.plan is not None:
        lines += [*_plan(result.plan, more), *_order(result.plan), *_usage(result.usage)]
    if result.status == "infeasible":
        lines += [say("Why, and the cheapest ways out: the same options with `solver-cli explain`."), ""]
    if result.status == "feasible" and result.objective is not None and result.bound is not None:
        lines += [
            say(
                "Objective {objective} {unit}, proved bound {bound} {unit}.",
                objective=number(result.objective, 6),
                bound=number(result.bound, 6),
                unit=unit_words(result.objective_unit),
            ),
            "",
        ]
    lines += _notices(result.warnings)
    hashes = result.fingerprint
    lines.append(
        say(
            "Question `{question}`, catalogue `{catalogue}`.",
            question=hashes.problem_sha256[:12],
            catalogue=hashes.catalog_sha256[:12],
        )
    )
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
        rows.append(
            (
                escaped(item_words(line, plan)),
                str(line.quantity),
                money(line.unit_price_cny),
                money(line.total_cny),
                told,
            )
        )
    rows.append((f"**{say('total')}**", "", "", f"**{money(plan.cost_cny)}**", ""))
    header = (say("item"), say("quantity"), say("unit CNY"), say("total CNY"), say("offer"))
    return [*table(header, rows, right=(1, 2, 3)), ""]


def _usage(usage: Sequence[Usage]) -> list[str]:
    rows = []
    for row in usage:
        if row.used == row.capacity == 0:
            continue  # "0 of 0 used cards" tells a reader nothing
        name = limit_words(row.limit, row.part).replace("_", "\\_")
        broken = "**" if row.headroom < 0 else ""
        allowed = say("at least {n}", n=number(row.capacity)) if row.at_least else number(row.capacity)
        rows.append((f"{broken}{name}{broken}", number(row.used), allowed, number(row.headroom), unit_words(row.unit)))
    return [*table([say(name) for name in USAGE_COLUMNS], rows, right=(1, 2, 3)), ""]


def _notices(notices: Sequence[Notice]) -> list[str]:
    return [
        *(f"- **{say('warning:')}** {escaped(notice_words(notice))}" for notice in notices),
        *([""] if notices else []),
    ]
