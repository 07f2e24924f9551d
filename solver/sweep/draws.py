"""Random draws with a seed: the same file gives the same scenarios on every machine, in any order of asking.

Each path has a stream of its own, seeded by the file's seed, the sweep and the path, so that adding one does not
change the others. A percent draw is of the value of today: 10 % of a price. Modify this module to add a distribution:
one reader, one line in `DISTRIBUTIONS`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from statistics import NormalDist
from typing import Any

from solver.domain.errors import InvalidProblem, nearest
from solver.sweep.values import decimal_of, read_value, rounded

MOST_DRAWS = 100_000_000
MOST_AGAIN = 1000
"""A price of 0 or less is drawn again, so often at most."""
_NORMAL = NormalDist()

Sample = Callable[[random.Random], float]


@dataclass(frozen=True)
class Draw:
    """How one path is drawn: an absolute value, or a share to be added to the value of today."""

    path: str
    sample: Sample
    relative: bool
    choices: tuple[Any, ...] = ()
    step: Decimal | None = None

    def stream(self, seed: str) -> random.Random:
        """The path's own stream of random numbers."""
        return random.Random(f"{seed}/{self.path}")

    def value(self, stream: random.Random, today: Decimal | None) -> Any:
        """The next value; `today` is the present one, for draws in percent."""
        if self.choices:
            return self.choices[int(stream.random() * len(self.choices))]
        if self.relative and today is None:
            raise InvalidProblem.of(self.path, None, "has no value today to take a percentage of")
        for _ in range(MOST_AGAIN):
            drawn = self.sample(stream)
            if self.relative and drawn <= -1:
                continue
            number = Decimal(repr(drawn))
            if today is not None and self.relative:
                number = today * (1 + number)
            if self.step is not None:
                number = (number / self.step).quantize(Decimal(1), ROUND_HALF_UP) * self.step
            value = rounded(self.path, number)
            if value > 0 or not self.path.startswith("prices."):
                return value
        raise InvalidProblem.of(self.path, None, f"no price above 0 came of {MOST_AGAIN:,} draws")


def read_draw(path: str, spec: Any) -> Draw:
    """Read `{normal: {percent: 10}}`, `{uniform: [100000, 300000], step: 1000}`, `{choice: [...]}` and the like.

    Raises:
        InvalidProblem: no such distribution, or figures that make none.
    """
    if not isinstance(spec, Mapping):
        raise InvalidProblem.of(path, None, f"must be one of {', '.join(DISTRIBUTIONS)}, with its figures")
    step = None
    if "step" in spec:
        step = decimal_of(spec["step"], f"{path}.step")
        if step <= 0:
            raise InvalidProblem.of(f"{path}.step", str(step), "must be above 0")
    kinds = [key for key in spec if key != "step"]
    if len(kinds) != 1 or kinds[0] not in DISTRIBUTIONS:
        hint = nearest(kinds[0], DISTRIBUTIONS) if kinds else ""
        raise InvalidProblem.of(path, None, f"must be one of {', '.join(DISTRIBUTIONS)}{hint}")
    made = DISTRIBUTIONS[kinds[0]](path, spec[kinds[0]])
    if not made.choices:
        rounded(path, Decimal(0))  # only numbers are drawn
    return Draw(made.path, made.sample, made.relative, made.choices, step)


def _normal(path: str, spec: Any) -> Draw:
    if isinstance(spec, Mapping) and set(spec) == {"percent"}:
        mean, spread = 0.0, float(decimal_of(spec["percent"], path)) / 100
    elif isinstance(spec, Mapping) and set(spec) == {"mean", "sd"}:
        mean, spread = float(decimal_of(spec["mean"], path)), float(decimal_of(spec["sd"], path))
    else:
        raise InvalidProblem.of(path, None, "normal has percent (one standard deviation), or mean and sd")
    if spread < 0:
        raise InvalidProblem.of(path, spread, "a standard deviation must be at least 0")

    def sample(stream: random.Random) -> float:
        share = stream.random()
        return mean + spread * _NORMAL.inv_cdf(share or 2**-60)

    return Draw(path, sample, "percent" in spec)


def _figures(path: str, spec: Any, names: tuple[str, ...], kind: str) -> tuple[list[float], bool]:
    relative = isinstance(spec, Mapping) and set(spec) == {"percent"}
    values = spec["percent"] if relative else spec
    if not isinstance(values, list) or len(values) != len(names):
        raise InvalidProblem.of(path, None, f"{kind} has [{', '.join(names)}], or percent: [{', '.join(names)}]")
    figures = [float(decimal_of(value, path)) / (100 if relative else 1) for value in values]
    if figures != sorted(figures):
        raise InvalidProblem.of(path, None, f"{' <= '.join(names)} must hold")
    if relative and figures[0] <= -1:
        raise InvalidProblem.of(path, None, "a percentage must stay above -100")
    return figures, relative


def _uniform(path: str, spec: Any) -> Draw:
    (low, high), relative = _figures(path, spec, ("low", "high"), "uniform")
    return Draw(path, lambda stream: low + (high - low) * stream.random(), relative)


def _triangular(path: str, spec: Any) -> Draw:
    (low, mode, high), relative = _figures(path, spec, ("low", "mode", "high"), "triangular")
    width = high - low
    turn = (mode - low) / width if width else 0.0

    def sample(stream: random.Random) -> float:
        share = stream.random()
        if share < turn:
            return low + math.sqrt(share * width * (mode - low))
        return high - math.sqrt((1 - share) * width * (high - mode))

    return Draw(path, sample, relative)


def _choice(path: str, spec: Any) -> Draw:
    if not isinstance(spec, list) or not spec:
        raise InvalidProblem.of(path, None, "choice has a list of values")
    return Draw(path, lambda _stream: 0.0, False, tuple(read_value(path, value) for value in spec))


DISTRIBUTIONS: dict[str, Callable[[str, Any], Draw]] = {
    "normal": _normal,
    "uniform": _uniform,
    "triangular": _triangular,
    "choice": _choice,
}
