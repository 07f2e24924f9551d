"""The largest interval around today's price of each card and platform in which the plan stays, exact to the fen.

All offers of the item are replaced by one at the price (new, unlimited), as `--price` does, so every cost is a straight
line in the price. The ends are found by a walk over these lines (walk.py) and then solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from solver.batch import Patience, Space, WhatIf, best_of_each, dense_rank
from solver.catalog import with_prices
from solver.domain.errors import SolverFailure
from solver.domain.explanation import PriceRange
from solver.domain.goals import GOAL_SPECS
from solver.domain.problem import Problem
from solver.domain.units import cny, fen
from solver.explain.rigs import Distinct, checked_rig, distinct
from solver.explain.walk import Edge, Lines, edge
from solver.model.arrays import Ints

HIGHEST_FEN = 10**14
"""The highest price a question may name."""


@dataclass(frozen=True, eq=False)
class _Item:
    item_id: str
    name: str
    kind: str
    today_fen: int


@dataclass(frozen=True, eq=False)
class _Found:
    item: _Item
    holds: bool
    down: Edge
    up: Edge


def price_ranges(space: Space, best: int, patience: Patience) -> tuple[PriceRange, ...]:
    """The price range of every priced card and platform.

    Raises:
        OutOfTime: time ran out; what was found is lost.
        SolverFailure: the solver disagrees with the columns.
    """
    rig = distinct(space, best)
    found = [_found(space, item, rig, patience) for item in _items(space)]
    asked: list[WhatIf] = []
    for one in found:
        for end, direction in ((one.down, -1), (one.up, 1)):
            if one.holds and end.last is not None:
                asked += [
                    WhatIf(Space.of(_priced(space.problem, one.item, p))) for p in (end.last, end.last + direction)
                ]
    answers = iter(zip(asked, best_of_each(asked, patience), strict=True))
    return tuple(_record(one, rig, answers) for one in found)


def _items(space: Space) -> list[_Item]:
    problem = space.problem
    found = []
    for kind, items in (("card", space.cards), ("platform", space.platforms)):
        for item in items:
            offers = problem.catalog.offers_by_item[item.id]
            open_offers = [o for o in offers if problem.limits.allow_used or o.condition == "new"] or list(offers)
            found.append(_Item(item.id, item.name, kind, min(fen(o.unit_price_cny) for o in open_offers)))
    return found


def _priced(problem: Problem, item: _Item, price_fen: int) -> Problem:
    return problem.replaced(catalog=with_prices(problem.catalog, {item.item_id: Decimal(price_fen) / 100}))


def _found(space: Space, item: _Item, rig: Distinct, patience: Patience) -> _Found:
    """Where the range ends, from the columns."""
    priced = Space.of(_priced(space.problem, item, item.today_fen))
    lines = _lines(priced, item)
    winner = lines.winner(item.today_fen)
    if winner is None or distinct(priced, winner) != rig:
        return _Found(item, False, Edge(None), Edge(None))
    down, up = (
        edge(lines, lambda pair: distinct(priced, pair), item.today_fen, end, patience) for end in (0, HIGHEST_FEN)
    )
    return _Found(item, True, down, up)


def _lines(space: Space, item: _Item) -> Lines:
    """The cost of every pair that keeps to all limits but the budget, as a line in the price of the item."""
    pairs, goal = space.pairs, space.problem.goal
    f = pairs.figures
    at = np.flatnonzero(space.feasible({"budget": None}))
    slope: Ints
    if item.kind == "card":
        number = [card.id for card in space.cards].index(item.item_id)
        slope = np.where(pairs.card == number, f.card_count, 0)[at]
    else:
        number = [platform.id for platform in space.platforms].index(item.item_id)
        slope = np.where(pairs.platform == number, 1, 0)[at]
    start = f.cost_fen[at] - slope * item.today_fen
    axes = GOAL_SPECS[goal].axes
    moving = axes.index("cost_per_sample" if "cost_per_sample" in axes else "cost")
    keys: tuple[Any, ...] = space.keys(goal)
    before = dense_rank(keys[:moving])[at] if moving else np.zeros(len(at), dtype=np.int64)
    after = dense_rank(keys[moving + 1 :])[at]
    divisor = f.total_batch[at] if axes[moving] == "cost_per_sample" else np.ones(len(at), dtype=np.int64)
    budget = next((rule.bound for rule in space.rules if rule.row.limit == "budget"), None)
    return Lines.of(at, before, slope, start, np.maximum(divisor, 1), after, budget)


def _record(found: _Found, rig: Distinct, answers: Any) -> PriceRange:
    ends: dict[str, Any] = {}
    if found.holds:
        for side, value, end in (("below", "low_cny", found.down), ("above", "high_cny", found.up)):
            if end.last is None:
                continue
            (at, inside), (beyond, outside) = next(answers), next(answers)
            if inside is None or distinct(at.space, inside) != rig or outside != end.beyond:
                raise SolverFailure(
                    f"CP-SAT does not confirm the price range of {found.item.item_id} at {end.last} fen"
                )
            ends[value] = cny(end.last)
            ends[side] = None if outside is None else checked_rig(beyond.space, outside)
            ends[f"nothing_{side}"] = outside is None
    return PriceRange(
        item_id=found.item.item_id,
        item_name=found.item.name,
        kind=found.item.kind,  # type: ignore[arg-type]
        today_cny=cny(found.item.today_fen),
        holds=found.holds,
        **ends,
    )
