"""Logs of measured steps: a table (CSV or XLSX) -> rows for a calibration.

Modify this module when a log has another column; what is made of the rows is estimate/calibrate.py's matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from solver.catalog.cells import text
from solver.catalog.reading import read_file
from solver.catalog.tables import Bounds, Cell, tables_in
from solver.domain.errors import InvalidProblem, Violation, nearest, shown
from solver.domain.language import say
from solver.estimate.measured import Row

BOUNDS = Bounds(rows=5000, unpacked_bytes=24 * 2**20, tags=500_000, decimals=6)
COLUMNS = {
    "micro_batch": "micro_batch",
    "accumulation": "accumulation",
    "gradient_accumulation": "accumulation",
    "gpus": "cards",
    "cards": "cards",
    "seconds": "seconds",
    "gpu_mib": "gpu_mib",
    "host_gb": "host_gb",
    "card": "card",
    "use": "used",
    "source": "source",
}
"""Column of a log -> field of a row."""
_WHOLE = {"micro_batch": 100_000, "accumulation": 10_000, "cards": 64}
_MEASURED = {"seconds": Decimal(10**7), "gpu_mib": Decimal(10**7), "host_gb": Decimal(10**6)}
_USES = ("fit", "range", "no")


def read_steps(path: Path) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows of a log, and the columns that were not read.

    Raises:
        InvalidProblem: not a table, no known column, or cells that are no numbers; all faults, each with its line.
    """
    sheets = [s for s in tables_in(read_file(path), path.name, _is_header, BOUNDS) if not s.hidden]
    for sheet in sheets:
        head = next((index for index, (_, row) in enumerate(sheet.rows) if _is_header(row)), None)
        if head is None:
            continue
        return _rows(sheet.name, sheet.rows[head][1], sheet.rows[head + 1 :])
    first = next((row for sheet in sheets for _, row in sheet.rows), ())
    close = "".join(nearest(str(cell), COLUMNS) for cell in first[:1])
    allowed = say("no row names the columns: seconds, gpu_mib or host_gb, beside {known}", known=", ".join(COLUMNS))
    raise InvalidProblem.of(path.name, None, allowed + close)


def _is_header(row: Sequence[Cell]) -> bool:
    return any(cell in _MEASURED for cell in map(_column, row))


def _column(cell: Cell) -> str:
    return str(cell).strip().lower().replace(" ", "_")


def _rows(
    name: str, header: Sequence[Cell], body: Sequence[tuple[int, Sequence[Cell]]]
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    names = [_column(cell) for cell in header]
    known = [COLUMNS[column] for column in names if column in COLUMNS]
    twice = sorted({column for column in known if known.count(column) > 1})
    if twice:
        raise InvalidProblem.of(name, None, say("column {column} is given twice", column=twice[0]))
    unread = tuple(str(cell) for cell, column in zip(header, names, strict=True) if column not in COLUMNS and column)
    rows: list[Row] = []
    faults: list[Violation] = []
    for number, cells in body:
        given = dict(zip(names, map(text, cells), strict=False))
        try:
            rows.append(_row(f"{name}:{number}", {COLUMNS[c]: v for c, v in given.items() if c in COLUMNS and v != ""}))
        except InvalidProblem as error:
            faults.extend(error.violations)
    if faults:
        raise InvalidProblem(faults)
    if not rows:
        raise InvalidProblem.of(name, None, say("holds no row below its header"))
    return tuple(rows), unread


def _row(place: str, given: dict[str, str]) -> Row:
    faults: list[Violation] = []

    def whole(column: str, other: int | None) -> int | None:
        most, value = _WHOLE[column], given.get(column)
        if value is None:
            return other
        if not (value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= most):
            allowed = say("must be a whole number, 1 to {most:,}", most=most)
            faults.append(Violation(f"{place} {column}", shown(value), allowed))
            return other
        return int(value)

    def measured(column: str) -> Decimal | None:
        value = given.get(column)
        if value is None:
            return None
        try:
            number = Decimal(value) if len(value) <= 40 and value.isascii() and "_" not in value else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite() or not 0 < number <= _MEASURED[column]:
            faults.append(Violation(f"{place} {column}", shown(value), say("must be a number above 0, such as 26.5")))
            return None
        return round(number, 6)

    used = given.get("used", "fit")
    if used not in _USES:
        faults.append(Violation(f"{place} use", shown(used), say("must be one of {names}", names=", ".join(_USES))))
    row = Row(
        place=place,
        micro_batch=whole("micro_batch", None),
        accumulation=whole("accumulation", 1) or 1,
        cards=whole("cards", 1) or 1,
        seconds=measured("seconds"),
        gpu_mib=measured("gpu_mib"),
        host_gb=measured("host_gb"),
        card=given.get("card", "")[:80],
        used=used,
        source=given.get("source", "")[:300],
    )
    if row.micro_batch is None and (row.seconds is not None or row.gpu_mib is not None) and not faults:
        faults.append(Violation(f"{place} micro_batch", "", say("is required beside seconds and gpu_mib")))
    if faults:
        raise InvalidProblem(faults)
    return row
