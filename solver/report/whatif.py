"""Runs of what-if scenarios in the terminal (Rich): the rows, the summary, matrices, differences, progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from solver.report.wording import duration, money, number
from solver.sweep.columns import flat
from solver.sweep.compare import Change, ScenarioDiff
from solver.sweep.run import Progress
from solver.sweep.scenario import Row
from solver.sweep.store import Counts, Run
from solver.sweep.summary import Matrix

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
        return {"infeasible": "no rig fits"}.get(row["status"], str(row["status"]))
    return f"{row['card_count']}x {row['card_id']}"


def print_rows(rows: list[dict[str, Any]], total: int, console: Console) -> None:
    """The first rows of a run, and how many more there are."""
    table = _table("", (("scenario", False), ("rig", False), ("W each", True), ("cost CNY", True)))
    for name in ("batch", "epoch"):
        table.add_column(name, justify="right")
    table.add_column("status")
    for row in rows:
        has_plan = row["card_id"] is not None
        status = row["status"] + (", expectation broken" if row["expectation"] == "broken" else "")
        table.add_row(
            Text(row["name"]),
            rig(row),
            str(row["power_limit_w"]) if has_plan else "",
            money(row["cost_fen"] / 100) if has_plan else "",
            str(row["total_batch"]) if has_plan else "",
            duration(row["epoch_hours"]) if has_plan else "",
            Text(status, style="" if status == "optimal" else "yellow"),
        )
    console.print(table)
    if total > len(rows):
        console.print(f"... and {total - len(rows):,} more; write them all with -o FILE.csv, .jsonl, .parquet or .xlsx")


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """How often each rig wins, the spread, how stable the answer is, what failed and what was not as expected."""
    states = ", ".join(f"{count:,} {status}" for status, count in summary["by_status"].items())
    by = summary["answered_by"].get("frontier", 0)
    from_frontier = f"; {by:,} of them read off an exact frontier" if by else ""
    console.print(
        Text(f"{summary['done']:,} of {summary['scenarios']:,} scenarios: {states}{from_frontier}", style="bold")
    )
    winners = summary["winners"]
    if winners:
        budgets = any(each["budget_cny"] for each in winners)
        columns = [("rig", False), ("platform", False), ("wins", True), ("share", True), ("cost CNY", True)]
        columns += [("W each", True), ("batch", True)]
        table = _table("which rig wins", [*columns, *([("at budgets", True)] if budgets else [])])
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
            console.print(f"... and {len(winners) - MOST_ROWS} more rigs")
        spread = _table("spread over all plans", [("", False), *((n, True) for n in _QUANTILES)])
        shown: dict[str, tuple[str, Callable[[float], str]]] = {
            "cost_cny": ("cost CNY", money),
            "total_batch": ("batch", number),
            "epoch_hours": ("epoch", duration),
        }
        for name, (label, form) in shown.items():
            values = summary["spread"][name]
            spread.add_row(label, *(form(values[q]) for q in _QUANTILES))
        console.print(spread)
        stable = summary["stability"]
        console.print(
            f"stability: the most frequent rig wins {stable['most_frequent_share']:.1%} of the time, "
            f"{stable['rigs']} rig{'s' if stable['rigs'] != 1 else ''} win somewhere, "
            f"{stable['changes_along_the_file']:,} changes of rig along the file"
        )
    expected = summary["expectations"]
    if expected["checked"]:
        held = expected["checked"] - expected["broken"]
        style = "bold red" if expected["broken"] else "bold green"
        console.print(Text(f"expectations: {held:,} of {expected['checked']:,} scenarios as expected", style=style))
        for each in expected["first"]:
            console.print(Text(f"  {each['name']}: {each['broken']}"))
    for each in summary["failed"]:
        console.print(Text("failed: ", style="red") + Text(f"{each['name']}: {each['error']}"))


_QUANTILES = ("min", "p5", "median", "p95", "max")


def _between(values: Any, form: Any) -> str:
    low, high = (form(value) for value in values)
    return low if low == high else f"{low} to {high}"


def print_matrix(matrix: Matrix, console: Console) -> None:
    """A sweep along two axes."""
    rows, columns = MOST_MATRIX
    if len(matrix.rows) > rows or len(matrix.columns) > columns:
        console.print(
            f"{matrix.sweep}: a matrix of {len(matrix.rows)} x {len(matrix.columns)}, too large for the terminal; "
            "write it with -o FILE.xlsx"
        )
        return
    title = f"{matrix.sweep}: {matrix.column} by {matrix.down} (down) and {matrix.across} (across)"
    table = _table(title, [(matrix.down, True), *((_plain(value), True) for value in matrix.columns)])
    for label, cells in zip(matrix.rows, matrix.cells, strict=True):
        table.add_row(_plain(label), *(_plain(cell) for cell in cells))
    console.print(table)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def print_runs(runs: Iterable[tuple[Run, str, Counts]], console: Console) -> None:
    """One line a run: (run, state, counts)."""
    table = _table("", (("run", False), ("file", False), ("state", False), ("done", True), ("failed", True)))
    table.add_column("started (UTC)")
    table.add_column("by")
    for run, state, counts in runs:
        table.add_row(
            run.run_id,
            Text(run.input_name),
            state,
            f"{counts.done:,} of {run.total:,}",
            f"{counts.failed:,}",
            run.created_at[:19].replace("T", " "),
            Text(run.requested_by),
        )
    console.print(table)


def print_row(row: Mapping[str, Any], console: Console) -> None:
    """Everything stored of one scenario."""
    console.print(Text(f"{row['name']}: {rig(row)}", style="bold"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for path, value in json.loads(row["changes"]).items():
        table.add_row(f"set {path}", _plain(value))
    for name in ("status", "answered_by", "error", "expectation", "broken", "finished_at"):
        if row[name]:
            table.add_row(name, Text(str(row[name])))
    if row["answer"]:
        for name, value in flat(json.loads(row["answer"])).items():
            if value not in (None, "") and name not in ("status", "order"):
                table.add_row(name, _plain(value))
    console.print(table)


def print_changes(changes: Iterable[Change], console: Console) -> bool:
    """What differs in the base question; whether anything did."""
    table = _table("what was asked", (("what", False), ("first run", True), ("second run", True)))
    for change in changes:
        table.add_row(Text(change.what), _side(change.before), _side(change.after))
    if not table.rows:
        console.print("the base question, the prices and the versions are the same")
        return False
    console.print(table)
    return True


def _side(value: Any) -> Text:
    return Text("-" if value is None else _plain(value) if not isinstance(value, (dict, list)) else json.dumps(value))


def diff_line(diff: ScenarioDiff) -> str:
    """One line a scenario: 'at 100k: card_count 2 -> 3, cost_cny 80000 -> 100000 (prices.rtx-a6000 27500 -> 25000)'."""
    answer = ", ".join(_told(change) for change in diff.answer) or "the same answer"
    question = ", ".join(_told(change) for change in diff.question)
    return f"{diff.name}: {answer}" + (f" ({question})" if question else "")


def _told(change: Change) -> str:
    return f"{change.what} {_side(change.before)} -> {_side(change.after)}"


def progress_line(progress: Progress) -> str:
    """'1,234 of 10,000 (12 %), 2 failed, 850/s, 10 s left, best so far 4x rtx-a6000 (batch 24, 135,000 CNY)'."""
    share = progress.done / max(progress.total, 1)
    parts = [f"{progress.done:,} of {progress.total:,} ({share:.0%})"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    parts.append(f"{progress.rate:,.0f}/s")
    if progress.left_s is not None and progress.done < progress.total:
        parts.append(f"{_time(progress.left_s)} left")
    if progress.best is not None:
        parts.append(f"best so far {_best(progress.best)}")
    return ", ".join(parts)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _best(row: Row) -> str:
    cost = "" if row.cost_fen is None else f", {money(row.cost_fen / 100)} CNY"
    return f"{row.card_count}x {row.card_id} (batch {row.total_batch}{cost})"
