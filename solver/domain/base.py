"""What every record is made of: plain frozen fields, ids, texts and dates, an interval with its tag, and where a figure
comes from.

Modify this module when all records change; what a record says stands in catalog.py, workload.py, shape.py and plan.py.
"""

from __future__ import annotations

import contextlib
import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from solver.domain.language import say


class Record(BaseModel):
    """A plain frozen record: unknown fields refused, nothing converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def known_keys(record: type[BaseModel], path: str = "") -> dict[str, tuple[str, ...]]:
    """The field names of a record and of every record inside it, by dotted path without list positions."""
    found = {path: tuple(record.model_fields)}
    for name, field in record.model_fields.items():
        for inner in _records_in(field.annotation):
            found.update(known_keys(inner, f"{path}.{name}" if path else name))
    return found


def _records_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [record for argument in get_args(annotation) for record in _records_in(argument)]


Id = Annotated[str, Field(strict=True, min_length=1, max_length=80, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Text = Annotated[str, Field(strict=True, max_length=2000)]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
Flag = Annotated[bool, Field(strict=True)]
Tag = Literal["measured", "calibrated", "estimated", "assumed"]
"""How far a figure can be trusted, best first: measured for this very job, fitted to measured steps, computed from
the model's shape by published formulas, or taken on trust."""
End = Literal["low", "expected", "high"]
"""Which end of the intervals is meant; `high` is the cautious one: most memory, longest times."""


class Interval(Record):
    """Low, expected and high value of one uncertain figure, and its tag; the unit is the field's."""

    low: float
    expected: float
    high: float
    basis: Tag | None = None

    def at(self, end: End) -> float:
        """The value at one end."""
        return {"low": self.low, "expected": self.expected, "high": self.high}[end]


def _date(value: object) -> datetime.date:
    """A date or its text YYYY-MM-DD; never a number, which pydantic would take for seconds since 1970."""
    if isinstance(value, str) and len(value) == 10:
        with contextlib.suppress(ValueError):
            return datetime.date.fromisoformat(value)
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    raise ValueError(say("must be a date such as 2023-07-01"))


Date = Annotated[datetime.date, BeforeValidator(_date)]
Basis = Literal["guide", "source", "computed", "assumed", "unverified", "measured", "calibrated", "estimated"]
"""Where a figure comes from: the guide that started the project, a public source, computed from such figures, a
planning assumption, a source nobody could verify (a memory, an analogy), measured for this very job, fitted to such
measurements, or estimated from the model's shape."""


class Provenance(Record):
    """Where some figures of an entry come from: which fields, the source, its date, and how far to trust it."""

    fields: Annotated[tuple[Name, ...], Field(min_length=1, max_length=40)]
    source: Text
    basis: Basis
    date: Annotated[str, Field(strict=True, max_length=20, pattern=r"^\d{4}(-\d{2}){0,2}$")] | None = None
