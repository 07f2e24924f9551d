"""The question: one frozen record. A what-if is a copy with some fields changed and validated again (`replaced`).

Modify this module when a buyer can ask for something new; every field here is also a field of the .proto, of
question files and of scenario paths.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError

from solver.domain.base import Flag, Id, Record
from solver.domain.catalog import Catalog
from solver.domain.errors import InvalidProblem, UnknownName, Violation, from_validation_error, nearest, shown
from solver.domain.goal_names import GOALS, Goal
from solver.domain.language import say
from solver.domain.units import Amps, Cny, Count, Days, Share, Volts, Watts
from solver.domain.workload import Workload

MAX_OPTION_CARDS = 8
"""Options are enumerated up to this many cards; `max_cards` and the slots bind as rules below it."""


Confidence = Literal["low", "expected", "high"]
CONFIDENCES = get_args(Confidence)


class Limits(Record):
    """What the answer must keep to. An absent limit does not bind."""

    budget_cny: Cny | None = None
    max_cards: Annotated[Count, Field(ge=1, le=MAX_OPTION_CARDS)] = 4
    min_batch: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = None
    max_epoch_days: Days | None = None
    power_limit_w: Watts | None = None
    include: tuple[Id, ...] = ()
    """Choose only among these ids; card ids restrict cards, platform ids restrict platforms."""
    exclude: tuple[Id, ...] = ()
    require_nvlink: Flag = False
    allow_used: Flag = False


class Site(Record):
    """The place: the wall socket and the room. `derating` is the share of the socket that may be drawn for days."""

    socket_amps: Amps = Decimal(10)
    socket_volts: Volts = Decimal(220)
    derating: Annotated[Share, Field(gt=0)] = Decimal(1)
    room_cooling_w: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None


class Problem(Record):
    """A whole question: what is wanted, within which limits, where, for which training, out of which catalogue."""

    goal: Goal = "batch"
    confidence: Confidence = "expected"
    """Which end of the workload's intervals is planned on: `high` takes the most memory and the longest times."""
    limits: Limits = Limits()
    site: Site = Site()
    workload: Workload
    catalog: Catalog

    def replaced(self, **changes: Any) -> Problem:
        """Return a copy with top-level fields changed, validated again.

        Raises:
            InvalidProblem: a changed field is out of its range.
        """
        # Not dict(self): that would carry the digest along once it has been asked for.
        return problem_of({**{name: getattr(self, name) for name in Problem.model_fields}, **changes})

    def with_limits(self, **changes: Any) -> Problem:
        """Return a copy with fields of `limits` changed, validated again."""
        return self.replaced(limits={**dict(self.limits), **changes})

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the question without its catalogue, over canonical JSON."""
        return _sha256(self.model_dump(mode="json", exclude={"catalog"}))


def problem_of(fields: dict[str, Any]) -> Problem:
    """Build a `Problem`; raise `InvalidProblem` naming each faulty field, its value and what is allowed."""
    try:
        problem = Problem.model_validate(fields)
    except ValidationError as error:
        raise from_validation_error(error) from None
    _require_known_names(problem)
    return problem


def _require_known_names(problem: Problem) -> None:
    catalog = problem.catalog
    unknown = [
        Violation(f"limits.{field}", shown(name), say("no card or platform of the catalogue has this id"))
        for field in ("include", "exclude")
        for name in getattr(problem.limits, field)
        if name not in catalog.card_by_id and name not in catalog.platform_by_id
    ]
    if unknown:
        known = [*catalog.card_by_id, *catalog.platform_by_id]
        raise UnknownName(Violation(v.field, v.value, v.allowed + nearest(v.value.strip('"'), known)) for v in unknown)


_CATALOG_DIGESTS: dict[int, tuple[Catalog, str]] = {}


def catalog_digest(catalog: Catalog) -> str:
    """SHA-256 (hex) of all cards, platforms and offers, over canonical JSON; remembered for the last few catalogues."""
    held = _CATALOG_DIGESTS.get(id(catalog))
    if held is not None and held[0] is catalog:
        return held[1]
    digest = _sha256(catalog.model_dump(mode="json"))
    if len(_CATALOG_DIGESTS) >= 8:
        _CATALOG_DIGESTS.pop(next(iter(_CATALOG_DIGESTS)))
    _CATALOG_DIGESTS[id(catalog)] = (catalog, digest)
    return digest


def _sha256(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


__all__ = [
    "CONFIDENCES",
    "GOALS",
    "MAX_OPTION_CARDS",
    "Confidence",
    "Goal",
    "InvalidProblem",
    "Limits",
    "Problem",
    "Site",
    "catalog_digest",
    "problem_of",
]
