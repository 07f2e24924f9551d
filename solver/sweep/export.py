"""Results as files: CSV, JSONL, Parquet, XLSX. Row by row from the store, under another name until they are whole.

Text that a spreadsheet would run as a formula stays text: a `'` before it in CSV, a string cell in XLSX. Modify this
module to add a format: one writer, one line in `WRITERS`; which columns there are is decided in columns.py.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.sweep.columns import Kind, columns_of, flat
from solver.sweep.file import ScenarioFile
from solver.sweep.store import Run, Store
from solver.sweep.summary import Matrix, matrices

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GROUP = 10_000
_MOST_SHEET_ROWS = 1_048_575

Columns = Mapping[str, Kind]
Records = Iterator[dict[str, Any]]


def records(store: Store, run: Run) -> Records:
    """Every result in order as its columns."""
    columns = columns_of(run.paths)
    for row in store.results(run):
        values: dict[str, Any] = dict.fromkeys(columns)
        if row["answer"]:
            values.update(flat(json.loads(row["answer"])))
        values["status"] = row["status"]
        for name in ("position", "name", "answered_by", "expectation", "broken", "error", "solve_ms", "finished_at"):
            values[name] = row[name]
        for path, value in json.loads(row["changes"]).items():
            name = f"set.{path}"
            values[name] = _as(columns[name], value) if name in columns else None
        yield values


def _as(kind: Kind, value: Any) -> Any:
    """The value in the column's type; None where it is of another, which the error of that row then tells."""
    if value is None:
        return None
    if kind == "text":
        return " ".join(str(each) for each in value) if isinstance(value, list) else str(value)
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if kind == "int":
        return value if isinstance(value, int) and abs(value) < 2**63 else None
    return float(value)


def checked_target(text: str) -> Path:
    """A path results can be written to; asked before the run, not after it.

    Raises:
        InvalidProblem: no such form, no such folder, or the package for it is not installed.
    """
    path = Path(text)
    if path.suffix.lower() not in WRITERS:
        raise InvalidProblem.of("--output", text, f"must end in {', '.join(WRITERS)}")
    if not path.parent.is_dir():
        raise InvalidProblem.of("--output", text, "no such folder")
    if path.is_dir():
        raise InvalidProblem.of("--output", text, "is a folder, a file is needed")
    if not os.access(path.parent, os.W_OK):
        raise InvalidProblem.of("--output", text, say("its folder cannot be written"))
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InvalidProblem.of("--output", text, "needs pyarrow: pip install 'gpu-rig-solver[parquet]'")
    return path


def write(store: Store, run: Run, file: ScenarioFile, path: Path, raw_csv: bool = False) -> None:
    """Write all results of a run; the file is there whole or not at all.

    Args:
        store: the store.
        run: the run.
        file: its scenario file, for the matrices of a workbook.
        path: where to; its ending is the form.
        raw_csv: leave text in CSV as it is, also where a spreadsheet would run it.

    Raises:
        InvalidProblem: it cannot be written, or is too long for a workbook.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        WRITERS[path.suffix.lower()](partial, store, run, file, raw_csv)
        partial.replace(path)
    except OSError as error:
        raise InvalidProblem.of("--output", str(path), f"cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):  # the fault is told already
            partial.unlink()


def safe(value: Any) -> Any:
    """Text that a spreadsheet would run gets a `'` before it; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(path: Path, store: Store, run: Run, _file: ScenarioFile, raw: bool) -> None:
    columns = list(columns_of(run.paths))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for record in records(store, run):
            writer.writerow([_csv_cell(record[name], raw) for name in columns])


def _csv_cell(value: Any, raw: bool) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return int(value)
    return value if raw else safe(value)


def _jsonl(path: Path, store: Store, run: Run, _file: ScenarioFile, _raw: bool) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in records(store, run):
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")


def _parquet(path: Path, store: Store, run: Run, _file: ScenarioFile, _raw: bool) -> None:
    import pyarrow
    import pyarrow.parquet

    types = {"text": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns_of(run.paths).items()])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        group: list[dict[str, Any]] = []
        for record in records(store, run):
            group.append(record)
            if len(group) >= _GROUP:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group = []
        writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _xlsx(path: Path, store: Store, run: Run, file: ScenarioFile, _raw: bool) -> None:
    if store.counts(run).done > _MOST_SHEET_ROWS:
        raise InvalidProblem.of("--output", path.name, f"a sheet has at most {_MOST_SHEET_ROWS:,} rows; use .parquet")
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)

    def cell(sheet: Any, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("?", value)[:32_767])
        made.data_type = "s"  # openpyxl takes text that begins with = for a formula
        return made

    sheet = book.create_sheet("results")
    sheet.freeze_panes = "C2"
    columns = list(columns_of(run.paths))
    sheet.append(columns)
    for record in records(store, run):
        sheet.append([cell(sheet, record[name]) for name in columns])
    for number, matrix in enumerate(matrices(store, run, file), 1):
        table = book.create_sheet(f"matrix {number}")
        for line in matrix_lines(matrix):
            table.append([cell(table, value) for value in line])
    book.save(path)


def matrix_lines(matrix: Matrix) -> list[list[Any]]:
    """A matrix as lines of cells, the axes in the first line and column."""
    head = [f"{matrix.down} \\ {matrix.across}", *matrix.columns]
    return [head, *([label, *cells] for label, cells in zip(matrix.rows, matrix.cells, strict=True))]


WRITERS: dict[str, Callable[[Path, Store, Run, ScenarioFile, bool], None]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".xlsx": _xlsx,
}
