"""An answer as the plain data of a row: what `optimize` says, without what depends on clock, machine or day.

`answer_of` makes it from a `Result`; `Answers` writes the same, as JSON and many times faster, where only money and
limits differ between questions: the rest of a plan is kept per choice and site, and cost, order and every limit are
recomputed in plain integers each time. Modify this module when a row should tell more; the tests hold the two against
each other, text for text.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from solver.domain import buying
from solver.domain.buying import offers_for
from solver.domain.catalog import Catalog, Offer
from solver.domain.errors import SolverFailure
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import UNLIMITED, Figures, Row, rows
from solver.domain.notices import notices_for
from solver.domain.plan import Choice, Plan, Result
from solver.domain.problem import Problem
from solver.domain.recheck import figures_of, plan_of
from solver.domain.units import cny, fen, plain_number

DAILY = frozenset({"price_old", "quote_expired", "unpriced"})
"""Warnings left out of rows: the first two change with the day, the third belongs to the catalogue."""
_ANY_DAY = datetime.date(2000, 1, 1)
_MONEY = frozenset({"cost_fen", "missing_cards", "used_cards"})
_KEPT = 10_000

Answer = dict[str, Any]
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def answer_of(result: Result) -> Answer:
    """The row's answer: status, what is proved, the whole plan, the use of every limit, codes of warnings.

    In lines of the order and in limits, what is not known or does not apply is left out.
    """
    plan = None if result.plan is None else result.plan.model_dump(mode="json")
    if plan is not None:
        plan["order"] = [_lean(line) for line in plan["order"]]
    return {
        "status": result.status,
        "goal": result.goal,
        "objective": result.objective,
        "bound": result.bound,
        "objective_unit": result.objective_unit,
        "plan": plan,
        "usage": [_lean(usage.model_dump(mode="json")) for usage in result.usage],
        "warnings": [notice.code for notice in result.warnings if notice.code not in DAILY],
    }


def _lean(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value is not False and value != ""}


def infeasible(problem: Problem) -> str:
    """The answer, as JSON, to a question for which it is proved that no rig fits."""
    none: Answer = {
        "status": "infeasible",
        "goal": problem.goal,
        "objective": None,
        "bound": None,
        "objective_unit": GOAL_SPECS[problem.goal].unit,
        "plan": None,
        "usage": [],
        "warnings": [],
    }
    return _dumps(none)


@dataclass(frozen=True, slots=True)
class _Bought:
    """How some pieces of one item are bought: money in fen, what is short or used, lines of the order as JSON."""

    cost_fen: int
    missing: int
    used: int
    lines: str
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a choice means at a site, whatever it costs: figures, and the plan as JSON before and after the money."""

    figures: dict[str, Any]
    epoch_hours: float
    extra_fen: int
    before: str
    extra_line: str
    after: str
    codes: dict[tuple[str, ...], str] = field(default_factory=dict)


class Told(NamedTuple):
    """An answer as JSON, and the figures by which rows are found again."""

    text: str
    total_batch: int
    cost_fen: int
    epoch_hours: float


class Answers:
    """Writes answers to questions that share catalogue and workload; some items have a price of the question's own."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._kept: dict[Any, _Kept] = {}
        self._bought: dict[Any, _Bought] = {}
        self._usage: dict[Any, str] = {}

    def optimal(self, problem: Problem, prices: Mapping[str, Offer], choice: Choice, cost_fen: int) -> Told:
        """The answer whose plan is `choice`, recomputed and held against every limit.

        Args:
            problem: the question; its catalogue is this one, whatever `prices` say.
            prices: for each item with a price of its own, the offer that replaces all others.
            choice: what was proved best.
            cost_fen: what it costs by the columns of the model.

        Raises:
            SolverFailure: the cost differs, or a limit is broken.
        """
        kept = self._of(problem, prices, choice)
        card = self._purchase(problem, prices, choice.card_id, choice.card_count, choice.with_used)
        platform = self._purchase(problem, prices, choice.platform_id, 1, choice.with_used)
        cost = card.cost_fen + platform.cost_fen + kept.extra_fen
        if cost != cost_fen:
            raise SolverFailure(f"cost of {choice}: the model had {cost_fen} fen, recomputed {cost}")
        figures = Figures(
            **kept.figures,
            cost_fen=cost,
            missing_cards=card.missing + platform.missing,
            used_cards=card.used + platform.used,
        )
        usage = self._used(problem, figures, choice)
        money = f'"cost_cny":{plain_number(cny(cost))},"order":[{card.lines},{platform.lines}{kept.extra_line}]'
        plan = f"{kept.before}{money}{kept.after}"
        bases = (*card.bases, *platform.bases)
        codes = kept.codes.get(bases)
        if codes is None:
            notices = notices_for(problem, Plan.model_validate_json(plan), _ANY_DAY)
            codes = kept.codes[bases] = _dumps([n.code for n in notices if n.code not in DAILY])
        spec = GOAL_SPECS[problem.goal]
        objective = repr(float(spec.objective(figures.total_batch, cost, figures.epoch_us)))
        text = (
            f'{{"status":"optimal","goal":"{problem.goal}","objective":{objective},"bound":{objective},'
            f'"objective_unit":"{spec.unit}","plan":{plan},"usage":[{usage}],"warnings":{codes}}}'
        )
        return Told(text, figures.total_batch, cost, kept.epoch_hours)

    def _of(self, problem: Problem, prices: Mapping[str, Offer], choice: Choice) -> _Kept:
        # The site is part of the key: a plan tells what its socket gives.
        site = problem.site
        key = (
            choice.card_id,
            choice.card_count,
            choice.power_limit_w,
            choice.platform_id,
            choice.with_used,
            site.socket_amps,
            site.socket_volts,
            site.derating,
            problem.workload.id,
        )
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            kept = self._kept[key] = self._made(problem, prices, choice)
        return kept

    def _made(self, problem: Problem, prices: Mapping[str, Offer], choice: Choice) -> _Kept:
        whole = problem.replaced(catalog=_with_offers(self.catalog, prices, (choice.card_id, choice.platform_id)))
        figures = figures_of(whole, choice)
        plan = plan_of(whole, choice).model_dump(mode="json")
        names = list(plan)
        at = names.index("cost_cny")
        before, after = names[:at], names[at + 2 :]
        if names[at + 1] != "order":
            raise SolverFailure("cost_cny and order are no longer neighbours in a plan")
        extra = buying.extra_cost_fen(self.catalog.platform_by_id[choice.platform_id], choice.card_count)
        return _Kept(
            figures={f.name: getattr(figures, f.name) for f in fields(figures) if f.name not in _MONEY},
            epoch_hours=plan["epoch_hours"]["expected"],
            extra_fen=extra,
            before=_dumps({name: plan[name] for name in before})[:-1] + ",",
            extra_line="," + _dumps(_lean(plan["order"][-1])) if extra else "",
            after="," + _dumps({name: plan[name] for name in after})[1:],
        )

    def _purchase(
        self, problem: Problem, prices: Mapping[str, Offer], item_id: str, quantity: int, with_used: bool
    ) -> _Bought:
        item = self.catalog.card_by_id.get(item_id) or self.catalog.platform_by_id[item_id]
        offer = prices.get(item_id)
        if offer is not None:
            return _bought(item.name, (offer,), quantity)
        key = (item_id, quantity, with_used)
        held = self._bought.get(key)
        if held is None:
            offers = offers_for(problem.replaced(catalog=self.catalog), item_id, with_used)
            held = self._bought[key] = _bought(item.name, offers, quantity)
        return held

    def _used(self, problem: Problem, figures: Figures, choice: Choice) -> str:
        """The first row of every limit as JSON, as `plan.usage_of` has it where all hold.

        Raises:
            SolverFailure: one does not hold.
        """
        found: list[str] = []
        limit = ""
        for row in rows(problem, figures):
            used, capacity = row.used, row.capacity
            if (capacity > used) if row.at_least else (used > capacity):
                raise SolverFailure(f"{choice} breaks {row.limit}")
            if row.limit == limit:
                continue
            limit = row.limit
            if capacity < UNLIMITED:
                # A card's own figures come again and again; those of money seldom do.
                key = (limit, row.part, used, capacity)
                text = self._usage.get(key)
                if text is None:
                    if len(self._usage) >= _KEPT:
                        self._usage.clear()
                    text = self._usage[key] = _dumps(_told(row))
                found.append(text)
        return ",".join(found)


def _told(row: Row) -> dict[str, Any]:
    told = {"limit": row.limit, "unit": row.unit, "used": row.used / row.scale, "capacity": row.capacity / row.scale}
    return told | ({"at_least": True} if row.at_least else {}) | ({"part": row.part} if row.part else {})


def _with_offers(catalog: Catalog, prices: Mapping[str, Offer], items: Sequence[str]) -> dict[str, Any]:
    own = [prices[item] for item in items if item in prices]
    kept = [offer for offer in catalog.offers if offer.item_id not in items or offer.item_id not in prices]
    return {"cards": catalog.cards, "platforms": catalog.platforms, "offers": (*kept, *own)}


def _bought(name: str, offers: Sequence[Offer], quantity: int) -> _Bought:
    purchase = buying.purchase(offers, quantity)
    lines = [
        {
            "item_id": offer.item_id,
            "name": name,
            "quantity": pieces,
            "unit_price_cny": plain_number(offer.unit_price_cny),
            "total_cny": plain_number(cny(fen(offer.unit_price_cny) * pieces)),
            "condition": offer.condition,
            "vendor": offer.vendor,
            "quote_date": None if offer.quote_date is None else offer.quote_date.isoformat(),
            "valid_until": None if offer.valid_until is None else offer.valid_until.isoformat(),
            "lead_time_days": offer.lead_time_days,
            "tax_included": offer.tax_included,
            "source": offer.source,
            "basis": offer.basis,
        }
        for offer, pieces in purchase.lines
    ]
    return _Bought(
        purchase.cost_fen,
        purchase.missing,
        purchase.used,
        ",".join(_dumps(_lean(line)) for line in lines),
        tuple(offer.basis for offer, _ in purchase.lines),
    )
