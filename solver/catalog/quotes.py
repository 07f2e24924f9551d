"""Vendor quotes: tables in the layouts vendors use -> offers. What cannot be read for certain is refused, with its row.

A header row is looked for below titles; rows that name no card or no price (totals, remarks, "ask us") are left out and
reported. Modify this module when vendors lay out a table in a new way; how a cell is written is cells.py's matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from solver.catalog import cells
from solver.catalog.names import CardNames, plain
from solver.catalog.question import overlaid
from solver.catalog.tables import Cell, Sheet, read_tables
from solver.domain.catalog import Catalog, Offer
from solver.domain.errors import InvalidProblem, UnknownName, Violation, from_validation_error, shown
from solver.domain.language import say

_WITHIN_ROWS = 40
"""The header stands among the first rows of a table, below titles."""

HEADERS: dict[str, str] = {
    "card": "card model gpu gpumodel 型号 显卡型号 产品型号 商品型号 货物型号 gpu型号 规格型号 型号规格 显卡 product "
    "item 产品名称 商品名称 货物名称 设备名称 名称 品名 产品 商品 规格 description",
    "unit_price_cny": "unitpricecny unitprice price pricecny 含税单价 含税价 含税报价 单价 报价单价 报价 价格 销售单价 "
    "优惠价 优惠单价 售价 未税单价 不含税单价 未税价 不含税价 裸价",
    "condition": "condition state 成色 新旧 新旧程度 品相 状态",
    "stock": "stock instock available 库存 库存数量 库存量 现货数量 可供数量 可售数量",
    "min_quantity": "minquantity minqty moq minimumquantity 起订量 最小起订量 最低起订量 起订数量 起批量 起售数量 "
    "最小订购量 阶梯数量 数量区间",
    "vendor": "vendor supplier seller 供应商 供应商名称 供货商 供方 商家 卖家 经销商 报价单位 报价方 公司 公司名称 "
    "店铺",
    "quote_date": "quotedate date quoted 报价日期 日期 报价时间 询价日期 更新日期",
    "valid_until": "validuntil valid expires expiry 有效期 有效期至 有效期限 报价有效期 有效日期 截止日期 失效日期",
    "tax_included": "taxincluded tax 含税 是否含税 含税情况 发票",
    "lead_time_days": "leadtimedays leadtime delivery 货期 交期 交货期 交货时间 交货周期 供货周期 到货时间 到货周期",
}
"""Field of an offer -> the headers it is known by, preferred ones first; spaces, `_` and brackets do not count."""
_FIELD_OF = {name: (field, rank) for field, names in HEADERS.items() for rank, name in enumerate(names.split())}
_IN_BRACKETS = re.compile(r"[(\[【].*?[)\]】]")
_NOT_LETTERS = re.compile(r"[\s_\-/:*.。、#]+")
_CURRENCY = re.compile(r"(?:元|人民币|rmb|cny|¥)+(?:/?(?:张|片|块|台|个|pcs))?$")
_FOREIGN = re.compile(r"usd|eur|hkd|jpy|美元|美金|欧元|港币|港元|日元|\$|€")
_TOTALS = re.compile(
    r"^(?:合计|总计|小计|总价|共计|总额|总金额|大写|grand total|total|sub-?total|sum)\b|^(?:合计|总计|小计|共计|总额)"
)


@dataclass(frozen=True)
class Quotes:
    """The offers of some quote files in order, and what was left out of them, one line each."""

    offers: tuple[Offer, ...]
    notes: tuple[str, ...]


def with_quotes(catalog: Catalog, quotes: Quotes) -> Catalog:
    """Replace the offers of every card and platform that the quotes name."""
    return overlaid(catalog, (), (), quotes.offers)


def read_quotes(files: Iterable[Path], catalog: Catalog) -> Quotes:
    """Read quotes, CSV or XLSX, for the cards (and platforms) of a catalogue.

    Raises:
        InvalidProblem: not a table, no header, or cells that cannot be read; all faults, each with file and row.
        UnknownName: a card's name fits none or several of the catalogue for certain; the message offers candidates.
    """
    names = CardNames(catalog.cards, catalog.platform_by_id)
    offers: list[Offer] = []
    notes: list[str] = []
    faults: list[Violation] = []
    unknown_only = True
    for file in files:
        sheets = read_tables(file, lambda row: _columns_of(row) is not None)
        readers = [_Reader(sheet, _vendor(file, sheet, len(sheets)), names) for sheet in sheets if not sheet.hidden]
        for reader in readers:
            reader.read()
            offers += _closed(reader.rows)
            notes += reader.notes
            faults += reader.faults
            unknown_only &= reader.unknown_only
        notes += [say("{sheet}: a hidden sheet, not read", sheet=sheet.name) for sheet in sheets if sheet.hidden]
        if not any(reader.has_header for reader in readers):
            raise InvalidProblem.of(
                file.name,
                None,
                say("no row names the columns: card (or 型号) and unit_price_cny (or 单价) are needed")
                + _first_row(sheets),
            )
        if not faults and not any(reader.rows for reader in readers):
            raise InvalidProblem.of(file.name, None, say("holds no row with a card and a price"))
    if faults:
        raise UnknownName(faults) if unknown_only else InvalidProblem(faults)
    return Quotes(tuple(offers), tuple(notes))


def _vendor(file: Path, sheet: Sheet, sheets: int) -> str:
    """Whose quote it is where no column says: the file's (and sheet's) name keeps two vendors' breaks apart."""
    title = sheet.name.removeprefix(file.name).strip("[]")
    return f"{file.stem} {title}"[:200] if sheets > 1 else file.stem[:200]


def _first_row(sheets: Sequence[Sheet]) -> str:
    for sheet in sheets:
        for number, row in sheet.rows:
            cells_shown = shown(" | ".join(str(cell) for cell in row))
            return say("; row {number} begins with {cells}", number=number, cells=cells_shown)
    return say("; the file is empty")


@dataclass(frozen=True)
class _Columns:
    """Which column holds what, as a header says."""

    at: dict[str, int]
    also_card: tuple[int, ...]
    """Further columns that describe the card: read together with the first where that alone is uncertain."""
    title: dict[str, str]
    unread: tuple[str, ...]
    price_unit: str
    taxed: bool | None


def _columns_of(row: Sequence[Cell]) -> _Columns | None:
    """The columns a row names, or None if it is no header: a card and a price are the least."""
    found: dict[str, list[tuple[int, int]]] = {}
    unread = []
    for position, cell in enumerate(row):
        if not isinstance(cell, str) or not cell or len(cell) > 60:
            continue
        name = _header(cell)
        if name in _FIELD_OF:
            kind, rank = _FIELD_OF[name]
            found.setdefault(kind, []).append((rank, position))
        else:
            unread.append(cell)
    if "card" not in found or "unit_price_cny" not in found:
        return None
    at = {kind: min(positions)[1] for kind, positions in found.items()}
    also_card = tuple(position for _, position in sorted(found["card"])[1:])
    unread += [
        str(row[position])
        for kind, positions in found.items()
        for _, position in sorted(positions)[1:]
        if kind != "card"
    ]
    title = {kind: str(row[position]) for kind, position in at.items()}
    price = plain(title["unit_price_cny"])
    taxed = False if re.search("未税|不含税|裸价", price) else True if "含税" in price else None
    unit = "万" if "万" in price else "foreign" if _FOREIGN.search(price) else ""
    return _Columns(at, also_card, title, tuple(unread), unit, taxed)


def _header(cell: str) -> str:
    """A header without spaces, brackets, marks and the currency: 'Unit price (CNY)', '单价（元）' as they are known."""
    text = _NOT_LETTERS.sub("", _IN_BRACKETS.sub("", plain(cell)))
    return text if text in _FIELD_OF else _CURRENCY.sub("", text).removesuffix("万")


@dataclass
class _Row:
    """One priced row: the fields of its offer, and the largest quantity it is for, where it says so."""

    fields: dict[str, Any]
    most: int | None
    offer: Offer


@dataclass
class _Reader:
    """Reads one sheet; faults and notes are collected, so that all are told at once."""

    sheet: Sheet
    vendor: str
    names: CardNames
    rows: list[_Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[Violation] = field(default_factory=list)
    has_header: bool = False
    unknown_only: bool = True

    def read(self) -> None:
        """Go through the rows; a further header starts a further table."""
        columns: _Columns | None = None
        passed = 0
        for number, row in self.sheet.rows:
            named = _columns_of(row)
            if named is not None:
                columns, self.has_header = named, True
                if columns.unread:
                    self.note(number, say("columns not read: {names}", names=", ".join(columns.unread)))
            elif columns is not None:
                self.row(number, row, columns)
            else:
                passed += 1
                if passed >= _WITHIN_ROWS:
                    return

    def note(self, number: int, text: str) -> None:
        """Report what is left out."""
        self.notes.append(f"{self.sheet.name}:{number}: {' '.join(text.split())}"[:300])

    def fault(self, number: int, violation: Violation) -> None:
        """Report what cannot be read."""
        self.faults.append(
            Violation(f"{self.sheet.name}:{number} {violation.field}".rstrip(), violation.value, violation.allowed)
        )

    def row(self, number: int, row: Sequence[Cell], columns: _Columns) -> None:
        """Read one row below a header."""
        texts = [cells.text(cell) for cell in row]
        if any(_TOTALS.match(plain(text)) for text in texts[:3] if text) or _TOTALS.match(
            plain(next(filter(None, texts)))
        ):
            self.note(number, say("a total, left out: {cells}", cells=" | ".join(filter(None, texts))))
            return
        at = columns.at
        get: Callable[[str], Cell] = lambda name: row[at[name]] if name in at and at[name] < len(row) else ""  # noqa: E731
        card, price = cells.text(get("card")), cells.text(get("unit_price_cny"))
        if price == "" or cells.is_on_request(price):
            left_out = " | ".join(filter(None, texts))
            if price or not card:
                self.note(number, say("no price, left out: {cells}", cells=left_out))
            else:
                self.note(
                    number, say("no price (or a formula that was never calculated), left out: {cells}", cells=left_out)
                )
            return
        above = self.rows[-1].fields if self.rows else {}
        item = ""
        if not card:
            if not (above and cells.text(get("min_quantity"))):
                self.unknown_only = False
                self.fault(number, Violation(columns.title["card"], "", say("a price without a card")))
                return
            item = above["item_id"]  # a further quantity break of the card above
        else:
            more = " ".join(cells.text(row[position]) for position in columns.also_card if position < len(row))
            match = self.names.match(card)
            if match.item_id is None and more.strip():
                match = self.names.match(f"{card} {more}")
            if match.item_id is None:
                unsure = say("is not certainly a card of the catalogue")
                if match.candidates:
                    candidates = say(" or ").join(match.candidates)
                    unsure = say(
                        "is not certainly a card of the catalogue; it may be {candidates}: write its id",
                        candidates=candidates,
                    )
                self.fault(
                    number,
                    Violation(columns.title["card"], shown(card), unsure),
                )
                return
            item = match.item_id
        try:
            is_break = above.get("item_id") == item and cells.text(get("min_quantity")) != ""
            self.offer(number, item, card, get, columns, above if is_break else {})
        except InvalidProblem as error:
            self.unknown_only = False
            for violation in error.violations:
                self.fault(number, violation)

    def offer(
        self,
        number: int,
        item: str,
        card: str,
        get: Callable[[str], Cell],
        columns: _Columns,
        above: dict[str, Any],
    ) -> None:
        """Make the offer of a row; what a further quantity break of a card leaves empty is as in the row above."""
        title = columns.title
        faults: list[Violation] = []

        def read(name: str, parse: Callable[[Cell], Any]) -> Any:
            if cells.text(get(name)) == "":
                return above.get(name)
            try:
                return parse(get(name))
            except cells.Unreadable as error:
                faults.append(Violation(title[name], shown(cells.text(get(name))), str(error)))
                return None

        fields: dict[str, Any] = {"item_id": item}
        try:
            fields["unit_price_cny"] = cells.price(cells.text(get("unit_price_cny")), columns.price_unit)
        except cells.Unreadable as error:
            shown_price = shown(cells.text(get("unit_price_cny")))
            faults.append(Violation(title["unit_price_cny"], shown_price, str(error)))
        condition = read("condition", cells.condition)
        said = cells.condition_in_name(card)
        if condition is not None and said is not None and condition != said:
            faults.append(
                Violation(
                    title["condition"], shown(cells.text(get("condition"))), say("but the name says {said}", said=said)
                )
            )
        quantity = read("min_quantity", cells.min_quantity) or (1, None)
        quoted = read("quote_date", cells.date)
        fields |= {
            "condition": condition or said or "new",
            "stock": read("stock", cells.stock),
            "min_quantity": quantity[0],
            "vendor": cells.text(get("vendor"))[:200] or above.get("vendor") or self.vendor,
            "quote_date": quoted,
            "valid_until": read("valid_until", lambda cell: cells.valid_until(cell, quoted)),
            "tax_included": read("tax_included", cells.tax_included),
            "lead_time_days": read("lead_time_days", cells.lead_time_days),
            "source": f"{self.sheet.name}, row {number}",
            "basis": "quote",
        }
        if fields["tax_included"] is None:
            fields["tax_included"] = columns.taxed
        if faults:
            raise InvalidProblem(faults)
        try:
            made = Offer.model_validate(fields)
        except ValidationError as error:
            raise from_validation_error(error) from None
        self.rows.append(_Row(fields, quantity[1], made))


def _closed(rows: Sequence[_Row]) -> list[Offer]:
    """The offers of the rows; where every break of an offer names its largest quantity, no more can be bought."""
    open_ended = {_seller(row) for row in rows if row.most is None}
    return [
        row.offer
        if row.most is None or row.offer.stock is not None or _seller(row) in open_ended
        else row.offer.model_validate({**dict(row.offer), "stock": row.most})
        for row in rows
    ]


def _seller(row: _Row) -> tuple[str, str, str]:
    return row.offer.item_id, row.offer.vendor, row.offer.condition
