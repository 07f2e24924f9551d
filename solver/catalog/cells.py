"""Cells as vendors fill them in: "2.75万", "二手", "5-9张", "7天" -> price, condition, quantity, days; or a refusal.

Modify this module when a cell is written in a way it does not know.
"""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Literal

from solver.catalog.amounts import ALLOWED, parse_cny
from solver.catalog.names import plain
from solver.catalog.tables import Cell
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say

Condition = Literal["new", "used"]


class Unreadable(ValueError):
    """A cell that cannot be read for certain; the message says what is allowed."""


_MOST = 10_000
_PIECES = r"(?:张|片|块|台|个|件|pcs?|pieces?|cards?)?"
_PER_PIECE = re.compile(r"\s*(?:/|每|per\s+)\s*(?:张|片|块|台|个|件|pcs?|piece|card)\s*$")
_ON_REQUEST = re.compile(r"^(?:面议|询价|电询|电议|议价|待定|咨询|请询|缺货|无货|停产|tbd|n/?a|ask|-+|—+|/+)$")
_USED = re.compile(
    r"二手|旧|拆机|翻新|\d\s*成新|[一二三四五六七八九]成新|\d+\s*新|准新|used|refurb|second.?hand|like new"
)
_NEW = re.compile(r"^(?:全新.*|新|新品|新卡|原装.*|正品|行货|未拆封?|brand.?new|new|sealed)$")
_NAMED_USED = re.compile(r"二手|拆机|翻新|成新|\d\d新|(?<![a-z])(?:used|refurb\w*)(?![a-z])")
_NAMED_NEW = re.compile(r"全新|未拆|(?<![a-z])(?:brand.?new|new)(?![a-z])")
_COUNT = re.compile(
    rf"^(?:现货)?[>≥]?=?\s*(\d{{1,6}})(?:\.0+)?\s*{_PIECES}\s*(?:\+|以上|起订|起批|起售|起)?\s*{_PIECES}$"
)
_RANGE = re.compile(rf"^(\d{{1,6}})\s*{_PIECES}\s*(?:-|~|–|—|至|到|to)\s*(\d{{1,6}})\s*{_PIECES}$")
_PLENTY = re.compile(r"^(?:现货|现货充足|大量现货|充足|有|有货|库存充足|大量|in ?stock|yes|期货|预订|订货|可订)$")
_NONE = re.compile(r"^(?:无|无货|缺货|售罄|没有|无库存|无现货|out of stock|none|no)$")
_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*(?:日|号)?")
_COMPACT_DAY = re.compile(r"^(20\d{2})(\d{2})(\d{2})$")
_SPAN = re.compile(
    r"^(?:约)?(\d{1,4})(?:\.0+)?(?:\s*(?:-|~|–|—|至|到|to)\s*(\d{1,4}))?\s*"
    r"(天|日|days?|d|个?工作日|working days?|周|个?星期|个?礼拜|weeks?|w|个?月|months?)?"
    r"\s*(?:左右|以内|之内|内|有效|后)?$"
)
_OPEN_ENDED = re.compile(r"^(?:长期|长期有效|永久|无期限|不限)$")
_UNTAXED = re.compile(r"^(?:否|不|未|不含.*|未税.*|未含.*|无|无票|不开票|no|n|false|f|0|×|✗|✘|x|untaxed|excl.*)$")
_TAXED = re.compile(
    r"^(?:是|含|含税.*|含\d+%.*|有|\d+%.*|.*专票.*|.*普票.*|增票.*|开票|yes|y|true|t|1|√|✓|✔|taxed|incl.*)$"
)
DATE_ALLOWED = message("must be a date such as 2023-06-29, 2023/6/29 or 2023年6月29日")


def text(cell: Cell) -> str:
    """The cell as text."""
    return cell if isinstance(cell, str) else cell.isoformat()


def is_on_request(price: str) -> bool:
    """Whether a price cell says that there is none: ask us, out of stock, a dash."""
    return _ON_REQUEST.match(plain(price)) is not None


def price(written: str, unit: str) -> Decimal:
    """The price in yuan; `unit` is the header's: empty, "万", or "foreign" where it names another currency."""
    if unit == "foreign":
        raise Unreadable(say("the column is in another currency; quotes are in CNY"))
    plain_text = _PER_PIECE.sub("", plain(written))
    try:
        amount = parse_cny(plain_text, "price")
    except InvalidProblem:
        raise Unreadable(say(ALLOWED)) from None
    if unit == "万" and not re.search("[万wk千元]", plain_text):
        amount *= 10_000
    if amount <= 0:
        raise Unreadable(say("must be above 0"))
    return amount


def condition(cell: Cell) -> Condition:
    """New or used; 99新 and the like are used."""
    written = plain(text(cell))
    if _USED.search(written):
        return "used"
    if _NEW.match(written):
        return "new"
    raise Unreadable(say("must be new or used (全新 or 二手)"))


def condition_in_name(name: str) -> Condition | None:
    """What the name of the card says of its condition: 'RTX 3090 二手'."""
    written = plain(name)
    if _NAMED_USED.search(written):
        return "used"
    return "new" if _NAMED_NEW.search(written) else None


def stock(cell: Cell) -> int | None:
    """Pieces in stock; None where there is plenty or it is made to order."""
    written = plain(text(cell))
    count = _COUNT.match(written)
    if count is not None:
        return min(_MOST, int(count[1]))
    if _PLENTY.match(written):
        return None
    if _NONE.match(written):
        return 0
    raise Unreadable(say("must be a whole number of pieces, or 现货 or 无货"))


def min_quantity(cell: Cell) -> tuple[int, int | None]:
    """The smallest quantity, and the largest where a range says so: '5-9张' is (5, 9)."""
    written = plain(text(cell))
    count, span = _COUNT.match(written), _RANGE.match(written)
    least, most = (int(count[1]), None) if count else (int(span[1]), int(span[2])) if span else (0, None)
    if not 1 <= least <= _MOST or (most is not None and not least <= most <= _MOST):
        raise Unreadable(say("must be a whole number of pieces from 1, or a range such as 5-9"))
    return least, most


def date(cell: Cell) -> datetime.date:
    """A day."""
    if isinstance(cell, datetime.date):
        return cell
    days = _days(cell)
    if len(days) != 1:
        raise Unreadable(say(DATE_ALLOWED))
    return days[0]


def _days(written: str) -> list[datetime.date]:
    compact = plain(written)
    found = [_COMPACT_DAY.match(compact)] if _COMPACT_DAY.match(compact) else list(_DAY.finditer(compact))
    try:
        return [datetime.date(int(m[1]), int(m[2]), int(m[3])) for m in found if m is not None]
    except ValueError:
        raise Unreadable(say(DATE_ALLOWED)) from None


def valid_until(cell: Cell, quoted: datetime.date | None) -> datetime.date | None:
    """The last day of a quote: a day, the end of a range, or '7天' after the day it was given; None for 长期."""
    if isinstance(cell, datetime.date):
        return cell
    written = plain(cell)
    if _OPEN_ENDED.match(written):
        return None
    days = _days(cell)
    if days:
        return days[-1]
    span = 0 if written in ("当日", "当天", "当日有效", "当天有效") else _span_days(written)
    if span is None or span > _MOST:
        raise Unreadable(say("must be a date such as 2023-06-29, 2023/6/29 or 2023年6月29日, or a time such as 7天"))
    if quoted is None:
        raise Unreadable(say("a time from the day of the quote needs a quote_date (报价日期)"))
    return quoted + datetime.timedelta(days=span)


def tax_included(cell: Cell) -> bool:
    """Whether the price contains the tax."""
    written = plain(text(cell))
    if _UNTAXED.match(written):
        return False
    if _TAXED.match(written):
        return True
    raise Unreadable(say("must be yes or no (是 or 否, 含税 or 未税)"))


def lead_time_days(cell: Cell) -> int:
    """Days until delivery, the later end of a range; weeks count 7 and months 30."""
    written = plain(text(cell))
    span = 0 if re.match(r"^(?:现货.*|当天.*|当日.*|in ?stock|immediate.*)$", written) else _span_days(written)
    if span is None or span > _MOST:
        raise Unreadable(say("must be a number of days, or a time such as 2周 or 现货"))
    return span


def _span_days(written: str) -> int | None:
    match = _SPAN.match(written)
    if match is None:
        return None
    unit = match[3] or "天"
    in_weeks = unit in ("w", "week", "weeks") or unit[-1] in "周期拜"
    in_months = "月" in unit or "month" in unit
    return int(match[2] or match[1]) * (7 if in_weeks else 30 if in_months else 1)
