"""The same pairs at many prices: what a price does not touch is prepared once, and pairs that never win are left out.

A scenario that changes prices and limits keeps every physical column; only the cost column is new. Pairs that differ
in nothing but the power limit cost the same at any price. So within such a group a pair can be left out if one that
is better for the goal falls short of no row of a limit by more, at the tightest capacity that any of the questions
asks for: then it never falls short by more at a looser one. And a pair that breaks a physical limit at the loosest
capacity of them all is in no answer. What is left is about a hundred pairs, for which every question still gets its
own order, violated sets and proof. Modify this module when scenarios change something else in
bulk; the columns themselves are made in pairs.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from solver.domain import buying
from solver.domain.limits import LIMITS, Figures, Limit, rows
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.model.arrays import Bools, Ints, ints
from solver.model.build import Block
from solver.model.money import money_of
from solver.model.pairs import Pairs, best_first, key_columns, pairs_of
from solver.model.prune import survivors

_COUNTS = range(1, MAX_OPTION_CARDS + 1)
_MONEY = ("cost_fen", "missing_cards", "used_cards")
_TIES = 6
"""Columns at the end of `key_columns` that break ties."""
_BIT = {limit.name: 1 << position for position, limit in enumerate(LIMITS)}


@dataclass(frozen=True, eq=False)
class Repricing:
    """All pairs of one catalogue and workload, their money split into cards and platform, for one goal.

    Attributes:
        problem: a question whose catalogue has a price for every card and platform that any scenario prices.
        pairs: its pairs.
        card_money: cost (fen), missing and used pieces of the cards alone, per pair, shape (3, pairs).
        platform_money: the same of the platform; the cost holds the extra cost of the count as well.
        extra_cost: the extra cost of the count alone, fen.
        order: indices of the pairs, those of one group together, best first within each.
        starts: for each pair in `order`, whether a group begins there.
    """

    problem: Problem
    pairs: Pairs
    card_money: Ints
    platform_money: Ints
    extra_cost: Ints
    order: Ints
    starts: Ints
    _prepared: dict[Any, Prepared] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem) -> Repricing:
        """Prepare the pairs of a question."""
        pairs = pairs_of(problem)
        hardware, card, platform, used = pairs.hardware, pairs.card, pairs.platform, pairs.with_used
        count = pairs.figures.card_count
        money = money_of(problem, hardware.cards, hardware.platforms)
        group = ((card * len(hardware.platforms) + platform) * (MAX_OPTION_CARDS + 1) + count) * 2 + used
        rank = np.empty(len(pairs), dtype=np.int64)
        rank[pairs.order(problem.goal)] = np.arange(len(pairs))
        order = np.lexsort((rank, group))
        starts = np.diff(group[order], prepend=-1) != 0
        extra = ints([0, *(buying.extra_cost_fen(p, n) for n in _COUNTS)] for p in hardware.platforms)
        return cls(
            problem=problem,
            pairs=pairs,
            card_money=money.cards[:, used, card, count],
            platform_money=money.platforms[:, used, platform, count],
            extra_cost=extra.reshape(-1, MAX_OPTION_CARDS + 1)[platform, count],
            order=order,
            starts=starts,
        )

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def prepared(self, problems: Sequence[Problem]) -> Prepared:
        """The pairs that can win in any of these questions, which share catalogue, workload and goal."""
        spans = self._spans(problems)
        key = tuple((name, span.tightest, span.loosest) for name, span in spans.items())
        if key not in self._prepared:
            if len(self._prepared) >= 16:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[key] = Prepared.of(self, self._able(spans), spans)
        return self._prepared[key]

    def _spans(self, problems: Sequence[Problem]) -> dict[str, _Span]:
        """Between which capacities each row moves over the questions, read off one pair."""
        spans: dict[str, _Span] = {}
        if not len(self.pairs):
            return spans
        for problem in problems:
            for row in rows(problem, self._any_pair):
                capacity = -row.capacity if row.at_least else row.capacity
                span = spans.get(row.name)
                if span is None:
                    spans[row.name] = _Span(problem, capacity, capacity)
                else:
                    span.seen += 1
                    span.tightest = min(span.tightest, capacity)
                    span.loosest = max(span.loosest, capacity)
        for span in spans.values():
            if span.seen < len(problems):
                span.loosest = _NO_END
        return spans

    @cached_property
    def _any_pair(self) -> Figures:
        figures = self.pairs.figures
        values: dict[str, Any] = {
            each.name: int(getattr(figures, each.name)[0]) for each in fields(figures) if each.name != "listed"
        }
        return Figures(**values, listed=lambda _ids: (0, 0))

    def _able(self, spans: Mapping[str, _Span]) -> Ints:
        """Indices of the pairs that fit somewhere, and that no better one of their group makes superfluous."""
        order, starts = self.order, self.starts
        if not len(order):
            return order
        figures = self.pairs.figures
        physical = {id(getattr(figures, each.name)) for each in fields(figures) if each.name not in (*_MONEY, "listed")}
        first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
        fits = np.ones(len(self.pairs), dtype=np.bool_)
        shortfalls = []
        for problem in {id(span.problem): span.problem for span in spans.values()}.values():
            for row in rows(problem, figures):
                span = spans[row.name]
                if span.problem is not problem:
                    continue
                sign = -1 if row.at_least else 1
                used, own = sign * row.used, sign * row.capacity
                owned = isinstance(row.capacity, np.ndarray)
                moved = owned and span.tightest != span.loosest
                # Where a question moves a capacity that belongs to the platform, only less use is surely no worse.
                capacity = own if owned else span.tightest
                short = used if moved else np.maximum(used - capacity, 0)
                if id(row.used) in physical and not moved:
                    fits &= used <= (own if owned else span.loosest)
                short = np.broadcast_to(short, len(self.pairs))[order]
                if (short != short[first]).any():
                    shortfalls.append(short)
        kept = starts.copy() if not shortfalls else np.ones(len(order), dtype=np.bool_)
        if shortfalls:
            table = np.stack(shortfalls)
            depth = np.arange(len(order)) - first
            for back in range(1, int(depth.max()) + 1):
                at = np.flatnonzero((depth >= back) & kept)
                if at.size:
                    kept[at[(table[:, at - back] <= table[:, at]).all(axis=0)]] = False
        found: Ints = order[kept & fits[order]]
        return found


_NO_END = 2**62


@dataclass(eq=False)
class _Span:
    """A question that has the row, the tightest and the loosest of its capacities (more is looser), and in how many."""

    problem: Problem
    tightest: int
    loosest: int
    seen: int = 1


@dataclass(frozen=True, eq=False)
class Prepared:
    """The pairs that are left, with all that no scenario changes; `ask` makes one question a block for the solver."""

    source: Repricing
    index: Ints
    card: Ints
    platform: Ints
    count: Ints
    card_money: Ints
    platform_money: Ints
    extra_cost: Ints
    columns: dict[str, Ints]
    ids: tuple[Ints, Ints, Ints]
    tie: Ints
    largest_batch: int
    listed: Any
    fixed: tuple[Ints, ...]
    broken: Ints
    moving: tuple[Limit, ...]

    @classmethod
    def of(cls, source: Repricing, index: Ints, spans: Mapping[str, _Span]) -> Prepared:
        """Take the columns of the pairs that are left, and what of the rows is the same in every question."""
        pairs = source.pairs
        figures = pairs.figures
        names = [each.name for each in fields(figures) if each.name not in (*_MONEY, "listed")]
        columns = {name: getattr(figures, name)[index] for name in names}
        hardware = pairs.hardware
        card, platform = pairs.card[index], pairs.platform[index]
        ids = hardware.platform_rank[platform], hardware.card_rank[card], pairs.with_used[index]

        fixed, broken, moving = [], np.zeros(len(index), dtype=np.int64), []
        blank = np.zeros(len(index), dtype=np.int64)
        listed = hardware.listed(card, platform)
        still = Figures(**columns, cost_fen=blank, missing_cards=blank, used_cards=blank, listed=listed)
        tie = np.empty(len(index), dtype=np.int64)
        tie[best_first(key_columns("cost", still, 1, ids)[-_TIES:])] = np.arange(len(index))
        own = {id(column) for column in columns.values()}
        for problem in {id(span.problem): span.problem for span in spans.values()}.values():
            for row in rows(problem, still):
                span = spans[row.name]
                if span.problem is not problem or not len(index):
                    continue
                capacity = not isinstance(row.capacity, np.ndarray) or id(row.capacity) in own
                if id(row.used) in own and capacity and span.tightest == span.loosest:
                    excess = row.excess()
                    if (excess > 0).any():
                        fixed.append(excess)
                        broken |= np.where(excess > 0, _BIT[row.limit], 0)
                else:
                    moving.append(row.limit)
        return cls(
            source=source,
            index=index,
            fixed=tuple(fixed),
            broken=broken,
            moving=tuple(limit for limit in LIMITS if limit.name in moving),
            card=card,
            platform=platform,
            ids=ids,
            count=columns["card_count"],
            card_money=source.card_money[:, index],
            platform_money=source.platform_money[:, index],
            extra_cost=source.extra_cost[index],
            columns=columns,
            tie=tie,
            largest_batch=int(columns["total_batch"].max(initial=1)),
            listed=listed,
        )

    def __len__(self) -> int:
        """Number of pairs left."""
        return len(self.index)

    def money(self, prices_fen: Sequence[Mapping[str, int]]) -> Ints:
        """Cost, missing and used pieces of every pair in every scenario, shape (3, scenarios, pairs).

        Args:
            prices_fen: for each scenario, the new, unlimited offer that replaces every other of an item, in fen.
        """
        hardware = self.source.pairs.hardware
        parts = []
        for ids, at, money, count in (
            ([card.id for card in hardware.cards], self.card, self.card_money, self.count),
            ([platform.id for platform in hardware.platforms], self.platform, self.platform_money, None),
        ):
            position = {item_id: i for i, item_id in enumerate(ids)}
            table = np.full((len(prices_fen), len(ids)), -1, dtype=np.int64)
            changed = False
            for scenario, prices in enumerate(prices_fen):
                for item_id, price in prices.items():
                    column = position.get(item_id)
                    if column is not None:
                        table[scenario, column] = price
                        changed = True
            if not changed:
                parts.append(money[:, None, :])
                continue
            asked = table[:, at]
            given = asked >= 0
            if count is None:
                cost = np.where(given, asked + self.extra_cost, money[0])
            else:
                cost = np.where(given, asked * count, money[0])
            rest = [np.where(given, 0, each) if each.any() else np.zeros_like(cost) for each in money[1:]]
            parts.append(np.stack([cost, *rest]))
        return np.broadcast_to(parts[0] + parts[1], (3, len(prices_fen), len(self.index)))

    def priced(self, items: Collection[str]) -> Bools:
        """Which pairs consist of these cards and platforms only."""
        hardware = self.source.pairs.hardware
        cards = np.array([card.id in items for card in hardware.cards], dtype=np.bool_)
        platforms = np.array([platform.id in items for platform in hardware.platforms], dtype=np.bool_)
        known: Bools = cards[self.card] & platforms[self.platform]
        return known

    def ask(self, problem: Problem, money: Ints, priced: Bools | None) -> tuple[Block, Ints]:
        """One question as a block: its pairs, best first, and how far each breaks the rules that some pair breaks.

        Args:
            problem: the question; only its limits, site, workload and goal are read.
            money: cost, missing and used pieces of every pair, shape (3, pairs).
            priced: which pairs can be bought at all; None for all.

        Returns:
            The block and, for each of its pairs, the index among `self`.
        """
        if not len(self.index):
            return Block((), np.zeros((0, 0), dtype=np.int64)), self.index
        figures = self.figures(money)
        found = []
        violated = self.broken.copy()
        for limit in self.moving:
            for row in limit.rows(problem, figures):
                excess = row.excess()
                wrong = excess > 0
                if wrong.any():
                    found.append(excess)
                    violated[wrong] |= _BIT[limit.name]
        order = self._order(problem.goal, figures)
        if priced is not None:
            order = order[priced[order]]
        kept = survivors(order, violated)
        excesses = [excess[kept] for excess in (*self.fixed, *found)]
        table = np.stack(excesses) if excesses else np.zeros((0, len(kept)), dtype=np.int64)
        return Block(range(len(kept)), table), kept

    def figures(self, money: Ints) -> Figures:
        """The figures of all pairs at these costs."""
        return Figures(
            **self.columns, cost_fen=money[0], missing_cards=money[1], used_cards=money[2], listed=self.listed
        )

    def _order(self, goal: str, figures: Figures) -> Ints:
        # The ties do not depend on money: ranked once, they are one column instead of six.
        return best_first((*key_columns(goal, figures, self.largest_batch, self.ids)[:-_TIES], self.tie))
