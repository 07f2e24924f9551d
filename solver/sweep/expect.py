"""Expectations: `total_batch >= 16`, `card_id == rtx-a6000`, `status == infeasible`; they turn a file into a check.

One comparison each: a column of the results (columns.py), an operator, a value. Where a scenario has no plan, a
comparison of a plan's figure does not hold. Modify this module when an expectation should say more.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from solver.domain.errors import InvalidProblem, nearest
from solver.domain.language import say
from solver.sweep.columns import KINDS, flat

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*(==|!=|>=|<=|>|<)\s*(\S.*?)\s*$")


@dataclass(frozen=True)
class Expectation:
    """One comparison."""

    text: str
    column: str
    operator: str
    value: str | float

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for a row's columns."""
        value = values.get(self.column)
        if value is None or value == "":
            return False
        if isinstance(value, bool):
            value = str(value).lower()
        return _OPERATORS[self.operator](value, self.value)


@lru_cache(maxsize=1000)
def expectation(text: str) -> Expectation:
    """Read an expectation.

    Raises:
        InvalidProblem: not a comparison, no such column, or an order asked of words.
    """
    match = _FORM.match(text[:300])
    if match is None:
        raise InvalidProblem.of("expect", text, say("must be COLUMN OPERATOR VALUE, such as total_batch >= 16"))
    column, sign, given = match.groups()
    kind = KINDS.get(column)
    if kind is None:
        raise InvalidProblem.of("expect", column, say("no such column") + nearest(column, KINDS))
    if kind in ("int", "float"):
        try:
            return Expectation(text, column, sign, float(given.replace(",", "")))
        except ValueError:
            raise InvalidProblem.of(
                "expect", text, say("{column} must be compared with a number", column=column)
            ) from None
    if sign not in ("==", "!="):
        raise InvalidProblem.of("expect", text, say("{column} is a word: compare it with == or !=", column=column))
    return Expectation(text, column, sign, given.strip("\"'"))


def broken_of(expect: Sequence[str], answer: Mapping[str, Any]) -> list[str]:
    """Those that do not hold, each with what it found: 'total_batch >= 16 (12)'."""
    values = flat(answer)
    found = []
    for text in expect:
        asked = expectation(text)
        if not asked.holds(values):
            actual = values.get(asked.column)
            found.append(f"{text} ({'none' if actual is None else actual})")
    return found
