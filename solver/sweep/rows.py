"""Lines of scenario tables: CSV, XLSX and JSONL -> records of plain fields, each with its file and line.

The guards are those of all input: tables through catalog.tables, JSON with no NaN, no key twice, no endless number.
Modify this module when a table arrives in another form; what the fields mean is decided in file/.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from solver.catalog.tables import Bounds, Cell, tables_in
from solver.domain.errors import InvalidProblem, nearest, shown
from solver.domain.language import say
from solver.sweep.questions import checked_path

SCENARIOS = Bounds(rows=1_000_000, unpacked_bytes=256 * 2**20, tags=20_000_000, decimals=10, keep_uncomputed=True)
"""A table of scenarios: many rows, and numbers that are not money; an empty cell changes nothing."""
MAX_LINE_CHARS = 100_000
MAX_DIGITS = 40
_OWN = ("name", "expect", "note")
_ALL_PRICES = ("scale.prices", "scale:prices")


@dataclass(frozen=True)
class Record:
    """One line: where it stands and its fields; `fault` where it could not be read."""

    where: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


def read_table(data: bytes, name: str) -> list[Record]:
    """Scenarios of a CSV file, or of all visible sheets of a workbook: the first row of each names the columns.

    An empty cell changes nothing.

    Raises:
        InvalidProblem: refused by the guards, no header, or a column that is no path.
    """
    found: list[Record] = []
    for sheet in tables_in(data, name, _is_header, SCENARIOS):
        if sheet.hidden or not sheet.rows:
            continue
        line, header = sheet.rows[0]
        columns = _columns(header, f"{sheet.name}:{line}")
        for number, cells in sheet.rows[1:]:
            where = f"{sheet.name}:{number}"
            if len(cells) > len(columns):
                found.append(
                    Record(
                        where,
                        fault=say(
                            "has {cells} cells and the header has {columns}", cells=len(cells), columns=len(columns)
                        ),
                    )
                )
                continue
            fields = {key: _text(cell) for key, cell in zip(columns, cells, strict=False) if cell != ""}
            found.append(Record(where, fields))
    return found


def _is_header(cells: tuple[Cell, ...]) -> bool:
    return sum(_is_column(cell) for cell in cells if isinstance(cell, str)) >= min(2, len(cells))


def _is_column(text: str) -> bool:
    if text in _OWN or text in _ALL_PRICES:
        return True
    try:
        checked_path(_path(text))
    except InvalidProblem:
        return False
    return True


def _path(text: str) -> str:
    for prefix in ("set.", "scale.", "scale:"):
        if text.startswith(prefix):
            return text.removeprefix(prefix)
    return text


def _columns(header: tuple[Cell, ...], where: str) -> list[str]:
    columns: list[str] = []
    for cell in header:
        text = cell if isinstance(cell, str) else ""
        if not _is_column(text):
            from solver.sweep.questions import known_paths

            hint = nearest(text, [*known_paths(), *_OWN]) or say("; columns are name, expect, note and paths")
            raise InvalidProblem.of(f"{where}: column", text, say("is no path") + hint)
        if text in columns or f"set.{text}" in columns or text.removeprefix("set.") in columns:
            raise InvalidProblem.of(f"{where}: column", text, say("stands twice"))
        columns.append(text)
    return columns


def _text(cell: Cell) -> str:
    return cell.isoformat() if isinstance(cell, datetime.date) else cell


def read_jsonl(data: bytes, name: str) -> list[Record]:
    """One JSON object a line; an empty line is skipped.

    Raises:
        InvalidProblem: not UTF-8 text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidProblem.of(name, None, say("is not UTF-8 text (byte {start})", start=error.start)) from None
    found: list[Record] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        if len(found) >= SCENARIOS.rows:
            raise InvalidProblem.of(name, None, say("has more than {rows:,} lines", rows=SCENARIOS.rows))
        try:
            found.append(Record(where, _object(line)))
        except ValueError as error:
            found.append(Record(where, fault=str(error)))
    return found


def _object(line: str) -> dict[str, Any]:
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(say("a line has more than {max_line_chars:,} characters", max_line_chars=MAX_LINE_CHARS))
    try:
        value = json.loads(
            line, parse_constant=_refused, parse_int=_whole, parse_float=_decimal, object_pairs_hook=_no_key_twice
        )
    except json.JSONDecodeError as error:
        raise ValueError(say("is not JSON: {msg} (column {colno})", msg=error.msg, colno=error.colno)) from None
    except RecursionError:
        raise ValueError(say("is nested too deeply")) from None
    if not isinstance(value, dict):
        raise ValueError(say("must be a JSON object"))
    return value


def _refused(word: str) -> Any:
    raise ValueError(say("{word} is not a number that can be used", word=word))


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(say("a number has more than {max_digits} characters", max_digits=MAX_DIGITS))
    return int(text)


def _decimal(text: str) -> float:
    if len(text) > MAX_DIGITS:
        raise ValueError(say("a number has more than {max_digits} characters", max_digits=MAX_DIGITS))
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(say("number {text} is too large", text=text))
    return value


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(say("key {key} is given twice", key=shown(next(key for key in keys if keys.count(key) > 1))))
    return made
