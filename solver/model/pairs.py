"""The variables: one boolean per pair of option (card, count, power limit, purchase) and platform, and its figures.

All figures of a pair are whole numbers known before the solve, held as int64 columns. They are computed once per
catalogue and workload and reused while only limits, site or goal change (`pairs_of` keeps the last few); no answer is
ever kept. What the figures are is decided in parts.py; catalogues with too many pairs to hold go through bound.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import Figures
from solver.domain.plan import Choice
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.model.arrays import INT64_SAFE, Ints
from solver.model.kept import Kept, reckoned_by
from solver.model.money import money_of
from solver.model.parts import Hardware, hardware_of

__all__ = ["Key", "Pairs", "best_first", "forget", "key_columns", "pairs_of", "physical_of"]


@dataclass(frozen=True, eq=False)
class Physical:
    """Figures that do not depend on money, for every pair of priced cards and platforms, used offers aside."""

    hardware: Hardware
    card: Ints
    platform: Ints
    columns: dict[str, Ints]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs: which card and platform (indices), whether used offers may be bought, and the figures as columns.

    `total` counts the pairs of the question: more than are here where bounding has left some out.
    """

    hardware: Hardware
    card: Ints
    platform: Ints
    with_used: Ints
    figures: Figures
    total: int
    orders: dict[str, Ints] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.card)

    def choice(self, index: int) -> Choice:
        """The decisions behind a pair."""
        return Choice(
            card_id=self.hardware.cards[self.card[index]].id,
            card_count=int(self.figures.card_count[index]),
            power_limit_w=int(self.figures.power_limit_w[index]),
            platform_id=self.hardware.platforms[self.platform[index]].id,
            with_used=bool(self.with_used[index]),
        )

    def order(self, goal: str) -> Ints:
        """Indices of the pairs, best first.

        The position in this order is the pair's rank, and the rank is the objective: exactly one pair is chosen, so
        the least rank is the lexicographic best. Unique, so an answer never depends on search order.
        """
        if goal not in self.orders:
            self.orders[goal] = best_first(self.keys(goal))
        return self.orders[goal]

    def keys(self, goal: str) -> tuple[Any, ...]:
        """The columns by which pairs are ordered, the first one first; less is better."""
        hardware = self.hardware
        return key_columns(
            goal,
            self.figures,
            hardware.largest_batch,
            (hardware.platform_rank[self.platform], hardware.card_rank[self.card], self.with_used),
        )


Key = tuple[Any, ...]
"""Columns of whole numbers of which less is better, the first deciding; or the row of one pair in them."""


def key_columns(goal: str, f: Figures, largest_batch: int, ids: tuple[Ints, Ints, Ints]) -> Key:
    """The goal's key, then wall watts, platform id, card id, count, power limit, and whether used offers are open.

    `ids` are the ranks of platform and card among all and the last of these ties. No two pairs have the same key.
    """
    resolution = max(1, largest_batch) ** 2
    goal_figures = f
    if goal == "value" and max(1, int(f.cost_fen.max(initial=0))) * resolution >= INT64_SAFE:
        goal_figures = _as_objects(f)
    platform, card, with_used = ids
    ties = (f.wall_mw, platform, card, f.card_count, f.power_limit_w, with_used)
    return (*GOAL_SPECS[goal].key(goal_figures, resolution), *ties)


def best_first(columns: Sequence[Any]) -> Ints:
    """Positions in the order of these key columns."""
    order: Ints = np.lexsort([_dense(column) for column in reversed(columns)])
    return order


def _as_objects(f: Figures) -> Figures:
    """The same figures as exact Python integers, for products beyond 64 bits."""
    values: dict[str, Any] = {f_.name: getattr(f, f_.name) for f_ in fields(f)}
    exact: dict[str, Any] = {name: v.astype(object) if isinstance(v, np.ndarray) else v for name, v in values.items()}
    return Figures(**exact)


def _dense(key: Any) -> Any:
    return np.unique(key, return_inverse=True)[1] if key.dtype == object else key


_physical: Kept[Physical] = Kept(16)
_pairs: Kept[Pairs] = Kept(16)


def forget() -> None:
    """Drop all that is kept, as in a new process."""
    _physical.clear()
    _pairs.clear()


def pairs_of(problem: Problem) -> Pairs:
    """All pairs of the question's priced cards and platforms with their figures."""
    return _pairs.of(
        (problem.catalog, *reckoned_by(problem)),
        lambda: _with_money(problem, physical_of(problem)),
    )


def physical_of(problem: Problem) -> Physical:
    """The figures without money; shared by questions that differ in prices only."""
    offers = problem.catalog.offers_by_item
    cards = [card for card in problem.catalog.cards if card.id in offers]
    platforms = [platform for platform in problem.catalog.platforms if platform.id in offers]
    return _physical.of((len(cards), *cards, *platforms, *reckoned_by(problem)), lambda: _physical_of(problem))


def _physical_of(problem: Problem) -> Physical:
    hardware = hardware_of(problem)
    options = hardware.steps * MAX_OPTION_CARDS
    # Every count of a card with every one of its power limits, and each of these options with every platform.
    card = np.repeat(np.arange(len(hardware.cards)), options)
    within = np.arange(len(card)) - np.repeat(np.cumsum(options) - options, options)
    steps = hardware.steps[card]
    count, at = 1 + within // steps, hardware.first[card] + within % steps
    places = len(hardware.platforms)
    card, count, at = (np.repeat(column, places) for column in (card, count, at))
    platform = np.tile(np.arange(places), len(within))
    return Physical(hardware, card, platform, hardware.figures(card, count, at, platform))


def _with_money(problem: Problem, base: Physical) -> Pairs:
    hardware, card, platform = base.hardware, base.card, base.platform
    money = money_of(problem, hardware.cards, hardware.platforms)
    columns = base.columns
    with_used = np.zeros(len(card), dtype=np.int64)
    differs = np.flatnonzero(money.mixed_card[card] | money.mixed_platform[platform])
    if differs.size:
        rows = np.concatenate([np.arange(len(card)), differs])
        with_used = np.concatenate([with_used, np.ones(len(differs), dtype=np.int64)])
        card, platform = card[rows], platform[rows]
        columns = {name: column[rows] for name, column in columns.items()}
    values: dict[str, Any] = columns | money.figures(card, columns["card_count"], platform, with_used)
    figures = Figures(**values, listed=hardware.listed(card, platform))
    return Pairs(hardware, card, platform, with_used, figures, total=len(card))
