"""What a run says as a whole: how often each rig wins and over which budgets, the spread of cost, batch and epoch,
how stable the answer is; and a sweep along two axes as a matrix.

Everything is read off the store row by row or by SQL, so a summary of a million scenarios takes no more memory than
one of ten. Modify this module when a buyer should learn something more from a run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from solver.sweep.columns import flat
from solver.sweep.file import ScenarioFile, Sweep
from solver.sweep.store import Run, Store

SPREAD = (("cost_cny", "cost_fen", 100), ("total_batch", "total_batch", 1), ("epoch_hours", "epoch_hours", 1))
QUANTILES = (("min", 0.0), ("p5", 0.05), ("median", 0.5), ("p95", 0.95), ("max", 1.0))
_RIG = "card_id, card_count, platform_id"
_NAMED = 10
_BUDGET = "limits.budget_cny"


def summary_of(store: Store, run: Run) -> dict[str, Any]:
    """The summary as plain data: only what follows from the rows, so equal rows give equal summaries."""
    counts = dict(
        store.query("SELECT status, count(*) FROM result WHERE run = ? GROUP BY status ORDER BY status", (run.number,))
    )
    by = dict(
        store.query(
            "SELECT answered_by, count(*) FROM result WHERE run = ? AND answered_by <> '' GROUP BY 1 ORDER BY 1",
            (run.number,),
        )
    )
    winners = _winners(store, run)
    return {
        "scenarios": run.total,
        "done": sum(counts.values()),
        "by_status": counts,
        "answered_by": by,
        "winners": winners,
        "spread": {name: _spread(store, run, column, scale) for name, column, scale in SPREAD},
        "stability": _stability(store, run, winners),
        "expectations": _expectations(store, run),
        "failed": first_failed(store, run),
    }


def _winners(store: Store, run: Run) -> list[dict[str, Any]]:
    """Every rig that wins somewhere, most frequent first; the budgets are those at which it won, where they vary."""
    budget = "NULL"
    if _BUDGET in run.paths:  # where a scenario leaves it alone, it is the base question's
        held = (json.loads(run.question).get("limits") or {}).get("budget_cny")
        budget = (
            f"coalesce(json_extract(changes, '$.\"{_BUDGET}\"'), {held if isinstance(held, (int, float)) else 'NULL'})"
        )
    rows = store.query(
        f"SELECT {_RIG}, count(*), min(cost_fen), max(cost_fen), min(total_batch), max(total_batch), "
        "min(epoch_hours), max(epoch_hours), min(power_limit_w), max(power_limit_w), "
        f"min({budget}), max({budget}) "
        "FROM result WHERE run = ? AND card_id IS NOT NULL "
        f"GROUP BY {_RIG} ORDER BY count(*) DESC, {_RIG}",
        (run.number,),
    )
    total = sum(row[3] for row in rows)
    return [
        {
            "card_id": card,
            "card_count": count,
            "platform_id": platform,
            "wins": wins,
            "share": round(wins / total, 6),
            "cost_cny": [low / 100, high / 100],
            "total_batch": list(batch),
            "epoch_hours": list(epoch),
            "power_limit_w": list(watts),
            "budget_cny": None if budgets[0] is None else list(budgets),
        }
        for card, count, platform, wins, low, high, *rest in rows
        for batch, epoch, watts, budgets in [(rest[0:2], rest[2:4], rest[4:6], rest[6:8])]
    ]


def _spread(store: Store, run: Run, column: str, scale: int) -> dict[str, float] | None:
    """Quantiles over all plans (the value at the place rounded down, so always one that occurred), and the mean."""
    where = f"FROM result WHERE run = ? AND {column} IS NOT NULL"
    count, mean = store.query(f"SELECT count(*), avg({column}) {where}", (run.number,))[0]
    if not count:
        return None
    places = [int((count - 1) * share) for _, share in QUANTILES]
    found: dict[str, float] = {}
    for at, (value,) in enumerate(store.stream(f"SELECT {column} {where} ORDER BY {column}", (run.number,))):
        for (name, _), place in zip(QUANTILES, places, strict=True):
            if at == place:
                found[name] = value / scale if scale != 1 else value
    found["mean"] = round(mean / scale, 6)
    return found


def _stability(store: Store, run: Run, winners: list[dict[str, Any]]) -> dict[str, Any]:
    """How often the most frequent rig wins among the plans, and how often the rig changes from one to the next."""
    changes, last = 0, None
    for rig in store.stream(
        f"SELECT {_RIG} FROM result WHERE run = ? AND card_id IS NOT NULL ORDER BY position", (run.number,)
    ):
        changes += last is not None and rig != last
        last = rig
    return {
        "rigs": len(winners),
        "most_frequent_share": winners[0]["share"] if winners else None,
        "changes_along_the_file": changes,
    }


def _expectations(store: Store, run: Run) -> dict[str, Any]:
    checked, broken = store.query(
        "SELECT coalesce(sum(expectation <> ''), 0), coalesce(sum(expectation = 'broken'), 0) "
        "FROM result WHERE run = ?",
        (run.number,),
    )[0]
    first = store.query(
        "SELECT name, broken FROM result WHERE run = ? AND expectation = 'broken' ORDER BY position LIMIT ?",
        (run.number, _NAMED),
    )
    return {"checked": checked, "broken": broken, "first": [{"name": name, "broken": text} for name, text in first]}


def first_failed(store: Store, run: Run) -> list[dict[str, str]]:
    """Name and fault of the first scenarios that failed."""
    rows = store.query(
        "SELECT name, error FROM result WHERE run = ? AND status = 'failed' ORDER BY position LIMIT ?",
        (run.number, _NAMED),
    )
    return [{"name": name, "error": error} for name, error in rows]


@dataclass(frozen=True)
class Matrix:
    """A sweep along two axes: one path down, one across, one column of the results in each cell (None: no plan)."""

    sweep: str
    down: str
    across: str
    column: str
    rows: tuple[Any, ...]
    columns: tuple[Any, ...]
    cells: tuple[tuple[Any, ...], ...]


RIG = "rig"
"""Not a column but what a buyer looks for first: '4x rtx-a6000', and the power limit where it is below the TDP."""
MOST_CELLS = 10_000


def matrices(store: Store, run: Run, file: ScenarioFile, column: str = RIG) -> list[Matrix]:
    """A matrix for every sweep along two axes."""
    found = []
    first = len(file.entries) + 1
    for sweep in file.sweeps:
        if len(sweep.grid) == 2 and not sweep.zipped and not sweep.draws and len(sweep) <= MOST_CELLS:
            found.append(_matrix(store, run, sweep, first, column))
        first += len(sweep)
    return found


def _matrix(store: Store, run: Run, sweep: Sweep, first: int, column: str) -> Matrix:
    (down, rows), (across, columns) = sweep.grid
    cells: list[list[Any]] = [[None] * len(columns) for _ in range(len(rows))]
    for row in store.results(run, "position BETWEEN ? AND ?", (first, first + len(sweep) - 1)):
        at = row["position"] - first
        cells[at // len(columns)][at % len(columns)] = _cell(row, column)
    return Matrix(
        sweep.entry.name,
        down,
        across,
        column,
        tuple(rows[i] for i in range(len(rows))),
        tuple(columns[i] for i in range(len(columns))),
        tuple(tuple(line) for line in cells),
    )


def _cell(row: dict[str, Any], column: str) -> Any:
    if column == RIG:
        if row["card_id"] is None:
            return row["status"]
        limited = row["power_limit_w"] != json.loads(row["answer"])["plan"]["tdp_w"]
        return f"{row['card_count']}x {row['card_id']}" + (f" @{row['power_limit_w']} W" if limited else "")
    return flat(json.loads(row["answer"])).get(column) if row["answer"] else None
