"""Ordinary least squares in exact arithmetic, and Student's t, for a handful of unknowns and some thousands of rows.

Exact, because measured rows are short decimals and the question "can these two be told apart?" has an exact answer.
Plain arithmetic, so that a calibration needs no numpy. Modify this module for another way of fitting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Vector = Sequence[Fraction]


@dataclass(frozen=True)
class Solution:
    """What a fit gives: values, their standard errors, and what each row is off by.

    Attributes:
        values: one for each column.
        errors: their standard errors; None where there are no more rows than unknowns.
        freedom: rows minus unknowns.
        residuals: measured minus fitted, row by row.
        studentized: residual over its own standard error as the other rows give it; None where they give none.
    """

    values: tuple[Fraction, ...]
    errors: tuple[float, ...] | None
    freedom: int
    residuals: tuple[Fraction, ...]
    studentized: tuple[float | None, ...]


def rank(rows: Sequence[Vector]) -> int:
    """How many columns of the rows can be told apart."""
    left = [list(row) for row in {tuple(row): row for row in rows}.values()]
    found = 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((i for i in range(found, len(left)) if left[i][column]), None)
        if pivot is None:
            continue
        left[found], left[pivot] = left[pivot], left[found]
        head = left[found]
        for i in range(found + 1, len(left)):
            share = left[i][column] / head[column]
            if share:
                left[i] = [a - share * b for a, b in zip(left[i], head, strict=True)]
        found += 1
    return found


def fit(rows: Sequence[Vector], measured: Vector) -> Solution:
    """Least squares of `measured` on the columns of `rows`; the columns must be told apart (`rank`)."""
    width = len(rows[0])
    normal = [[sum((row[i] * row[j] for row in rows), Fraction(0)) for j in range(width)] for i in range(width)]
    inverse = _inverse(normal)
    moments = [sum((row[i] * y for row, y in zip(rows, measured, strict=True)), Fraction(0)) for i in range(width)]
    values = tuple(sum((inverse[i][j] * moments[j] for j in range(width)), Fraction(0)) for i in range(width))
    residuals = tuple(
        y - sum((v * x for v, x in zip(values, row, strict=True)), Fraction(0))
        for row, y in zip(rows, measured, strict=True)
    )
    freedom = len(rows) - width
    rest = sum((r * r for r in residuals), Fraction(0))
    errors = None
    if freedom > 0:
        errors = tuple(math.sqrt(rest / freedom * inverse[i][i]) for i in range(width))
    studentized = tuple(
        _studentized(row, residual, rest, freedom, inverse) for row, residual in zip(rows, residuals, strict=True)
    )
    return Solution(values, errors, freedom, residuals, studentized)


def _studentized(
    row: Vector, residual: Fraction, rest: Fraction, freedom: int, inverse: Sequence[Vector]
) -> float | None:
    """Residual / (s without this row * sqrt(1 - leverage)); infinite where all others fit exactly and this one not."""
    leverage = sum((row[i] * inverse[i][j] * row[j] for i in range(len(row)) for j in range(len(row))), Fraction(0))
    if freedom < 2 or leverage >= 1:
        return None
    without = (rest - residual * residual / (1 - leverage)) / (freedom - 1)
    if without <= 0:
        return math.copysign(math.inf, residual) if residual else 0.0
    return float(residual) / math.sqrt(without * (1 - leverage))


def _inverse(matrix: Sequence[Vector]) -> list[list[Fraction]]:
    size = len(matrix)
    left = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if left[i][column])
        left[column], left[pivot] = left[pivot], left[column]
        head = left[column][column]
        left[column] = [value / head for value in left[column]]
        for i in range(size):
            share = left[i][column]
            if i != column and share:
                left[i] = [a - share * b for a, b in zip(left[i], left[column], strict=True)]
    return [row[size:] for row in left]


def t_quantile(within: float, freedom: int) -> float:
    """The t with P(-t <= T <= t) = `within` for Student's T of whole degrees of freedom, by bisection.

    Args:
        within: above 0, below 1.
        freedom: 1 or more.
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < within:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < within else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(-t <= T <= t), the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    theta = math.atan2(t, math.sqrt(freedom))
    squared = math.cos(theta) ** 2
    odd = freedom % 2
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for k in range((freedom - odd) // 2):
        if k:
            term *= (2 * k) / (2 * k + 1) * squared if odd else (2 * k - 1) / (2 * k) * squared
        total += term
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total
