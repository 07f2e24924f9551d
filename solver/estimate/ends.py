"""Three values of one figure, exact until they are rounded for a record: low down, expected to the nearest, high up."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from solver.domain.shape import Range

GIB = 2**30


class Ends(NamedTuple):
    """Low, expected and high value of one figure, `low <= expected <= high`."""

    low: Fraction
    expected: Fraction
    high: Fraction


def exactly(value: int | Decimal | Fraction) -> Ends:
    """A figure without spread."""
    return Ends(Fraction(value), Fraction(value), Fraction(value))


def ends_of(assumed: Range) -> Ends:
    """The three values of an assumption."""
    return Ends(Fraction(assumed.low), Fraction(assumed.expected), Fraction(assumed.high))


def times(a: Ends, b: Ends) -> Ends:
    """The product of two figures that are not below 0."""
    return Ends(a.low * b.low, a.expected * b.expected, a.high * b.high)


def over(a: Ends, b: Ends) -> Ends:
    """The quotient of two figures; the divisor above 0."""
    return Ends(a.low / b.high, a.expected / b.expected, a.high / b.low)


def rounded(ends: Ends, places: int, least: Decimal = Decimal(0)) -> tuple[Decimal, Decimal, Decimal]:
    """Low, expected and high with so many decimals, none below `least`; they stay in order."""
    scale = 10**places

    def made(units: int) -> Decimal:
        return max(least, Decimal(units).scaleb(-places))

    return (
        made(math.floor(ends.low * scale)),
        made(round(ends.expected * scale)),
        made(math.ceil(ends.high * scale)),
    )
