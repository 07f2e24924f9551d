"""Tables as vendors send them, CSV or XLSX, as rows of plain cells. Guarded: nothing is unpacked unmeasured.

Knows files, not what the columns mean (quotes.py does). Modify this module when a table arrives in a new form.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from solver.catalog.reading import read_file
from solver.domain.errors import InvalidProblem

MAX_COLUMNS = 64
MAX_CELL_CHARS = 2000
MAX_SHEETS = 20
MAX_ENTRIES = 1000
MAX_RATIO = 100
_SMALL_BYTES = 2**20
"""Below this an entry may be packed as tightly as it likes."""

UNCOMPUTED = "formula without a value"
"""Stands for a formula that no spreadsheet program has computed yet."""
Cell = str | datetime.date
"""Text as it stands, numbers of a workbook as plain decimal text rounded to the fen, dates of a workbook as dates."""


@dataclass(frozen=True)
class Bounds:
    """How much of a table is read, and how its numbers are.

    Attributes:
        rows: most rows of a table.
        unpacked_bytes: most bytes of all parts of a workbook, unpacked.
        tags: most XML tags of a workbook, counted as its `<`: the time to read it grows with these, not with bytes.
        decimals: to how many decimals the numbers of a workbook are rounded; 24336.283185840708 is a formula's.
        keep_uncomputed: whether a formula without a value is read as `UNCOMPUTED`, where an empty cell means something.
    """

    rows: int
    unpacked_bytes: int
    tags: int
    decimals: int
    keep_uncomputed: bool = False


QUOTES = Bounds(rows=5000, unpacked_bytes=24 * 2**20, tags=500_000, decimals=2)
"""A vendor's list of prices, to the fen."""


@dataclass(frozen=True)
class Sheet:
    """One table: its name for messages, and its non-empty rows with their numbers in the file (from 1)."""

    name: str
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]
    hidden: bool = False


@dataclass
class _Rows:
    """Collects rows within the limits."""

    name: str
    most: int
    kept: list[tuple[int, tuple[Cell, ...]]] = field(default_factory=list)

    def add(self, number: int, cells: tuple[Cell, ...]) -> None:
        while cells and cells[-1] == "":
            cells = cells[:-1]
        if not cells:
            return
        if len(cells) > MAX_COLUMNS:
            raise InvalidProblem.of(f"{self.name}:{number}", None, f"has more than {MAX_COLUMNS} columns")
        if any(len(cell) > MAX_CELL_CHARS for cell in cells if isinstance(cell, str)):
            raise InvalidProblem.of(f"{self.name}:{number}", None, f"a cell has more than {MAX_CELL_CHARS} characters")
        if len(self.kept) >= self.most:
            raise InvalidProblem.of(self.name, None, f"has more than {self.most:,} rows")
        self.kept.append((number, cells))


def read_tables(path: Path, is_header: Callable[[tuple[Cell, ...]], bool]) -> tuple[Sheet, ...]:
    """Read all tables of a CSV or XLSX file; which it is, the content decides.

    Args:
        path: the file; UTF-8 with or without BOM, UTF-16 with BOM or GBK, with `,`, `;` or tab, or a workbook.
        is_header: whether a row names columns; the separator of a CSV is the one for which some row does.

    Raises:
        InvalidProblem: unreadable, neither CSV nor XLSX, too large, or unpacking to too much.
    """
    return tables_in(read_file(path), path.name, is_header)


def tables_in(
    data: bytes, name: str, is_header: Callable[[tuple[Cell, ...]], bool], bounds: Bounds = QUOTES
) -> tuple[Sheet, ...]:
    """The same of the bytes of a file, within bounds of one's own."""
    if data.startswith(b"PK"):
        return tuple(_workbook(data, name, bounds))
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidProblem.of(name, None, "is an old .xls workbook: save it as .xlsx or CSV")
    return (_separated(data, name, is_header, bounds),)


def _separated(data: bytes, name: str, is_header: Callable[[tuple[Cell, ...]], bool], bounds: Bounds) -> Sheet:
    text = _decoded(data, name)
    if "\0" in text:
        raise InvalidProblem.of(name, None, "is neither text nor an XLSX workbook")
    first: Sheet | None = None
    widest = 0
    for separator in ",;\t":
        found = _Rows(name, bounds.rows)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            for cells in reader:
                found.add(reader.line_num, tuple(cell.strip() for cell in cells))
        except csv.Error as error:
            raise InvalidProblem.of(f"{name}:{reader.line_num}", None, f"is not CSV: {error}") from None
        sheet = Sheet(name, tuple(found.kept))
        width = len(sheet.rows[0][1]) if sheet.rows else 0
        if first is None or width > widest:  # where no row names columns, faults are told of the likeliest reading
            first, widest = sheet, width
        if any(is_header(cells) for _, cells in sheet.rows):
            return sheet
    return first or Sheet(name, ())


def _decoded(data: bytes, name: str) -> str:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    # GBK (and more) last: few texts in it are UTF-8 by chance, but almost any bytes are GBK.
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidProblem.of(name, None, "is text in neither UTF-8 nor GBK, and no XLSX workbook")


def _workbook(data: bytes, name: str, bounds: Bounds) -> Iterator[Sheet]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _measure(archive, name, bounds)
            yield from _sheets(archive, data, name, bounds)
    except InvalidProblem:
        raise
    except MemoryError:
        raise InvalidProblem.of(name, None, "takes too much memory to unpack") from None
    except Exception:  # of rubbish, openpyxl, zipfile and the XML parser raise whatever they stumble over
        raise InvalidProblem.of(name, None, "cannot be read as an XLSX workbook") from None


def _measure(archive: zipfile.ZipFile, name: str, bounds: Bounds) -> None:
    """Refuse a zip bomb by its directory, before anything is unpacked; zipfile never unpacks more than stands there."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise InvalidProblem.of(name, None, f"holds more than {MAX_ENTRIES:,} parts")
    if len({entry.filename for entry in entries}) != len(entries):
        raise InvalidProblem.of(name, None, "holds a part twice")
    # Pictures are measured like the rest: what is a sheet, the workbook itself says, whatever its part is called.
    if sum(entry.file_size for entry in entries) > bounds.unpacked_bytes:
        raise InvalidProblem.of(name, None, f"unpacks to more than {bounds.unpacked_bytes // 2**20} MiB")
    for entry in entries:
        if entry.file_size > _SMALL_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
            raise InvalidProblem.of(name, None, f"unpacks to more than {MAX_RATIO} times its size")
        if entry.flag_bits & 1:
            raise InvalidProblem.of(name, None, "is encrypted: save it without a password")
    if sum(archive.read(entry).count(b"<") for entry in entries) > bounds.tags:
        raise InvalidProblem.of(name, None, f"holds more than {bounds.tags:,} XML tags")


def _sheets(archive: zipfile.ZipFile, data: bytes, name: str, bounds: Bounds) -> Iterator[Sheet]:
    import openpyxl  # 0.3 s: only for who sends a workbook; it uses defusedxml where that is installed, as here

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions it does not know; only values are read
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            sheets = [sheet for sheet in book.worksheets if hasattr(sheet, "reset_dimensions")]
            if len(sheets) > MAX_SHEETS:
                raise InvalidProblem.of(name, None, f"has more than {MAX_SHEETS} sheets")
            for sheet in sheets:
                label = f"{name}[{sheet.title}]" if len(sheets) > 1 else name
                yield Sheet(label, tuple(_cells(sheet, archive, label, bounds)), hidden=sheet.sheet_state != "visible")
        finally:
            book.close()


def _cells(sheet: Any, archive: zipfile.ZipFile, label: str, bounds: Bounds) -> list[tuple[int, tuple[Cell, ...]]]:
    sheet.reset_dimensions()  # what the file says of its size may be wrong
    found = _Rows(label, bounds.rows)
    xml = archive.read(sheet._worksheet_path)
    starts, uncomputed = _merged_down(xml), _uncomputed(xml) if bounds.keep_uncomputed else {}
    open_merges: dict[int, tuple[int, Any]] = {}
    rows = sheet.iter_rows(max_col=MAX_COLUMNS, max_row=_LAST_ROW)
    for number, row in enumerate(rows, start=1):
        cells = [_shown(cell) for cell in row]
        for column in uncomputed.get(number, ()):
            if column < len(cells):
                cells[column] = UNCOMPUTED
        if number == _LAST_ROW:
            raise InvalidProblem.of(label, None, f"has rows beyond number {_LAST_ROW:,}")
        for column, last in starts.get(number, ()):
            open_merges[column] = (last, cells[column] if column < len(cells) else None)
        if not any(cells):
            continue
        for column, (last, value) in open_merges.items():
            if number <= last and column < len(cells):
                cells[column] = value
        found.add(number, tuple(_cell(value, bounds.decimals) for value in cells))
    return found.kept


_LAST_ROW = 100_000
_UNCOMPUTED = re.compile(rb"<c\s([^>]*)>\s*<f\b[^>]*?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>")
_PLACE = re.compile(rb'(?:^|\s)r="([A-Z]{1,3})(\d{1,7})"')
_MERGE = re.compile(rb'<mergeCell\s+ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')


def _merged_down(xml: bytes) -> dict[int, list[tuple[int, int]]]:
    """Cells merged over several rows of one column: first row -> (column from 0, last row).

    A streamed sheet does not tell of them, and a vendor writes the card once beside all its quantity breaks.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    for left, top, right, bottom in _MERGE.findall(xml):
        column = _column(left)
        if left == right and column < MAX_COLUMNS and int(bottom) > int(top):
            found.setdefault(int(top), []).append((column, int(bottom)))
    return found


def _uncomputed(xml: bytes) -> dict[int, list[int]]:
    """Formulas whose value is not in the file, as programs write them: row -> columns from 0.

    Read as empty, such a cell would silently change nothing. A formula that yields no text (t="str") is empty.
    """
    found: dict[int, list[int]] = {}
    for attributes in _UNCOMPUTED.findall(xml):
        place = _PLACE.search(attributes)
        if place is not None and b't="str"' not in attributes:
            found.setdefault(int(place[2]), []).append(_column(place[1]))
    return found


def _column(letters: bytes) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + letter - ord("A") + 1
    return column - 1


def _shown(cell: Any) -> Any:
    """The value of a cell; a number that is shown in percent as it is shown, for 10 % typed there is kept as 0.1."""
    value = cell.value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and "%" in (cell.number_format or ""):
        return f"{format((Decimal(repr(value)) * 100).normalize(), 'f')}%" if abs(value) < 10**15 else "#"
    return value


def _cell(value: Any, decimals: int) -> Cell:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else "#"
    if isinstance(value, float):
        return _number(value, decimals)
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    return str(value).strip()


def _number(value: float, decimals: int) -> str:
    """A number of a workbook, rounded as its cell shows it: 24336.283185840708 is a formula's."""
    if not abs(value) < 10**15:
        return "#"
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return format(rounded.normalize(), "f")
