"""The order list: one line per offer, a total that is the plan's cost; as CSV and as a workbook.

Every cell is text, so no spreadsheet runs one as a formula and none rounds an amount; amounts are plain decimals that a
spreadsheet converts in one go. Modify this module when a buyer's form needs another column.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from decimal import Decimal

from solver.domain.language import say
from solver.domain.plan import OrderLine, Plan
from solver.domain.units import fen
from solver.report.saved import layout

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Text that begins so is run as a formula by some spreadsheet; the wide forms by East Asian ones."""
RIGHT = (2, 3, 4)
"""Columns of figures."""
_WIDTHS = (34, 20, 9, 14, 14, 10, 24, 12, 12, 10, 11, 10, 40)
Cells = tuple[str, ...]


def table(plan: Plan) -> list[Cells]:
    """The header, a line per offer, and the total; all text, as it is, not yet safe for a CSV file.

    Raises:
        AssertionError: the lines do not add up to the cost of the plan.
    """
    header = (
        say("item"),
        say("id"),
        say("quantity"),
        say("unit price CNY"),
        say("total CNY"),
        say("condition"),
        say("vendor"),
        say("quote date"),
        say("valid until"),
        say("tax"),
        say("lead time days"),
        say("basis"),
        say("source"),
    )
    lines = [_line(line) for line in plan.order]
    total = ("",) * 3
    assert sum(fen(line.total_cny) for line in plan.order) == fen(plan.cost_cny)
    return [header, *lines, (say("total"), *total, amount(plan.cost_cny), *("",) * (len(header) - 5))]


def _line(line: OrderLine) -> Cells:
    tax = "" if line.tax_included is None else say("included") if line.tax_included else say("without")
    return (
        line.name,
        line.item_id,
        str(line.quantity),
        amount(line.unit_price_cny),
        amount(line.total_cny),
        line.condition,
        line.vendor,
        _day(line.quote_date),
        _day(line.valid_until),
        tax,
        "" if line.lead_time_days is None else str(line.lead_time_days),
        line.basis,
        line.source,
    )


def amount(cny: Decimal) -> str:
    """CNY as a plain decimal: 103500 or 91666.67."""
    return format(cny, "f")


def _day(day: datetime.date | None) -> str:
    return "" if day is None else day.isoformat()


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula: a `'` before it where it begins like one."""
    return f"'{text}" if text.lstrip(" \u00a0\u3000").startswith(_FORMULA) else text


def order_csv(plan: Plan) -> bytes:
    """The table as CSV: UTF-8 with a mark of it, which spreadsheets need to read Chinese."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([safe(cell) for cell in row] for row in table(plan))
    return text.getvalue().encode("utf-8-sig")


def read_csv(data: bytes) -> list[Cells]:
    """The cells of `order_csv`.

    Raises:
        ValueError: it is not UTF-8, or not CSV.
    """
    try:
        return [tuple(row) for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)]
    except csv.Error as error:
        raise ValueError(str(error)) from None


def order_xlsx(plan: Plan, moment: datetime.datetime) -> bytes:
    """The table as a workbook; equal tables and moments give equal bytes.

    Args:
        plan: the plan.
        moment: what the workbook says of when it was written (UTC).
    """
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "order"
    sheet.freeze_panes = "A2"
    rows = table(plan)
    for number, row in enumerate(rows, 1):
        for column, text in enumerate(row, 1):
            cell = sheet.cell(number, column)
            cell.value = ILLEGAL_CHARACTERS_RE.sub("?", text)
            cell.data_type = "s"  # openpyxl takes text that begins with = for a formula
            cell.number_format = "@"  # and a spreadsheet would, once somebody edits the cell
            cell.quotePrefix = True
            wide = column - 1 in RIGHT
            cell.alignment = Alignment(horizontal="right" if wide else None, vertical="top", wrap_text=not wide)
            if number in (1, len(rows)):
                cell.font = Font(bold=True)
    for column, width in enumerate(_WIDTHS, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = "1:1"
    book.properties.creator = "solver-cli"
    out = io.BytesIO()
    book.save(out)
    return _dated(out.getvalue(), moment)


_MOMENT = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(<)")


def _dated(data: bytes, moment: datetime.datetime) -> bytes:
    """The same workbook with one moment everywhere: in its properties and on each of its parts."""
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    day = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in sorted(given.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            content = given.read(name)
            if name == "docProps/core.xml":
                content = _MOMENT.sub(rb"\g<1>" + stamp + rb"\g<2>", content)
            part = zipfile.ZipInfo(name, day)
            part.compress_type = zipfile.ZIP_DEFLATED
            part.create_system = 3
            made.writestr(part, content, compresslevel=6)
    return out.getvalue()


_LARGEST_PART = 20 * 2**20


def read_xlsx(data: bytes) -> list[Cells]:
    """The cells of the first sheet of `order_xlsx`, as text.

    Raises:
        ValueError: it is not a workbook, too large, or its first cells are not plain text.
    """
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as given:
            if sum(part.file_size for part in given.infolist()) > _LARGEST_PART:
                raise ValueError("is too large")
        book = load_workbook(io.BytesIO(data))
        sheet = book.worksheets[0]
        rows: list[Cells] = []
        for row in sheet.iter_rows():
            if any(cell.data_type == "f" for cell in row):
                raise ValueError(f"row {row[0].row} holds a formula")
            rows.append(tuple("" if cell.value is None else str(cell.value) for cell in row))
        return rows
    except ValueError:
        raise
    except Exception as error:  # openpyxl lets through whatever its parsers raise
        raise ValueError(f"is not a workbook ({type(error).__name__})") from None


def written_at(as_of: datetime.date) -> datetime.datetime:
    """The moment a workbook is given: SOURCE_DATE_EPOCH, else the first of the day of the answer (UTC)."""
    moment = layout.source_date()
    return datetime.datetime(as_of.year, as_of.month, as_of.day, tzinfo=datetime.UTC) if moment is None else moment
