"""Money as people write it: "300000", "300,000", "30万", "¥27500", "2.75 万元" are exact amounts in yuan."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say

_UNITS = {"": Decimal(1), "万": Decimal(10_000), "w": Decimal(10_000), "千": Decimal(1000), "k": Decimal(1000)}
_AMOUNT = re.compile(
    r"^(?:¥|￥|cny|rmb)?\s*(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d{1,15}(?:\.\d{0,12})?)\s*(?P<unit>万|w|千|k|)\s*(?:元|圆|cny|rmb|yuan)?(?:整)?$",
    re.IGNORECASE,
)
ALLOWED = message('must be an amount in CNY with at most two decimals, such as 300000, "300,000" or 30万')


def parse_cny(text: str, field: str) -> Decimal:
    """Return the amount in yuan, exactly.

    Raises:
        InvalidProblem: not an amount, more than two decimals of a yuan, or above 10^12.
    """
    plain = unicodedata.normalize("NFKC", text[:100]).strip()
    match = _AMOUNT.match(plain)
    if match is None:
        raise InvalidProblem.of(field, text, say(ALLOWED))
    amount = Decimal(match["number"].replace(",", "")) * _UNITS[match["unit"].lower()]
    if amount * 100 != (amount * 100).to_integral_value() or amount > 10**12:
        raise InvalidProblem.of(field, text, say(ALLOWED))
    return Decimal(format(amount.normalize(), "f"))
