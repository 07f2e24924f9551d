"""Changes by dotted path -> validated questions; the same as `catalog.resolve` makes of the whole, in less time.

A path is `goal`, `confidence`, `limits.FIELD`, `site.FIELD`, `workload` (an id), `workload.FIELD` or `prices.ID` (all
that stands after `prices.` is the id). Changes of limits, site and prices are validated alone against a base question
that was resolved once; anything else resolves anew and is remembered. Modify this module when a scenario may change
more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from solver.catalog import Library, resolve
from solver.catalog.shaped import without_stated
from solver.domain.base import Record
from solver.domain.catalog import Offer
from solver.domain.errors import InvalidProblem, nearest
from solver.domain.language import say
from solver.domain.problem import Limits, Problem, Site, problem_of
from solver.domain.shape import ModelShape
from solver.domain.units import fen
from solver.domain.workload import Workload

FIELDS: dict[str, type[Record]] = {"limits": Limits, "site": Site, "workload": Workload}
_UNCHANGED = ("workload.id", "workload.model")
_KEPT = 64

Changes = Mapping[str, Any]
"""Dotted path -> the new value; None takes a value back to its default."""


def checked_path(path: str) -> tuple[str, str]:
    """Split a path into the part of the question and what is changed there; "" for `goal`, `confidence`, `workload`.

    Raises:
        InvalidProblem: no such path; the message offers the nearest.
    """
    part, _, rest = path.partition(".")
    if path in ("goal", "confidence", "workload") or (part == "prices" and rest):
        return part, rest
    if part in FIELDS and rest in FIELDS[part].model_fields and path not in _UNCHANGED:
        return part, rest
    if part == "workload" and rest.removeprefix("model.") in ("model", *ModelShape.model_fields):
        allowed = say(
            "a model's shape is no value to change: make a workload of each shape (solver-cli workload from-model), "
            "put them into a folder for --catalog, and sweep over `workload`"
        )
        raise InvalidProblem.of(path, None, allowed)
    if part in ("offers", "cards", "platforms"):
        raise InvalidProblem.of(path, None, say("cannot be changed by a scenario; put it into the base question"))
    raise InvalidProblem.of(
        path, None, say("no such path") + (nearest(path, known_paths()) or say("; see `whatif schema`"))
    )


def known_paths() -> list[str]:
    """Every path but prices, which have one for each card and platform."""
    fields = [f"{part}.{name}" for part, record in FIELDS.items() for name in record.model_fields]
    return ["goal", "confidence", "workload", *(path for path in fields if path not in _UNCHANGED), "prices.ID"]


def applied(question: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The question with the changes written into it: what `resolve` takes.

    Raises:
        InvalidProblem: no such path.
    """
    made = dict(question)
    # An id first, then fields laid over the workload of that id.
    for path in sorted(changes, key=lambda p: p != "workload"):
        part, rest = checked_path(path)
        if not rest:
            made[part] = changes[path]
            continue
        group = made.get(part)
        if part == "workload" and isinstance(group, str):
            group = {"id": group}
        change = {rest: changes[path]}
        made[part] = {**(without_stated(group, change) or {}), **change}
    return made


@dataclass(frozen=True, eq=False)
class Base:
    """A question resolved once, and what is prepared for all scenarios that change only limits, site and prices."""

    question: Mapping[str, Any]
    problem: Problem
    kept: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Asked:
    """One validated question: the catalogue of `problem` is its base's, `prices` replace all offers of their items."""

    changes: Changes
    base: Base
    problem: Problem
    prices: dict[str, Offer]

    @property
    def prices_fen(self) -> dict[str, int]:
        """The prices in fen."""
        return {item: fen(offer.unit_price_cny) for item, offer in self.prices.items()}


class Questions:
    """Makes questions from changes of one base question.

    Args:
        library: the catalogue and workloads.
        question: the base question, as `resolve` takes it.

    Raises:
        InvalidProblem: the base question itself is wrong.
    """

    def __init__(self, library: Library, question: Mapping[str, Any]) -> None:
        self.library = library
        self.question = dict(question)
        self._bases: dict[str, Base] = {}
        self.base = self.base_of({})

    def base_of(self, slow: Changes) -> Base:
        """The base for scenarios that share these changes."""
        key = json.dumps(sorted(slow.items()), default=str) if slow else ""
        base = self._bases.get(key)
        if base is None:
            question = applied(self.question, slow)
            base = Base(question, resolve(question, self.library))
            if len(self._bases) >= _KEPT:
                self._bases.pop(next(key for key in self._bases if key))
            self._bases[key] = base
        return base

    def whole(self, changes: Changes) -> Problem:
        """The question by `resolve` alone, offers and all.

        Raises:
            InvalidProblem: any fault, by path.
        """
        return resolve(applied(self.question, changes), self.library)

    def asked(self, changes: Changes) -> Asked:
        """The question that these changes make.

        Raises:
            InvalidProblem: any fault, by path, in the words of `resolve`.
        """
        slow: dict[str, Any] = {}
        groups: dict[str, dict[str, Any]] = {"limits": {}, "site": {}, "prices": {}}
        for path, value in changes.items():
            part, _, rest = path.partition(".")
            if part in groups and rest:
                groups[part][rest] = value
            else:
                slow[path] = value
        try:
            base = self.base_of(slow)
            problem, prices = self._fast(base, groups)
        except (InvalidProblem, ValidationError, _Odd):
            # The words and the order of the faults are those of the whole question.
            problem = self.whole(changes)
            base = Base(applied(self.question, changes), problem)
            return Asked(changes, base, problem, {})
        return Asked(changes, base, problem, prices)

    def _fast(self, base: Base, groups: Mapping[str, Mapping[str, Any]]) -> tuple[Problem, dict[str, Offer]]:
        parts: dict[str, Any] = {}
        for name, record in (("limits", Limits), ("site", Site)):
            if groups[name]:
                given = {**(base.question.get(name) or {}), **groups[name]}
                parts[name] = record.model_validate({k: v for k, v in given.items() if v is not None})
        catalog = base.problem.catalog
        prices: dict[str, Offer] = {}
        for item_id, price in groups["prices"].items():
            if item_id not in catalog.card_by_id and item_id not in catalog.platform_by_id:
                raise _Odd
            if price is None:
                if item_id in (base.question.get("prices") or {}):
                    raise _Odd  # back to the catalogue's own offers
                continue
            prices[item_id] = Offer(
                item_id=item_id, unit_price_cny=price, vendor="", source="given with the question", basis="quote"
            )
        if not parts:
            return base.problem, prices
        held = base.problem
        limits = parts.get("limits", held.limits)
        fields = {
            "confidence": held.confidence,
            "limits": limits,
            "site": parts.get("site", held.site),
            "workload": held.workload,
            "catalog": catalog,
        }
        if limits.include or limits.exclude:
            return problem_of({"goal": held.goal, **fields}), prices
        # Each part has just been validated, or was with the base; names of the lists are all that parts know of each
        # other, and the whole would look through every card again for each scenario.
        return Problem.model_construct(goal=held.goal, **fields), prices


class _Odd(Exception):
    """Something the fast way does not do."""


def today_price(problem: Problem, item_id: str) -> Decimal | None:
    """The cheapest price of one piece of an item among all its offers, CNY; None where it has none."""
    offers = problem.catalog.offers_by_item.get(item_id, ())
    return min((offer.unit_price_cny for offer in offers), default=None)
