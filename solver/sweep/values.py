"""Values of a scenario: what a path takes, from a cell or a YAML scalar; ranges; factors; rounding to the field's unit.

Modify this module when a field is written in a new way. Whether a value is allowed is not decided here but by the
records, when the question is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from solver.catalog.amounts import parse_cny
from solver.domain import units
from solver.domain.errors import InvalidProblem
from solver.domain.units import plain_number
from solver.sweep.questions import FIELDS, checked_path

Form = Literal["money", "number", "whole", "flag", "words", "numbers", "text"]
_PLACES = {
    id(kind.__metadata__[0]): places  # type: ignore[attr-defined]
    for kind, places in (
        (units.Cny, 2),
        (units.Gb, 10),
        (units.PositiveGb, 10),
        (units.Seconds, 3),
        (units.Hours, 6),
        (units.Days, 6),
        (units.Amps, 3),
        (units.Volts, 3),
        (units.Share, 3),
        (units.Tflops, 3),
        (units.BytesPerParameter, 3),
    )
}
MOST_STEPS = 10_000_000
_NONE = frozenset({"none", "null", "~"})


@lru_cache(maxsize=1000)
def form_of(path: str) -> tuple[Form, int]:
    """How the value of a path is written, and to how many decimals it is rounded when it is computed."""
    part, rest = checked_path(path)
    if part == "prices":
        return "money", 2
    if not rest:
        return "text", 0
    info = FIELDS[part].model_fields[rest]
    text = str(info.annotation)
    if "tuple" in text:
        return ("words" if "str" in text else "numbers"), 3
    if "bool" in text:
        return "flag", 0
    for each in _metadata(info):
        if id(each) in _PLACES:
            return ("money" if _PLACES[id(each)] == 2 else "number"), _PLACES[id(each)]
    if "Decimal" in text:
        return "number", 3
    return ("whole", 0) if "int" in text else ("text", 0)


def _metadata(info: Any) -> list[Any]:
    found = list(info.metadata)
    for argument in getattr(info.annotation, "__args__", ()):
        found += getattr(argument, "__metadata__", ())
    return found


def read_cell(path: str, text: str) -> Any:
    """The value that the text of a table's cell stands for; `none` takes a value back to its default.

    Raises:
        InvalidProblem: it is not what the path takes.
    """
    form, _ = form_of(path)
    text = text.strip()
    if text.lower() in _NONE:
        return None
    if form == "money":
        return plain_number(parse_cny(text, path))
    if form == "number" and text.endswith(("%", "％")):
        return plain_number(decimal_of(text[:-1].strip(), path) / 100)
    if form in ("number", "whole"):
        return plain_number(decimal_of(text, path))
    if form == "flag":
        if text.lower() in ("true", "yes", "1"):
            return True
        if text.lower() in ("false", "no", "0"):
            return False
        raise InvalidProblem.of(path, text, "must be true or false")
    if form == "words":
        return [word for word in re.split(r"[\s,;|]+", text) if word]
    if form == "numbers":
        return [plain_number(decimal_of(word, path)) for word in re.split(r"[\s,;|]+", text) if word]
    return text


def read_value(path: str, value: Any) -> Any:
    """The value as YAML or JSON has it; money may be written as people write it ("30万").

    Raises:
        InvalidProblem: money that is no amount, or a group of fields.
    """
    if isinstance(value, str) and form_of(path)[0] == "money":
        return plain_number(parse_cny(value, path))
    if isinstance(value, Mapping):
        raise InvalidProblem.of(path, None, "must be a value or a list")
    if isinstance(value, list):
        return [read_value(path, each) if not isinstance(each, list) else each for each in value]
    if isinstance(value, Decimal):  # as the reader keeps a number that a float would change
        raise InvalidProblem.of(path, str(value), "has more digits than any figure here")
    return value


def decimal_of(value: Any, field: str) -> Decimal:
    """The exact number that somebody wrote.

    Raises:
        InvalidProblem: not a finite number of at most 40 characters.
    """
    if not isinstance(value, bool) and isinstance(value, (int, float, str, Decimal)):
        text = value.replace(",", "") if isinstance(value, str) else repr(value) if isinstance(value, float) else value
        try:
            if len(str(text)) <= 40 and "_" not in str(text):
                number = Decimal(text)
                if number.is_finite() and abs(number) <= 10**18:
                    return number
        except (InvalidOperation, ValueError):
            pass
    raise InvalidProblem.of(field, value if isinstance(value, (str, int, float)) else None, "must be a number")


def rounded(path: str, value: Decimal) -> int | float:
    """A computed value in the path's own unit: money to the fen, whole numbers to one, each half up."""
    form, places = form_of(path)
    if form not in ("money", "number", "whole"):
        raise InvalidProblem.of(path, None, "is not a number, so it has no factor and no draw")
    return plain_number(value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def factor_of(value: Any, path: str) -> Decimal:
    """A factor as people write it: 1.1, "+10 %", "-5%".

    Raises:
        InvalidProblem: not a number above 0 and at most 1,000.
    """
    field = f"scale.{path}"
    if isinstance(value, str) and value.strip().endswith(("%", "％")):
        factor = 1 + decimal_of(value.strip()[:-1].strip(), field) / 100
    else:
        factor = decimal_of(value, field)
    if not 0 < factor <= 1000:
        raise InvalidProblem.of(
            field, value if isinstance(value, (str, int, float)) else None, "must be a factor above 0, at most 1,000"
        )
    return factor


class Range:
    """`from`, `to` (included where a step meets it) and `step`, or `count` values evenly apart; lazy and exact."""

    def __init__(self, path: str, spec: Mapping[str, Any]) -> None:
        extra = set(spec) - {"from", "to", "step", "count"}
        if extra or not {"from", "to"} <= set(spec) or ("step" in spec) == ("count" in spec):
            raise InvalidProblem.of(path, None, "a range has from, to and step, or from, to and count")
        self.path = path
        self.start = _amount(path, spec["from"])
        stop = _amount(path, spec["to"])
        if "count" in spec:
            count = spec["count"]
            if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST_STEPS:
                raise InvalidProblem.of(f"{path}.count", count, f"must be a whole number from 2 to {MOST_STEPS:,}")
            self.size, self.step = count, (stop - self.start) / (count - 1)
        else:
            self.step = _amount(path, spec["step"])
            if self.step == 0 or (stop - self.start) * self.step < 0:
                raise InvalidProblem.of(f"{path}.step", str(self.step), "must lead from `from` to `to`")
            self.size = int((stop - self.start) // self.step) + 1
        if self.size > MOST_STEPS:
            raise InvalidProblem.of(path, None, f"has more than {MOST_STEPS:,} values")

    def __len__(self) -> int:
        """How many values."""
        return self.size

    def __getitem__(self, index: int) -> int | float:
        """The value at a place from 0."""
        return rounded(self.path, self.start + index * self.step)


def _amount(path: str, value: Any) -> Decimal:
    if isinstance(value, str) and form_of(path)[0] == "money":
        return parse_cny(value, path)
    return decimal_of(value, path)
