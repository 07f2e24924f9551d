"""What a scenario file says: scenarios one by one, and sweeps, which stand for many. Nothing is expanded yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from solver.catalog.reading import Mapping as Lines
from solver.catalog.reading import line_at
from solver.domain.errors import InvalidProblem, Violation
from solver.sweep.draws import Draw
from solver.sweep.values import Range

ALL_PRICES = "prices"
"""A path of `scale` and of nothing else: every price there is."""
Axis = tuple[str, list[Any] | Range]
"""A path and its values."""


@dataclass(frozen=True)
class Entry:
    """One scenario as it is written, with its line; `fault` says what is wrong with it."""

    name: str
    where: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    scale: Mapping[str, Decimal] = field(default_factory=dict)
    expect: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Sweep:
    """One sweep as it is written: what every scenario of it has, and along which axes they differ."""

    entry: Entry
    grid: tuple[Axis, ...] = ()
    zipped: tuple[Axis, ...] = ()
    draws: tuple[Draw, ...] = ()
    draw_count: int = 1
    seed: str = ""

    @property
    def paths(self) -> list[str]:
        """All paths that differ within it, in order."""
        return [path for path, _ in (*self.grid, *self.zipped)] + [draw.path for draw in self.draws]

    def __len__(self) -> int:
        """How many scenarios it has."""
        total = self.draw_count if self.draws else 1
        for _, values in self.grid:
            total *= len(values)
        return total * len(self.zipped[0][1]) if self.zipped else total


@dataclass(frozen=True)
class ScenarioFile:
    """A file of scenarios: the base question, what is written one by one, what is swept, in this order."""

    name: str
    form: str
    question: Mapping[str, Any]
    entries: tuple[Entry, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    is_table: bool = False
    base_places: tuple[tuple[str, Lines], ...] = ()
    """The texts the base question comes from, the one that has the last word first: file name, and lines."""

    def located(self, error: InvalidProblem) -> InvalidProblem:
        """A fault of the base question with its file and line, where one of its texts has that path."""
        faults = []
        for fault in error.violations:
            path = fault.field.split(".")
            for name, document in self.base_places:
                if path[0] in document:
                    faults.append(
                        Violation(f"{name}:{line_at(document, path)}: {fault.field}", fault.value, fault.allowed)
                    )
                    break
            else:
                faults.append(fault)
        return type(error)(faults)

    @property
    def total(self) -> int:
        """How many scenarios it stands for."""
        return len(self.entries) + sum(len(sweep) for sweep in self.sweeps)

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that any scenario changes, in the order of the file."""
        found: dict[str, None] = {}
        for entry in self.entries:
            found.update(dict.fromkeys((*entry.changes, *(p for p in entry.scale if p != ALL_PRICES))))
        for sweep in self.sweeps:
            scaled = (p for p in sweep.entry.scale if p != ALL_PRICES)
            found.update(dict.fromkeys((*sweep.entry.changes, *sweep.paths, *scaled)))
        return tuple(found)
