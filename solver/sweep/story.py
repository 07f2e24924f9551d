"""A run as reports tell it: its summary, sweeps as maps of which rig wins where, and how figures are distributed.

Read off the store row by row; a story of a million scenarios takes as much memory as its maps. Modify this module when
a report should tell something more of a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from solver.sweep.file import ScenarioFile, Sweep
from solver.sweep.store import Counts, Run, Store
from solver.sweep.summary import MOST_CELLS, RIG, SPREAD, Matrix, matrices, summary_of

MOST_SINGLE_VALUES = 16
"""A figure that takes no more values than this is counted value by value, others in `BINS` bins of equal width."""
BINS = 24


@dataclass(frozen=True)
class Bin:
    """How many plans have the figure in low..high: both ends in the last bin, the high one in the next otherwise."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Distribution:
    """How a figure of the plans (`cost_cny`, `total_batch`, `epoch_hours`) is distributed over the scenarios."""

    name: str
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class RunStory:
    """All that a report of a run tells. `maps`: sweeps along two axes; `strips`: along one, as maps of one row."""

    run: Run
    counts: Counts
    summary: dict[str, Any]
    maps: tuple[Matrix, ...]
    strips: tuple[Matrix, ...]
    distributions: tuple[Distribution, ...]


def story_of(store: Store, run: Run, file: ScenarioFile) -> RunStory:
    """Read the story of a run; `file` is its scenario file."""
    return RunStory(
        run=run,
        counts=store.counts(run),
        summary=summary_of(store, run),
        maps=tuple(matrices(store, run, file, RIG)),
        strips=tuple(_strips(store, run, file)),
        distributions=tuple(
            found
            for name, column, scale in SPREAD
            if (found := distribution(store, run, name, column, scale)) is not None
        ),
    )


def distribution(store: Store, run: Run, name: str, column: str, scale: int) -> Distribution | None:
    """The distribution of a column (its values divided by `scale`); None where no scenario has a plan."""
    where = f"FROM result WHERE run = ? AND {column} IS NOT NULL"
    values = store.query(
        f"SELECT {column}, count(*) {where} GROUP BY {column} ORDER BY {column} LIMIT {MOST_SINGLE_VALUES + 1}",
        (run.number,),
    )
    if not values:
        return None
    if len(values) <= MOST_SINGLE_VALUES:
        return Distribution(name, tuple(Bin(value / scale, value / scale, count) for value, count in values))
    low, high = store.query(f"SELECT min({column}), max({column}) {where}", (run.number,))[0]
    step = (high - low) / BINS
    counted = dict(
        store.query(
            f"SELECT min(CAST(({column} - ?) / ? AS INTEGER), ?) AS bin, count(*) {where} GROUP BY bin",
            (low, step, BINS - 1, run.number),
        )
    )
    edges = [low + step * i for i in range(BINS)] + [high]
    return Distribution(
        name,
        tuple(Bin(edges[i] / scale, edges[i + 1] / scale, counted.get(i, 0)) for i in range(BINS)),
    )


def _strips(store: Store, run: Run, file: ScenarioFile) -> list[Matrix]:
    found = []
    first = len(file.entries) + 1
    for sweep in file.sweeps:
        if len(sweep.grid) == 1 and not sweep.zipped and not sweep.draws and 2 <= len(sweep) <= MOST_CELLS:
            found.append(_strip(store, run, sweep, first))
        first += len(sweep)
    return found


def _strip(store: Store, run: Run, sweep: Sweep, first: int) -> Matrix:
    ((across, values),) = sweep.grid
    cells: list[Any] = [None] * len(values)
    for row in store.results(run, "position BETWEEN ? AND ?", (first, first + len(sweep) - 1)):
        name = f"{row['card_count']}x {row['card_id']}" if row["card_id"] is not None else row["status"]
        cells[row["position"] - first] = name
    columns = tuple(values[i] for i in range(len(values)))
    return Matrix(sweep.entry.name, "", across, RIG, ("",), columns, (tuple(cells),))
