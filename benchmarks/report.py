"""What a bench hands back: rows of timings and aims, printed as a table and kept as raw figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Aim, Timing, shown


@dataclass(frozen=True)
class Row:
    """One contender on one case, with figures derived in the same run."""

    case: str
    contender: str
    timing: Timing
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Report:
    """The outcome of one bench."""

    title: str
    rows: list[Row] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)

    def text(self) -> str:
        """The table and the verdicts, for people."""
        head = ("case", "contender", "median ms", "least", "most", "cpu ms", "repeats", "")
        body = [
            (
                row.case,
                row.contender,
                shown(row.timing.median),
                shown(row.timing.low),
                shown(row.timing.high),
                shown(row.timing.cpu),
                str(len(row.timing.ms)),
                ", ".join(f"{name} {_figure(value)}" for name, value in row.figures.items()),
            )
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
        lines = [
            "  ".join(cell.rjust(w) if 2 <= i <= 6 else cell.ljust(w) for i, (cell, w) in enumerate(pairs)).rstrip()
            for pairs in ([*zip(line, widths, strict=True)] for line in (head, *body))
        ]
        return "\n".join([f"## {self.title}", "", *lines, "", *(f"- {aim}" for aim in self.aims)])

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
                    **r.figures,
                }
                for r in self.rows
            ],
            "aims": [
                {"what": a.what, "figure": a.figure, "at_most": a.at_most, "unit": a.unit, "verdict": a.verdict}
                for a in self.aims
            ],
        }


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{shown(value)}x"
