"""Expansion: a file -> scenarios, one after the other, never all at once; names and order follow from the file alone.

Order: the scenarios written one by one, then each sweep; within a sweep `grid` (its last path turns fastest), then
`zip`, then the draws. Every grid point meets the same draws, so that differences between them are not chance. `set:`
comes first, factors last: they are taken of what holds then, a price as the cheapest offer of today. Modify this
module when scenarios are made in another way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.sweep.file import ALL_PRICES, Entry, ScenarioFile, Sweep
from solver.sweep.questions import Questions, today_price
from solver.sweep.scenario import FRONTIERS, Scenario
from solver.sweep.values import decimal_of, rounded

WORTH_A_FRONTIER = 8
"""From so many scenarios on, that share all but one limit, one exact staircase answers them."""
MOST_FRONTIERS = 256
"""More staircases than a worker keeps would be built again and again."""


def expand(file: ScenarioFile, questions: Questions, frontiers: bool = True) -> Iterator[Scenario]:
    """All scenarios of a file, in order.

    Args:
        file: the file.
        questions: the base question, for the values of today that factors and percentages are taken of.
        frontiers: False has every scenario solved by itself.
    """
    today = _Today(questions)
    limit = _limit_of_entries(file) if frontiers else ""
    position = 0
    for entry in file.entries:
        position += 1
        yield _scenario(position, entry.name, entry, entry.changes, today, limit if limit in entry.changes else "")
    for sweep in file.sweeps:
        limit = _limit_of_sweep(sweep) if frontiers else ""
        for name, changes in _points(sweep, today):
            position += 1
            if isinstance(changes, str):
                yield Scenario(position, name, {}, fault=f"{sweep.entry.where}: {changes}")
                continue
            yield _scenario(position, name, sweep.entry, changes, today, limit)


def checked(file: ScenarioFile, questions: Questions, first: int) -> Iterator[tuple[str, str]]:
    """(name, what is wrong or "") of the first scenarios: each is made into a question, none is solved."""
    for scenario in itertools.islice(expand(file, questions), first):
        fault = scenario.fault
        if not fault:
            try:
                questions.asked(scenario.changes)
            except InvalidProblem as error:
                fault = f"{scenario.where}: {error}"
        yield scenario.name, fault


def _scenario(
    position: int, name: str, entry: Entry, changes: Mapping[str, Any], today: _Today, frontier: str
) -> Scenario:
    if entry.fault:
        return Scenario(position, name, dict(changes), fault=f"{entry.where}: {entry.fault}")
    if entry.scale:
        try:
            changes = today.scaled(changes, entry.scale)
        except InvalidProblem as error:
            return Scenario(position, name, dict(changes), fault=f"{entry.where}: {error}")
    return Scenario(position, name, dict(changes), entry.expect, "", frontier, entry.where)


class _Today:
    """The values that hold before a factor or a percentage is applied."""

    def __init__(self, questions: Questions) -> None:
        self.questions = questions
        self._prices: dict[str, Decimal | None] = {}

    def value(self, path: str, changes: Mapping[str, Any]) -> Decimal | None:
        """The number at a path once the changes are made; None where there is none.

        Raises:
            InvalidProblem: it is no number.
        """
        if path in changes:
            return None if changes[path] is None else decimal_of(changes[path], path)
        part, _, rest = path.partition(".")
        if part == "prices":
            if rest not in self._prices:
                self._prices[rest] = today_price(self.questions.base.problem, rest)
            return self._prices[rest]
        base = self.questions.base
        if part == "workload":
            base = self.questions.base_of({p: v for p, v in changes.items() if p.partition(".")[0] == "workload"})
        found = getattr(getattr(base.problem, part), rest, None) if rest else None
        return None if found is None else decimal_of(found, path)

    def scaled(self, changes: Mapping[str, Any], factors: Mapping[str, Decimal]) -> dict[str, Any]:
        """The changes with the factors applied, each rounded half up to the unit of its field (prices: the fen)."""
        made = dict(changes)
        wanted = {path: factor for path, factor in factors.items() if path != ALL_PRICES}
        if ALL_PRICES in factors:
            for item in self.questions.base.problem.catalog.offers_by_item:
                wanted.setdefault(f"prices.{item}", factors[ALL_PRICES])
            for path in changes:
                if path.startswith("prices."):
                    wanted.setdefault(path, factors[ALL_PRICES])
        for path, factor in wanted.items():
            now = self.value(path, changes)
            if now is None:
                raise InvalidProblem.of(f"scale.{path}", None, say("has no value today to be scaled"))
            made[path] = rounded(path, now * factor)
        return made


def _points(sweep: Sweep, today: _Today) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(name, changes) of every point of a sweep; a text instead of changes says what is wrong."""
    fixed, labels = sweep.entry.changes, _labels(sweep)
    grid_paths = [path for path, _ in sweep.grid]
    zip_paths = [path for path, _ in sweep.zipped]
    zip_count = len(sweep.zipped[0][1]) if sweep.zipped else 1
    for point in itertools.product(*(_values(values) for _, values in sweep.grid)):
        for row in range(zip_count):
            changes = {**fixed, **dict(zip(grid_paths, point, strict=True))}
            changes.update({path: values[row] for path, values in sweep.zipped})
            parts = [f"{labels[path]}={_shown(changes[path])}" for path in (*grid_paths, *zip_paths)]
            if not sweep.draws:
                yield f"{sweep.entry.name}: {', '.join(parts)}", changes
                continue
            streams = [draw.stream(sweep.seed) for draw in sweep.draws]
            try:
                now = [today.value(d.path, changes) if d.relative else None for d in sweep.draws]
            except InvalidProblem as error:
                now, fault = [], str(error)
            for number in range(1, sweep.draw_count + 1):
                name = f"{sweep.entry.name}: {', '.join([*parts, f'draw={number}'])}"
                if not now:
                    yield name, fault
                    continue
                try:
                    drawn = {
                        d.path: d.value(stream, value)
                        for d, stream, value in zip(sweep.draws, streams, now, strict=True)
                    }
                except InvalidProblem as error:
                    yield name, str(error)
                    continue
                yield name, {**changes, **drawn}


def _values(values: Any) -> Iterator[Any]:
    for index in range(len(values)):
        yield values[index]


def _labels(sweep: Sweep) -> dict[str, str]:
    """The last part of each path, or the whole where two have the same."""
    paths = [path for path, _ in (*sweep.grid, *sweep.zipped)]
    last = {path: path.partition(".")[2] or path for path in paths}
    return {path: short if list(last.values()).count(short) == 1 else path for path, short in last.items()}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(str(each) for each in value) or "none"
    return "none" if value is None else str(value)


def _limit_of_sweep(sweep: Sweep) -> str:
    """The path of the limit along which a staircase answers the sweep; "" where none is worth it."""
    if sweep.draws and not (len(sweep.draws) == 1 and not sweep.grid and not sweep.zipped):
        return ""
    counts = {path: len(values) for path, values in sweep.grid}
    counts.update({draw.path: sweep.draw_count for draw in sweep.draws})
    best = max((path for path in counts if path in FRONTIERS), key=lambda path: counts[path], default="")
    if not best or best in sweep.entry.scale or counts[best] < WORTH_A_FRONTIER:
        return ""
    return best if len(sweep) // counts[best] <= MOST_FRONTIERS else ""


def _limit_of_entries(file: ScenarioFile) -> str:
    """The same for the lines of a table: the limit that leaves the fewest different rests."""
    if not file.is_table:
        return ""
    best, fewest = "", MOST_FRONTIERS + 1
    for path in FRONTIERS:
        mine = [entry for entry in file.entries if path in entry.changes and not entry.fault]
        if len(mine) < WORTH_A_FRONTIER or any(path in entry.scale or ALL_PRICES in entry.scale for entry in mine):
            continue
        rests = set()
        for entry in mine:
            rests.add(repr([(p, v) for p, v in entry.changes.items() if p != path]) + repr(entry.scale))
            if len(rests) >= fewest:
                break
        if len(rests) < fewest and len(mine) >= WORTH_A_FRONTIER * len(rests):
            best, fewest = path, len(rests)
    return best
