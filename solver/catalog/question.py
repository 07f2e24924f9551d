"""Whole questions as plain data: what a question file, a scenario or a request says, laid over the catalogue.

A question names only what differs from the defaults: `goal`, `confidence`, `limits`, `site`, `workload` (an id, or
fields laid over the workload of that id), `prices` (id -> CNY, replaces every offer of the id), `offers` (replace the
offers of the items they name), `cards` and `platforms` (added; the same id replaces). `resolve` makes it a whole
`Problem`; `question_of` is the way back.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import ValidationError

from solver.catalog.library import DEFAULT_WORKLOAD, Library, with_prices
from solver.catalog.shaped import filled, laid_over, own, without_stated
from solver.domain.base import Record, known_keys
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.errors import InvalidProblem, UnknownName, Violation, from_validation_error, nearest, shown
from solver.domain.goal_names import GOALS
from solver.domain.language import say
from solver.domain.problem import CONFIDENCES, Limits, Problem, Site, problem_of
from solver.domain.units import plain_number
from solver.domain.workload import Workload

KEYS = ("goal", "confidence", "limits", "site", "workload", "prices", "offers", "cards", "platforms")


def resolve(question: Mapping[str, Any], library: Library) -> Problem:
    """Lay a question over the library's catalogue and defaults.

    Raises:
        InvalidProblem: each fault with its dotted path, the value and what is allowed; unknown keys with the nearest.
        UnknownName: a card, platform or workload of that id does not exist.
    """
    _mapping(question, "problem")
    faults: list[InvalidProblem] = []

    def part(make: Callable[[], Any]) -> Any:
        try:
            return make()
        except InvalidProblem as error:  # collected, so that all faults are told at once
            faults.append(error)
            return None

    unknown = [key for key in question if key not in KEYS]
    if unknown:
        told = (
            Violation(shown(str(key)).strip('"'), "", say("unknown field") + nearest(str(key), KEYS)) for key in unknown
        )
        faults.append(InvalidProblem(told))
    fields: dict[str, Any] = {
        "catalog": part(lambda: _catalog(question, library)),
        "workload": part(lambda: _workload(question, library)),
    }
    for name, record in (("limits", Limits), ("site", Site)):
        if question.get(name) is not None:
            fields[name] = part(partial(_group, question[name], record, name))
    goal = question.get("goal")
    if goal is not None:
        if goal not in GOALS:
            faults.append(InvalidProblem.of("goal", goal, say("must be one of {names}", names=", ".join(GOALS))))
        fields["goal"] = goal
    confidence = question.get("confidence")
    if confidence is not None:
        if confidence not in CONFIDENCES:
            allowed = say("must be one of {names}", names=", ".join(CONFIDENCES))
            faults.append(InvalidProblem.of("confidence", confidence, allowed))
        fields["confidence"] = confidence
    if faults:
        only_unknown = all(isinstance(fault, UnknownName) for fault in faults)
        found = [violation for fault in faults for violation in fault.violations]
        raise UnknownName(found) if only_unknown else InvalidProblem(found)
    return problem_of(fields)


def _group(given: Any, record: type[Record], name: str) -> Any:
    values = {key: value for key, value in _mapping(given, name).items() if value is not None}
    return _validated(record, values, name)


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidProblem.of(
            field, value if isinstance(value, (str, int, float)) else None, say("must be a group of named fields")
        )
    return value


def _validated(record: type[Record], value: Any, field: str) -> Any:
    try:
        return record.model_validate(value)
    except ValidationError as error:
        raise from_validation_error(error, field, known_keys(record)) from None


def _workload(question: Mapping[str, Any], library: Library) -> Workload:
    given = question.get("workload")
    if given is None:
        return library.workload(DEFAULT_WORKLOAD)
    if isinstance(given, str):
        return library.workload(given)
    fields = dict(_mapping(given, "workload"))
    base_id = DEFAULT_WORKLOAD if fields.get("id") is None else fields["id"]
    known = {workload.id for workload in library.workloads}
    try:
        if isinstance(base_id, str) and base_id in known:
            base = library.workload(base_id)
            # An empty value means the base's, except where a record may lack the field: there it takes the base's away.
            said = {key: value for key, value in fields.items() if value is not None or key in _MAY_LACK}
            fields = laid_over(base, said)
        fields = filled(fields)
    except InvalidProblem as error:
        raise InvalidProblem(Violation(f"workload.{v.field}", v.value, v.allowed) for v in error.violations) from None
    made: Workload = _validated(Workload, fields, "workload")
    return library.workload(made.id) if made.id in known and made == library.workload(made.id) else made


_MAY_LACK = {name for name, info in Workload.model_fields.items() if info.default is None}


def _catalog(question: Mapping[str, Any], library: Library) -> Catalog:
    catalog = library.catalog
    added: dict[str, tuple[Any, ...]] = {}
    for kind, record in (("cards", Card), ("platforms", Platform), ("offers", Offer)):
        entries = question.get(kind)
        if entries is None:
            continue
        if not isinstance(entries, (list, tuple)):
            raise InvalidProblem.of(kind, None, say("must be a list"))
        added[kind] = tuple(
            entry if isinstance(entry, record) else _validated(record, entry, f"{kind}.{i}")
            for i, entry in enumerate(entries)
        )
    if added:
        catalog = overlaid(catalog, added.get("cards", ()), added.get("platforms", ()), added.get("offers", ()))
    if question.get("prices") is not None:
        prices = {str(key): value for key, value in _mapping(question["prices"], "prices").items() if value is not None}
        catalog = with_prices(catalog, prices)
    return catalog


def overlaid(
    catalog: Catalog, cards: tuple[Card, ...], platforms: tuple[Platform, ...], offers: tuple[Offer, ...]
) -> Catalog:
    """Add cards and platforms (the same id replaces) and offers (they replace the offers of the items they name).

    Raises:
        InvalidProblem: an offer names an item that does not exist, or an id stands twice among the added.
    """
    named = {offer.item_id for offer in offers}
    merged_cards = {**catalog.card_by_id, **_by_id(cards, "cards")}
    merged_platforms = {**catalog.platform_by_id, **_by_id(platforms, "platforms")}
    known = [*merged_cards, *merged_platforms]
    for index, offer in enumerate(offers):
        if offer.item_id not in merged_cards and offer.item_id not in merged_platforms:
            allowed = say("no card or platform has this id") + nearest(offer.item_id, known)
            raise InvalidProblem.of(f"offers.{index}.item_id", offer.item_id, allowed)
    try:
        return Catalog(
            cards=tuple(merged_cards[i] for i in sorted(merged_cards)),
            platforms=tuple(merged_platforms[i] for i in sorted(merged_platforms)),
            offers=(*(o for o in catalog.offers if o.item_id not in named), *offers),
        )
    except ValidationError as error:
        raise from_validation_error(error, "catalog") from None


def _by_id(entries: tuple[Any, ...], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, entry in enumerate(entries):
        if entry.id in found:
            raise InvalidProblem.of(f"{kind}.{index}.id", entry.id, say("is given twice"))
        found[entry.id] = entry
    return found


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One question laid over another: groups field by field, `prices` id by id, everything else replaced.

    Offers replace what is said below, as offer or as price, about the items they name; a price replaces the offers.
    """
    merged: dict[str, Any] = dict(below)
    for key, value in above.items():
        held = merged.get(key)
        if key == "workload":
            base = {"id": held} if isinstance(held, str) else held
            over = {"id": value} if isinstance(value, str) else value
            merged[key] = over if _is_another(base, over) else _merged(without_stated(base, over), over)
        elif key in ("limits", "site", "prices"):
            merged[key] = _merged(held, value)
        elif key == "offers":
            named = {_item(offer) for offer in value}
            if isinstance(held, list):
                merged[key] = [offer for offer in held if _item(offer) not in named] + list(value)
            else:
                merged[key] = list(value)
            if isinstance(merged.get("prices"), Mapping):
                merged["prices"] = {k: v for k, v in merged["prices"].items() if k not in named}
        else:
            merged[key] = value
    return merged


def _is_another(below: Any, above: Any) -> bool:
    """Whether the workload above is one of another id: then nothing of the one below is meant for it."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return False
    return bool(above.get("id", below.get("id")) != below.get("id"))


def _merged(below: Any, above: Any) -> Any:
    return {**below, **above} if isinstance(below, Mapping) and isinstance(above, Mapping) else above


def _item(offer: Any) -> Any:
    item = offer.get("item_id") if isinstance(offer, Mapping) else getattr(offer, "item_id", None)
    return item if isinstance(item, str) else None


def question_of(problem: Problem, library: Library) -> dict[str, Any]:
    """The question that `resolve` makes into this problem again: everything asked, and what differs in the catalogue.

    Offers of an item are written whole where they differ from the library's.
    """
    base = library.catalog
    known = {workload.id: workload for workload in library.workloads}
    stated = own(problem.workload, known.get(problem.workload.id))
    question: dict[str, Any] = {
        "goal": problem.goal,
        **({} if problem.confidence == "expected" else {"confidence": problem.confidence}),
        "limits": _plain(problem.limits),
        "site": _plain(problem.site),
        "workload": {
            **{name: value for name, value in _plain(problem.workload).items() if name in stated},
            **({"spreads": _exact([s.model_dump() for s in stated["spreads"]])}),
            **({"estimated": list(stated["estimated"])} if "estimated" in stated else {}),
            **{name: None for name in sorted(_MAY_LACK) if getattr(problem.workload, name) is None},
        },
    }
    cards = [_plain(c) for c in problem.catalog.cards if base.card_by_id.get(c.id) != c]
    platforms = [_plain(p) for p in problem.catalog.platforms if base.platform_by_id.get(p.id) != p]
    changed = {
        item
        for item in {*problem.catalog.offers_by_item, *base.offers_by_item}
        if problem.catalog.offers_by_item.get(item) != base.offers_by_item.get(item)
    }
    offers = [_plain(offer) for offer in problem.catalog.offers if offer.item_id in changed]
    for kind, entries in (("cards", cards), ("platforms", platforms), ("offers", offers)):
        if entries:
            question[kind] = entries
    return question


def _plain(record: Record) -> dict[str, Any]:
    dumped: dict[str, Any] = _exact(record.model_dump(exclude_none=True))
    return dumped


def _exact(value: Any) -> Any:
    """Plain data as JSON has it; a number with more digits than a float holds stays a Decimal."""
    if isinstance(value, Decimal):
        number = plain_number(value)
        return number if value == Decimal(repr(number)) else value
    if isinstance(value, dict):
        return {key: _exact(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(part) for part in value]
    return value.isoformat() if isinstance(value, datetime.date) else value
