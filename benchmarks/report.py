"""What a bench hands back: rows of timings and aims, printed as a table and kept as raw figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Aim, Timing, shown


@dataclass(frozen=True)
class Row:
    """One contender on one case, with figures derived in the same run."""

    case: str
    contender: str
    timing: Timing
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """A contender's times as its question grows: (size, median ms, whether that is a lower bound) of each size."""

    name: str
    points: Sequence[tuple[float, float, bool]]

    @property
    def exponent(self) -> float | None:
        """The slope of log time over log size, by least squares over what was not stopped; None below three sizes."""
        known = [(math.log(size), math.log(ms)) for size, ms, at_least in self.points if not at_least]
        if len(known) < 3:
            return None
        mean_x, mean_y = (sum(column) / len(known) for column in zip(*known, strict=True))
        return float(sum((x - mean_x) * (y - mean_y) for x, y in known) / sum((x - mean_x) ** 2 for x, _ in known))


@dataclass(frozen=True)
class Chart:
    """A growth curve of the page: both axes logarithmic."""

    name: str
    title: str
    size: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Table:
    """Figures that are not times: a head and rows of cells, the first column text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Report:
    """The outcome of one bench."""

    title: str
    rows: list[Row] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences under the table: what was asked, what a contender said, what the figures leave out."""

    def text(self) -> str:
        """The table and the verdicts, for people."""
        head = ("case", "contender", "median ms", "least", "most", "cpu ms", "repeats", "")
        body = [
            (
                row.case,
                row.contender,
                ("> " if row.timing.at_least else "") + shown(row.timing.median),
                shown(row.timing.low),
                shown(row.timing.high),
                shown(row.timing.cpu),
                str(len(row.timing.ms)),
                ", ".join(f"{name} {_figure(value)}" for name, value in row.figures.items()),
            )
            for row in self.rows
        ]
        lines = _columns((head, *body), right=range(2, 7)) if body else []
        for table in self.tables:
            lines += ["", table.title, *_columns((table.head, *table.rows), right=range(1, len(table.head)))]
        said = [*self.notes, *(_exponents(chart) for chart in self.charts), *map(str, self.aims)]
        return "\n".join([f"## {self.title}", "", *lines, "", *(f"- {each}" for each in said)])

    def raw(self) -> dict[str, Any]:
        """Every single repeat, for the dated JSON."""
        return {
            "title": self.title,
            "rows": [
                {
                    "case": r.case,
                    "contender": r.contender,
                    "ms": [round(ms, 4) for ms in r.timing.ms],
                    "cpu_ms": [round(ms, 4) for ms in r.timing.cpu_ms],
                    "at_least": r.timing.at_least,
                    "figures": r.figures,
                }
                for r in self.rows
            ],
            "aims": [
                {
                    "what": a.what,
                    "figure": a.figure,
                    "at_most": a.at_most,
                    "unit": a.unit,
                    "verdict": a.verdict,
                    "reason": a.reason,
                }
                for a in self.aims
            ],
            "charts": [
                {
                    "name": c.name,
                    "title": c.title,
                    "size": c.size,
                    "series": [{"name": s.name, "points": s.points, "exponent": s.exponent} for s in c.series],
                }
                for c in self.charts
            ],
            "tables": [{"title": t.title, "head": t.head, "rows": t.rows} for t in self.tables],
            "notes": self.notes,
        }


def _columns(rows: Sequence[Sequence[str]], right: range) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _exponents(chart: Chart) -> str:
    known = [(s.name, s.exponent) for s in chart.series if s.exponent is not None]
    return f"{chart.title}, growth exponents: {', '.join(f'{name} {each:.2f}' for name, each in known)}"


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{shown(value)}x"
