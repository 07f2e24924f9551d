"""Vendor quotes: files as vendors send them (tests/data/quotes), cells, purchase from several offers, hostile files."""

from __future__ import annotations

import datetime
import io
import os
import time
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from solver.catalog import cells, default_library
from solver.catalog.quotes import Quotes, read_quotes, with_quotes
from solver.domain import buying
from solver.domain.errors import InvalidProblem, UnknownName
from tests.conftest import RunCli

DATA = Path(__file__).parent / "data" / "quotes"
CATALOG = default_library().catalog


def read(*files: Path) -> Quotes:
    return read_quotes(files, CATALOG)


def told(offer: Any, *fields: str) -> tuple[Any, ...]:
    return tuple(getattr(offer, field) for field in fields)


def test_gbk_file_with_chinese_headers() -> None:
    """Tests a CSV of a Chinese Windows: GBK, titles above the header, a total and a remark below, used, expired."""
    quotes = read(DATA / "chinese-gbk.csv")
    fields = (
        "item_id",
        "unit_price_cny",
        "condition",
        "stock",
        "min_quantity",
        "vendor",
        "tax_included",
        "lead_time_days",
    )
    assert [told(offer, *fields) for offer in quotes.offers] == [
        ("rtx-a6000", 27500, "new", 10, 1, "深圳甲电子", True, 0),
        ("rtx-a6000", 26500, "new", 10, 4, "深圳甲电子", True, 0),
        ("rtx-4090-blower", 15000, "new", None, 1, "深圳甲电子", True, 3),
        ("rtx-3090", 4800, "used", 6, 1, "北京乙科技", False, 7),
        ("a100-80gb-pcie", 102000, "new", 2, 1, "北京乙科技", True, 21),
        ("a800-80gb-pcie", 87000, "new", None, 1, "北京乙科技", True, 0),
    ]
    assert {offer.quote_date for offer in quotes.offers} == {datetime.date(2023, 7, 3), datetime.date(2023, 7, 1)}
    assert [offer.valid_until for offer in quotes.offers] == [
        *[datetime.date(2023, 7, 10)] * 2,
        datetime.date(2023, 7, 31),
        datetime.date(2023, 7, 15),
        None,
        None,
    ]
    assert [note.partition(": ")[2][:8] for note in quotes.notes] == ["columns ", "a total,", "no price"]
    assert quotes.offers[0].source == "chinese-gbk.csv, row 4"


def test_workbook_with_merged_title() -> None:
    """Tests an XLSX: merged titles, cells merged down over quantity breaks, a formula, a total, a hidden sheet."""
    quotes = read(DATA / "merged-title.xlsx")
    fields = ("item_id", "unit_price_cny", "stock", "min_quantity", "tax_included", "valid_until", "lead_time_days")
    july = datetime.date(2023, 7, 31)
    assert [told(offer, *fields) for offer in quotes.offers] == [
        ("rtx-a6000", 27500, 20, 1, True, datetime.date(2099, 7, 31), 0),
        ("rtx-a6000", 26800, 20, 4, True, datetime.date(2099, 7, 31), 0),
        ("rtx-6000-ada", 51000, 5, 1, True, july, 14),
    ]
    notes = "\n".join(quotes.notes)
    for text in ("a formula that was never calculated", "L40S 48G | 电询", "a total", "hidden sheet", "序号, 备注"):
        assert text in notes


def test_two_vendors_with_breaks_and_stock(run_cli: RunCli) -> None:
    """Tests that a rig is bought cheapest first from several offers, within stock and breaks: 3 North, 1 South."""
    ran = run_cli(
        "optimize", "--min-batch", 24, "--goal", "cost", "--format", "json", "--quotes", DATA / "two-vendors.csv"
    )
    plan = ran.json["plan"]
    cards = [line for line in plan["order"] if line["item_id"] == "rtx-a6000"]
    assert [(line["vendor"], line["quantity"], line["unit_price_cny"]) for line in cards] == [
        ("North", 3, 27000),
        ("South", 1, 27500),
    ]
    assert plan["cost_cny"] == 3 * 27000 + 27500 + 24000
    assert any("by South is without tax" in warning for warning in ran.json["warnings"])


def test_expired_quote_warns(run_cli: RunCli) -> None:
    """Tests that an expired quote is used, and warned of."""
    ran = run_cli("optimize", "--budget", "30万", "--quotes", DATA / "two-vendors.csv")
    assert ran.code == 0
    assert "expired on 2023-07-20" in ran.out
    assert "valid until 2023-07-20" in ran.out


def test_quotes_replace_the_offers_they_name() -> None:
    """Tests that a quoted card has the quote's offers only, and every other item keeps its own."""
    quotes = read(DATA / "two-vendors.csv")
    catalog = with_quotes(CATALOG, quotes)
    assert {offer.vendor for offer in catalog.offers_by_item["rtx-a6000"]} == {"North", "South"}
    assert catalog.offers_by_item["guide-base"][0].unit_price_cny == 24000
    assert catalog.offers_by_item["rtx-3090"] == CATALOG.offers_by_item["rtx-3090"]


def test_used_offers_only_where_allowed(run_cli: RunCli) -> None:
    """Tests that a card quoted used only is bought only with --allow-used."""
    question = ("optimize", "--include", "rtx-3090", "--max-cards", "1", "--format", "json", "--quotes")
    assert run_cli(*question, DATA / "chinese-gbk.csv").code == 3
    ran = run_cli(*question, DATA / "chinese-gbk.csv", "--allow-used")
    assert ran.json["plan"]["order"][0]["condition"] == "used"


def test_example_quotes(run_cli: RunCli) -> None:
    """Tests the shipped example: with the A800 of 2023-06-06, three of them beat two A100 at 300,000."""
    ran = run_cli("optimize", "--budget", "300000", "--quotes", "examples/quotes-2023.csv", "--format", "json")
    assert (ran.json["plan"]["card_id"], ran.json["plan"]["card_count"]) == ("a800-80gb-pcie", 3)


def csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    file = folder / "quote.csv"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("price", ['"27,500"', "2.75万", "￥27500", "27500.00", "27500元", "27500元/张", "27.5k"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_one_price_in_many_habits(tmp_path: Path, price: str, encoding: str) -> None:
    """Tests that one price, however it and the file are written, is one amount."""
    (offer,) = read(csv(tmp_path, f"型号,单价\nRTX A6000 48G,{price}\n", encoding)).offers
    assert offer.unit_price_cny == 27500


@pytest.mark.parametrize(
    ("header", "cell", "price", "taxed"),
    [
        ("单价(万元)", "2.75", 27500, None),
        ("含税单价（元）", "27500", 27500, True),
        ("未税单价", "27500", 27500, False),
        ("Unit price (CNY)", "27500", 27500, None),
        ("unit_price_cny", "27500.5", Decimal("27500.5"), None),
    ],
)
def test_price_headers(tmp_path: Path, header: str, cell: str, price: Decimal, taxed: bool | None) -> None:
    """Tests that a header's unit and tax hold for its column."""
    (offer,) = read(csv(tmp_path, f"型号;{header}\nA6000;{cell}\n")).offers
    assert (offer.unit_price_cny, offer.tax_included) == (price, taxed)


def test_separators_and_second_header(tmp_path: Path) -> None:
    """Tests tab-separated text, and two tables below each other with their own columns."""
    text = "card\tunit_price_cny\nA6000\t1\n\nSouth\n单价\t型号\n2\tRTX 6000 Ada\n"
    assert [(o.item_id, o.unit_price_cny) for o in read(csv(tmp_path, text)).offers] == [
        ("rtx-a6000", Decimal(1)),
        ("rtx-6000-ada", Decimal(2)),
    ]


def test_model_and_specification_read_together(tmp_path: Path) -> None:
    """Tests that 'A100' in one column and '80G PCIe' in the next are one card."""
    (offer,) = read(csv(tmp_path, "型号,规格,单价\nA100,80G PCIe,1\n")).offers
    assert offer.item_id == "a100-80gb-pcie"


def test_closed_ranges_end_where_they_say(tmp_path: Path) -> None:
    """Tests that of breaks 1-2 and 3-4 a fifth piece is not offered, but is once the last break is open."""
    closed = read(csv(tmp_path, "型号,单价,起订量\nA6000,10,1-2\nA6000,8,3-4\n")).offers
    assert [buying.purchase(closed, n).missing for n in (1, 4, 5)] == [0, 0, 1]
    assert buying.purchase(closed, 4).cost_fen == 3200
    still_open = read(csv(tmp_path, "型号,单价,起订量\nA6000,10,1-2\nA6000,8,3张以上\n")).offers
    assert buying.purchase(still_open, 5).missing == 0


def test_two_files_of_unnamed_vendors_keep_their_breaks_apart(tmp_path: Path) -> None:
    """Tests that a break of one file is no break of the other: three pieces of A cost A's price."""
    for name, text in (("a.csv", "A6000,10,1,2"), ("b.csv", "A6000,12,1,\nA6000,5,4,")):
        (tmp_path / name).write_text("card,unit_price_cny,min_quantity,stock\n" + text)
    offers = read(tmp_path / "a.csv", tmp_path / "b.csv").offers
    assert {offer.vendor for offer in offers} == {"a", "b"}
    assert buying.purchase(offers, 3).cost_fen == 2 * 1000 + 1200


REFUSED = [
    ("型号,单价\nA100,5\n", "quote.csv:2 型号", "a100-80gb-pcie: write its id"),
    ("型号,单价\nA6000,-5\n", "quote.csv:2 单价", "amount in CNY"),
    ("型号,单价\nA6000,0\n", "单价", "above 0"),
    ("型号,单价\nA6000,1.234\n", "单价", "two decimals"),
    ("型号,单价\nA6000,$500\n", "单价", "amount in CNY"),
    ("型号,单价(USD)\nA6000,500\n", "单价(USD)", "another currency"),
    ("型号,单价\nA6000,27500起\n", "单价", "amount in CNY"),
    ("型号,单价\nA6000,nan\n", "单价", "amount in CNY"),
    ("型号,单价\nA6000,1e400\n", "单价", "amount in CNY"),
    ("型号,单价\nA6000,=1+1\n", "单价", "amount in CNY"),
    ("型号,单价\n,500\n", "quote.csv:2 型号", "without a card"),
    ("型号,单价,成色\nA6000,5,好\n", "成色", "new or used"),
    ("型号,单价,成色\nA6000 二手,5,全新\n", "成色", "but the name says used"),
    ("型号,单价,库存\nA6000,5,many\n", "库存", "whole number"),
    ("型号,单价,起订量\nA6000,5,0\n", "起订量", "from 1"),
    ("型号,单价,起订量\nA6000,5,9-5\n", "起订量", "from 1"),
    ("型号,单价,报价日期\nA6000,5,3/7/23\n", "报价日期", "must be a date"),
    ("型号,单价,报价日期\nA6000,5,2023-02-30\n", "报价日期", "must be a date"),
    ("型号,单价,有效期\nA6000,5,7天\n", "有效期", "needs a quote_date"),
    ("型号,单价,含税\nA6000,5,maybe\n", "含税", "yes or no"),
    ("型号,单价,货期\nA6000,5,soon\n", "货期", "number of days"),
    ("型号,价格吗\nA6000,5\n", "quote.csv", "no row names the columns"),
    ("a,b\n1,2\n", "quote.csv", 'row 1 begins with "a | b"'),
    ("", "quote.csv", "the file is empty"),
    ("型号,单价\n合计,5\n", "quote.csv", "no row with a card and a price"),
    ("型号,单价\nA6000," + "5" * 3000 + "\n", "quote.csv:2", "more than 2000 characters"),
    ("型号,单价" + "," * 200 + "x\n", "quote.csv:1", "more than 64 columns"),
    ("型号,单价\n" + "A6000,5\n" * 5001, "quote.csv", "more than 5,000 rows"),
]


@pytest.mark.parametrize(("text", "field", "allowed"), REFUSED, ids=lambda text: str(text)[:30])
def test_refused_with_row_and_column(tmp_path: Path, text: str, field: str, allowed: str) -> None:
    """Tests that what cannot be read is refused, naming row, column and what is allowed."""
    with pytest.raises(InvalidProblem) as caught:
        read(csv(tmp_path, text))
    assert field in str(caught.value)
    assert allowed in str(caught.value)


def test_all_faults_at_once(tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that all faulty rows are told; names alone are an unknown name; the command line cuts a long list short."""
    file = csv(tmp_path, "型号,单价,成色\nA100,x,y\nA6000,x,y\n")
    with pytest.raises(InvalidProblem) as caught:
        read(file)
    assert [v.field for v in caught.value.violations] == ["quote.csv:2 型号", "quote.csv:3 单价", "quote.csv:3 成色"]
    with pytest.raises(UnknownName):
        read(csv(tmp_path, "型号,单价\nA100,5\n"))
    ran = run_cli("optimize", "--quotes", csv(tmp_path, "型号,单价\n" + "foo,5\n" * 15))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.strip().endswith("and 5 more")


CELLS: list[tuple[Callable[..., Any], str, Any]] = [
    (cells.condition, "99新", "used"),
    (cells.condition, "9成新", "used"),
    (cells.condition, "全新未拆封", "new"),
    (cells.condition, "Refurbished", "used"),
    (cells.stock, "10张", 10),
    (cells.stock, "现货10张", 10),
    (cells.stock, ">100", 100),
    (cells.stock, "缺货", 0),
    (cells.stock, "充足", None),
    (cells.min_quantity, "5-9张", (5, 9)),
    (cells.min_quantity, "10张起订", (10, None)),
    (cells.min_quantity, "≥4", (4, None)),
    (cells.date, "2023年7月3日", datetime.date(2023, 7, 3)),
    (cells.date, "2023/7/3 10:30", datetime.date(2023, 7, 3)),
    (cells.date, "20230703", datetime.date(2023, 7, 3)),
    (cells.tax_included, "不含税", False),
    (cells.tax_included, "含13%增值税", True),
    (cells.tax_included, "√", True),
    (cells.lead_time_days, "2-3周", 21),
    (cells.lead_time_days, "1个月", 30),
    (cells.lead_time_days, "15个工作日", 15),
    (cells.lead_time_days, "7", 7),
]


@pytest.mark.parametrize(("parse", "text", "value"), CELLS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_cells(parse: Callable[[str], Any], text: str, value: Any) -> None:
    """Tests cells as vendors fill them in."""
    assert parse(text) == value


def test_end_of_a_quote() -> None:
    """Tests that a quote ends on a day, at the end of a range, some days after it was given, or not at all."""
    given = datetime.date(2023, 7, 3)
    for text, end in (
        ("2023-07-31", datetime.date(2023, 7, 31)),
        ("2023-07-01 至 2023-07-31", datetime.date(2023, 7, 31)),
        ("7天", datetime.date(2023, 7, 10)),
        ("一周", None),
        ("长期有效", None),
        ("当日有效", given),
    ):
        if text == "一周":
            with pytest.raises(cells.Unreadable):
                cells.valid_until(text, given)
        else:
            assert cells.valid_until(text, given) == end


# Hostile workbooks ---------------------------------------------------------------------------------------------------

SHEET = "xl/worksheets/sheet1.xml"
HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = b"</sheetData></worksheet>"
ENTITIES = (
    b'<!DOCTYPE l [<!ENTITY a "'
    + b"a" * 1000
    + b'"><!ENTITY b "'
    + b"&a;" * 1000
    + b'"><!ENTITY c "'
    + b"&b;" * 1000
    + b'">]>'
)
TEXT_CELL = b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>'


def workbook(changed: bytes | None = None, more: int = 0, swap: tuple[bytes, bytes] = (b"", b"")) -> bytes:
    """A good quote as XLSX, with its sheet's XML replaced, bytes of it swapped, or parts added."""
    book = openpyxl.Workbook()
    book.worksheets[0].append(["型号", "单价"])
    book.worksheets[0].append(["RTX A6000", 27500])
    packed, made = io.BytesIO(), io.BytesIO()
    book.save(packed)
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == SHEET:
                content = (changed or content).replace(*swap) if swap[0] else (changed or content)
            new.writestr(entry.filename, content)
        for number in range(more):
            new.writestr(f"x{number}", b"")
    return made.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "60 MB of blanks": (lambda: workbook(HEAD + b" " * (60 * 2**20) + TAIL), "24 MiB"),
    "20 MB in a cell": (lambda: workbook(HEAD + TEXT_CELL % (b"A" * 20 * 2**20) + TAIL), "100 times its size"),
    "a million tags": (
        lambda: workbook(HEAD + b"".join(b"<c r='%d'/>" % i for i in range(600_000)) + TAIL),
        "XML tags",
    ),
    "60,000 rows": (
        lambda: workbook(
            HEAD + b"".join(b'<row r="%d"><c r="A%d"><v>%d</v></c></row>' % (i, i, i) for i in range(1, 60_000)) + TAIL
        ),
        "more than 5,000 rows",
    ),
    "row 99,999,999,999": (lambda: workbook(swap=(b'r="2"', b'r="99999999999"')), "rows beyond"),
    "outside entity": (
        lambda: workbook(b'<!DOCTYPE a [<!ENTITY c SYSTEM "file:///etc/passwd">]>' + HEAD + TEXT_CELL % b"&c;" + TAIL),
        "cannot be read",
    ),
    "a billion laughs": (lambda: workbook(ENTITIES + HEAD + TEXT_CELL % b"&c;" + TAIL), "cannot be read"),
    "5,000 parts": (lambda: workbook(more=5000), "1,000 parts"),
    "half a file": (lambda: workbook()[:2000], "cannot be read"),
    "rubbish": (lambda: b"PK" + os.urandom(5000), "cannot be read"),
    "XML rubbish": (lambda: workbook(b"\x00\xff" * 100), "cannot be read"),
    "1e400": (lambda: workbook(swap=(b"27500", b"1e400")), "amount in CNY"),
    "NaN": (lambda: workbook(swap=(b"27500", b"NaN")), "cannot be read"),
    "old .xls": (lambda: b"\xd0\xcf\x11\xe0" + b"0" * 1000, "old .xls"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "quote.xlsx"),
}


@pytest.mark.parametrize(("make", "told_so"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_workbook(tmp_path: Path, make: Callable[[], bytes], told_so: str) -> None:
    """Tests that a bomb or rubbish is refused in one line, quickly."""
    file = tmp_path / "quote.xlsx"
    file.write_bytes(make())
    started = time.process_time()
    with pytest.raises(InvalidProblem) as caught:
        read(file)
    assert time.process_time() - started < 2
    assert told_so in str(caught.value)


def test_lying_dimension_does_no_harm(tmp_path: Path) -> None:
    """Tests that a sheet which claims a million rows is read by what it holds."""
    file = tmp_path / "quote.xlsx"
    file.write_bytes(workbook(swap=(b'ref="A1:B2"', b'ref="A1:XFD1048576"')))
    (offer,) = read(file).offers
    assert offer.unit_price_cny == 27500


def test_thousands_of_offers_of_one_card(tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that 4,999 vendors of one card are weighed in time, and the cheapest is taken."""
    file = csv(tmp_path, "card,unit_price_cny,vendor\n" + "".join(f"rtx-a6000,{30000 - i},v{i}\n" for i in range(4999)))
    started = time.process_time()
    ran = run_cli("optimize", "--include", "rtx-a6000", "--goal", "cost", "--format", "json", "--quotes", file)
    assert time.process_time() - started < 5
    assert ran.json["plan"]["order"][0]["unit_price_cny"] == 30000 - 4998
