"""What a calibration found, for people: the fitted figures, what each row is off by, and what could not be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from solver.domain.base import End
from solver.domain.language import say, say_many
from solver.domain.physics import paces
from solver.domain.workload import Workload
from solver.estimate.measured import Part
from solver.report.json_form import SCHEMA_VERSION
from solver.report.prose import Prose
from solver.report.wording import number

_TIMES = {"fixed_s": "fixed_ms", "optimizer_s": "optimizer_ms", "per_sample_s": "per_sample_ms"}
_MOST_ROWS = 40


def ends_of(work: Workload, name: str) -> tuple[float, float, float]:
    """Low, expected and high value of a figure, also of times whose ends come from measured steps."""
    expected = float(work.figure(name))
    if name not in _TIMES:
        return float(work.figure(name, "low")), expected, float(work.figure(name, "high"))

    def ends(end: End) -> list[float]:
        return [getattr(pace, _TIMES[name]) / 1000 for pace in paces(work, end)]

    return min(*ends("low"), expected), expected, max(*ends("high"), expected)


def told(part: Part) -> list[str]:
    """What is to be said of one kind of measurement, line by line."""
    lines = [f"{part.kind}: {note}" for note in part.notes]
    off = [residual for residual in part.residuals if residual.outlier]
    if off:
        places = ", ".join(residual.place for residual in off[:5])
        lines.append(
            part.kind
            + ": "
            + say_many(
                "{count} outlier, kept in the fit: {places}; put 'no' into its column use to leave it out",
                "{count} outliers, kept in the fit: {places}; put 'no' into their column use to leave them out",
                len(off),
                places=places,
            )
        )
    return lines


def calibration_object(parts: Sequence[Part], work: Workload) -> dict[str, Any]:
    """The JSON object of `workload calibrate`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "workload": work.model_dump(mode="json"),
        "fits": [
            {
                "kind": part.kind,
                "unit": part.unit,
                "figures": {
                    name: dict(zip(("low", "expected", "high"), ends_of(work, name), strict=True))
                    for name in part.figures
                },
                "freedom": part.freedom,
                "residuals": [
                    {"row": r.place, "measured": r.measured, "fitted": r.fitted, "outlier": r.outlier}
                    for r in part.residuals
                ],
                "notes": part.notes,
            }
            for part in parts
        ],
    }


def print_calibration(parts: Sequence[Part], work: Workload, console: Console) -> None:
    """The fitted figures with their intervals, the rows with their residuals, and all notes."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(say("fitted"), no_wrap=True)
    for name in (say("low"), say("expected"), say("high"), say("rows"), say("rows beyond unknowns")):
        table.add_column(name, justify="right")
    for part in parts:
        for name in part.figures:
            ends = (number(value, 3) for value in ends_of(work, name))
            table.add_row(name, *ends, str(len(part.residuals)), str(part.freedom))
    console.print(table)
    rows = [(part, residual) for part in parts for residual in part.residuals]
    if rows:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column(say("row"), no_wrap=True)
        for name in (say("measured"), say("fitted"), say("off by")):
            table.add_column(name, justify="right")
        table.add_column(say("unit"))
        table.add_column("")
        rows.sort(key=lambda pair: (not pair[1].outlier, -abs(pair[1].measured - pair[1].fitted)))
        for part, residual in rows[:_MOST_ROWS]:
            off = residual.measured - residual.fitted
            cells = (
                residual.place,
                number(residual.measured, 3),
                number(residual.fitted, 3),
                f"{off:+,.3f}",
                part.unit,
            )
            table.add_row(*(Prose(cell) for cell in cells), Prose(say("outlier") if residual.outlier else ""))
        console.print(table)
        if len(rows) > _MOST_ROWS:
            console.print(Prose(say("and {count} more rows, which are off by less", count=len(rows) - _MOST_ROWS)))
    for part in parts:
        for line in told(part):
            console.print(Prose(say("note: {line}", line=line)))
