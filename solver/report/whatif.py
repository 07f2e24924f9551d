"""Runs of what-if scenarios in the terminal (Rich): the rows, the summary, matrices, differences, progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from solver.domain.language import listed, message, message_as, say, say_many
from solver.report.prose import Prose
from solver.report.wording import STATE_WORDS, duration, money, number, state_words, yuan
from solver.sweep.columns import flat
from solver.sweep.compare import Change, ScenarioDiff
from solver.sweep.run import Progress
from solver.sweep.scenario import Row
from solver.sweep.store import Counts, Run
from solver.sweep.summary import NO_PLAN, RIG, Matrix

MOST_ROWS = 30
MOST_MATRIX = (40, 12)


def _table(title: str, columns: Iterable[tuple[str, bool]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def rig(row: Mapping[str, Any]) -> str:
    """'2x a100-80gb-pcie', or why there is none."""
    if row["card_id"] is None:
        return say("no rig fits") if row["status"] == "infeasible" else state_words(str(row["status"]))
    return f"{row['card_count']}x {row['card_id']}"


def print_rows(rows: list[dict[str, Any]], total: int, console: Console) -> None:
    """The first rows of a run, and how many more there are."""
    columns = ((say("scenario"), False), (say("rig"), False), (say("W each"), True), (say("cost CNY"), True))
    more = ((say("batch"), True), (say("epoch"), True), (say("status"), False))
    table = _table("", (*columns, *more))
    for row in rows:
        has_plan = row["card_id"] is not None
        status = state_words(row["status"])
        if row["expectation"] == "broken":
            status = listed((status, say("expectation broken")))
        table.add_row(
            Prose(row["name"]),
            rig(row),
            str(row["power_limit_w"]) if has_plan else "",
            money(row["cost_fen"] / 100) if has_plan else "",
            str(row["total_batch"]) if has_plan else "",
            duration(row["epoch_hours"]) if has_plan else "",
            Prose(status, style="" if row["status"] == "optimal" and row["expectation"] != "broken" else "yellow"),
        )
    console.print(table)
    if total > len(rows):
        left = total - len(rows)
        console.print(
            say("... and {count:,} more; write them all with -o FILE.csv, .jsonl, .parquet or .xlsx", count=left)
        )


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """How often each rig wins, the spread, how stable the answer is, what failed and what was not as expected."""
    states = listed(
        say("{count:,} {state}", count=count, state=state_words(status))
        for status, count in summary["by_status"].items()
    )
    done, total = summary["done"], summary["scenarios"]
    told = say("{done:,} of {total:,} scenarios: {states}", done=done, total=total, states=states)
    by = summary["answered_by"].get("frontier", 0)
    if by:
        told += say("; {count:,} of them read off an exact frontier", count=by)
    console.print(Prose(told, style="bold"))
    winners = summary["winners"]
    if winners:
        budgets = any(each["budget_cny"] for each in winners)
        columns = [(say("rig"), False), (say("platform"), False), (say("wins"), True), (say("share"), True)]
        columns += [(say("cost CNY"), True), (say("W each"), True), (say("batch"), True)]
        table = _table(say("which rig wins"), [*columns, *([(say("at budgets"), True)] if budgets else [])])
        for each in winners[:MOST_ROWS]:
            cells = [
                f"{each['card_count']}x {each['card_id']}",
                each["platform_id"],
                f"{each['wins']:,}",
                f"{each['share']:.1%}",
                _between(each["cost_cny"], money),
                _between(each["power_limit_w"], str),
                _between(each["total_batch"], str),
            ]
            if budgets:
                cells.append(_between(each["budget_cny"], money) if each["budget_cny"] else "")
            table.add_row(*cells)
        console.print(table)
        if len(winners) > MOST_ROWS:
            console.print(say("... and {count} more rigs", count=len(winners) - MOST_ROWS))
        spread = _table(say("spread over all plans"), [("", False), *((say(n), True) for n in _QUANTILES.values())])
        shown: dict[str, tuple[str, Callable[[float], str]]] = {
            "cost_cny": (say("cost CNY"), money),
            "total_batch": (say("batch"), number),
            "epoch_hours": (say("epoch"), duration),
        }
        for name, (label, form) in shown.items():
            values = summary["spread"][name]
            spread.add_row(label, *(form(values[q]) for q in _QUANTILES))
        console.print(spread)
        stable = summary["stability"]
        console.print(
            say_many(
                "stability: the most frequent rig wins {share:.1%} of the time, {count} rig wins somewhere, "
                "{changes:,} changes of rig along the file",
                "stability: the most frequent rig wins {share:.1%} of the time, {count} rigs win somewhere, "
                "{changes:,} changes of rig along the file",
                stable["rigs"],
                share=stable["most_frequent_share"],
                changes=stable["changes_along_the_file"],
            )
        )
    expected = summary["expectations"]
    if expected["checked"]:
        held = expected["checked"] - expected["broken"]
        style = "bold red" if expected["broken"] else "bold green"
        told = say(
            "expectations: {held:,} of {checked:,} scenarios as expected", held=held, checked=expected["checked"]
        )
        console.print(Prose(told, style=style))
        for each in expected["first"]:
            console.print(Prose(f"  {each['name']}: {each['broken']}"))
    for each in summary["failed"]:
        told = say("failed: {name}: {error}", name=each["name"], error=each["error"])
        console.print(Prose(told, style="red"))


_QUANTILES = {
    "min": message("min"),
    "p5": message("p5"),
    "median": message("median"),
    "p95": message("p95"),
    "max": message("max"),
}


def _between(values: Any, form: Any) -> str:
    low, high = (form(value) for value in values)
    return low if low == high else say("{low} to {high}", low=low, high=high)


def print_matrix(matrix: Matrix, console: Console) -> None:
    """A sweep along two axes."""
    rows, columns = MOST_MATRIX
    if len(matrix.rows) > rows or len(matrix.columns) > columns:
        console.print(
            say(
                "{sweep}: a matrix of {rows} x {columns}, too large for the terminal; write it with -o FILE.xlsx",
                sweep=matrix.sweep,
                rows=len(matrix.rows),
                columns=len(matrix.columns),
            )
        )
        return
    title = say(
        "{sweep}: {column} by {down} (down) and {across} (across)",
        sweep=matrix.sweep,
        column=say("rig") if matrix.column == RIG else matrix.column,
        down=matrix.down,
        across=matrix.across,
    )
    table = _table(title, [(matrix.down, True), *((_plain(value), True) for value in matrix.columns)])
    for label, cells in zip(matrix.rows, matrix.cells, strict=True):
        table.add_row(_plain(label), *(_cell(cell) for cell in cells))
    console.print(table)


def _cell(value: Any) -> str:
    return state_words(value) if value in NO_PLAN else _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def print_runs(runs: Iterable[tuple[Run, str, Counts]], console: Console) -> None:
    """One line a run: (run, state, counts)."""
    columns = ((say("run"), False), (say("file"), False), (say("state"), False), (say("done"), True))
    table = _table(
        "", (*columns, (say("failed"), True), (say("started (UTC)"), False), (say(message_as("person", "by")), False))
    )
    for run, state, counts in runs:
        table.add_row(
            run.run_id,
            Prose(run.input_name),
            state_words(state),
            say("{done:,} of {total:,}", done=counts.done, total=run.total),
            f"{counts.failed:,}",
            run.created_at[:19].replace("T", " "),
            Prose(run.requested_by),
        )
    console.print(table)


def print_row(row: Mapping[str, Any], console: Console) -> None:
    """Everything stored of one scenario."""
    console.print(Prose(f"{row['name']}: {rig(row)}", style="bold"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for path, value in json.loads(row["changes"]).items():
        table.add_row(say("set {path}", path=path), _plain(value))
    for name, words in _STORED.items():
        if row[name]:
            table.add_row(say(words), Prose(say(_STORED_VALUES.get(str(row[name]), str(row[name])))))
    if row["answer"]:
        for name, value in flat(json.loads(row["answer"])).items():
            if value not in (None, "") and name not in ("status", "order"):
                table.add_row(name, _plain(value))
    console.print(table)


_STORED = {
    "status": message("status"),
    "answered_by": message("answered_by"),
    "error": message("error"),
    "expectation": message("expectation"),
    "broken": message("broken"),
    "finished_at": message("finished_at"),
}
"""What is stored of every scenario beside its figures, whose columns keep their names."""
_STORED_VALUES = {**STATE_WORDS, "holds": message("holds"), "broken": message("broken")}


def print_changes(changes: Iterable[Change], console: Console) -> bool:
    """What differs in the base question; whether anything did."""
    columns = ((say("what"), False), (say("first run"), True), (say("second run"), True))
    table = _table(say("what was asked"), columns)
    for change in changes:
        table.add_row(Prose(_what(change)), Prose(_side(change.before)), Prose(_side(change.after)))
    if not table.rows:
        console.print(say("the base question, the prices and the versions are the same"))
        return False
    console.print(table)
    return True


_SIDES = {
    "there": message("there"),
    "facts": message("facts"),
    "other facts": message("other facts"),
    "another set of offers": message("another set of offers"),
    "at the same lowest price": message("at the same lowest price"),
    "stored": message("stored"),
    "differs in detail": message("differs in detail"),
    **STATE_WORDS,
}
"""What a comparison says in place of a value (solver.sweep.compare)."""


def _side(value: Any) -> str:
    if isinstance(value, str):
        return say(_SIDES.get(value, "")) or value
    return "-" if value is None else _plain(value) if not isinstance(value, (dict, list)) else json.dumps(value)


def diff_line(diff: ScenarioDiff) -> str:
    """One line a scenario: 'at 100k: card_count 2 -> 3, cost_cny 80000 -> 100000 (prices.rtx-a6000 27500 -> 25000)'."""
    answer = listed(_told(change) for change in diff.answer) or say("the same answer")
    question = listed(_told(change) for change in diff.question)
    if question:
        return say("{name}: {answer} ({question})", name=diff.name, answer=answer, question=question)
    return say("{name}: {answer}", name=diff.name, answer=answer)


def _what(change: Change) -> str:
    return say("scenario") if change.what == "scenario" else change.what


def _told(change: Change) -> str:
    return say("{what} {before} -> {after}", what=_what(change), before=_side(change.before), after=_side(change.after))


def progress_line(progress: Progress) -> str:
    """'1,234 of 10,000 (12 %), 2 failed, 850/s, 10 s left, best so far 4x rtx-a6000 (batch 24, 135,000 CNY)'."""
    share = progress.done / max(progress.total, 1)
    parts = [say("{done:,} of {total:,} ({share:.0%})", done=progress.done, total=progress.total, share=share)]
    if progress.failed:
        parts.append(say("{count:,} failed", count=progress.failed))
    parts.append(f"{progress.rate:,.0f}/s")
    if progress.left_s is not None and progress.done < progress.total:
        parts.append(say("{time} left", time=_time(progress.left_s)))
    if progress.best is not None:
        parts.append(say("best so far {rig}", rig=_best(progress.best)))
    return listed(parts)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _best(row: Row) -> str:
    rig = f"{row.card_count}x {row.card_id}"
    if row.cost_fen is None:
        return say("{rig} (batch {batch})", rig=rig, batch=row.total_batch)
    return say("{rig} (batch {batch}, {cost})", rig=rig, batch=row.total_batch, cost=yuan(row.cost_fen / 100))
