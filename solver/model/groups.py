"""Groups: many pairs at once, with figures at least as good as those of every pair among them.

A group is a card, a count, a stretch of neighbouring power limits and the offers that may be bought, on an ideal
platform: as good in every figure as the best of all. Whatever limit the group breaks, each of its pairs breaks; and no
pair of it ranks before the group's own key. So a catalogue with too many pairs to hold can be searched by its groups
(see bound.py). All this is prepared once per catalogue and workload, and the order once per goal; none of it depends
on limits or site, but for a power limit fixed by the question. Modify this module when groups are cut differently.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from solver.domain import physics
from solver.domain.limits import Figures
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.model.arrays import INT64_SAFE, Bools, Ints, ints
from solver.model.kept import Kept, reckoned_by
from solver.model.money import Money, money_of
from solver.model.pairs import Key, best_first, key_columns
from solver.model.parts import Hardware, hardware_of
from solver.model.rules import broken_sets

LARGE = 20_000
"""From so many pairs on, bounding is faster than looking at all of them."""
STRETCH = 8
"""Power limits in a group. More: fewer groups to look through, but less is known about each."""
_LOADS_AT_ONCE = 4096
_CELLS_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class Groups:
    """All groups of a catalogue and workload.

    Attributes:
        hardware: columns of cards and platforms.
        money: what they cost.
        card: which card.
        count: how many.
        low: position of the lowest power limit of the stretch in `hardware.watts`.
        high: position of the highest.
        with_used: 1 where used offers may be bought.
        figures: figures at least as good as those of any pair of the group.
        fixed: which limits the group breaks of those that look at catalogue and workload only, as bits.
        closed: whether every real platform breaks further ones of these limits.
        closer_cost: the least cost on a platform that breaks no further one of them.
        total: pairs of all groups.
        by_goal: what `ranked` has made.
    """

    hardware: Hardware
    money: Money
    card: Ints
    count: Ints
    low: Ints
    high: Ints
    with_used: Ints
    figures: Figures
    fixed: Ints
    closed: Bools
    closer_cost: Ints
    total: int
    by_goal: dict[str, Ranked] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.card)

    def ranked(self, goal: str) -> Ranked:
        """The groups best first by the least key that a pair of theirs could have."""
        if goal not in self.by_goal:
            ids = (np.zeros(len(self), dtype=np.int64), self.hardware.card_rank[self.card], self.with_used)
            largest = self.hardware.largest_batch
            keys = key_columns(goal, self.figures, largest, ids)
            closer = key_columns(goal, replace(self.figures, cost_fen=self.closer_cost), largest, ids)
            order = best_first(keys)
            fixed = self.fixed[order]
            self.by_goal[goal] = Ranked(
                group=order,
                keys=tuple(
                    np.concatenate([key[order], closest[order]]) for key, closest in zip(keys, closer, strict=True)
                ),
                fixed=fixed,
                fixed_number=np.bitwise_count(fixed),
                closed=self.closed[order],
                hardware=self.hardware,
                card=self.card[order],
                unranked=self.figures,
            )
        return self.by_goal[goal]

    def cells(self, rows: Ints, with_walls: bool = True) -> tuple[Figures, Bools]:
        """These groups on every real platform: figures by (group, platform), and which of them hold any pairs.

        Without walls the wall power, at which no fixed limit looks, is left at 0: it takes a third of the time.
        """
        hardware, money = self.hardware, self.money
        platform = np.arange(len(hardware.platforms))[None, :]
        card, count, low, high, used = (
            column[rows][:, None] for column in (self.card, self.count, self.low, self.high, self.with_used)
        )
        cards_w = count * hardware.watts[low]
        columns = (
            hardware.of_card(card, count, low)
            | hardware.of_place(card, count, low, hardware.places, platform, fastest=high)
            | {"wall_mw": hardware.supplies.least_mw(platform, cards_w) if with_walls else cards_w * 0}
            | money.figures(card, count, platform, used)
        )
        real = (used == 0) | money.mixed_card[card] | money.mixed_platform[platform]
        return Figures(**columns, listed=hardware.listed(card, platform)), real


@dataclass(frozen=True, eq=False)
class Ranked:
    """Groups in the order of a goal: which group has which rank, and by rank what a search looks at.

    `keys` has two halves: the least keys by rank, and, in the same order, the least keys of pairs that break no limits
    but those that the group breaks. The latter are no smaller, and closer to the truth: the cheapest platform of all
    is seldom one on which many cards fit.
    """

    group: Ints
    keys: Key
    fixed: Ints
    fixed_number: npt.NDArray[np.uint8]
    closed: Bools
    hardware: Hardware
    card: Ints
    unranked: Figures
    columns: dict[str, Ints] = field(default_factory=dict)

    def figures(self, first: int, last: int) -> Figures:
        """The figures of the ranks from `first` up to, not including, `last`."""
        listed = self.hardware.listed(self.card[first:last], np.zeros(last - first, dtype=np.int64))
        return cast(Figures, _Slice(self, first, last, listed))

    def column(self, name: str) -> Ints:
        """A figure by rank; sorted when first asked for, because limits that a question sets look at few figures."""
        if name not in self.columns:
            self.columns[name] = getattr(self.unranked, name)[self.group]
        return self.columns[name]

    def ranks_before(self, key: Key) -> int:
        """How many groups have a key below this one."""
        low, high = 0, len(self.group)  # the first half of the keys
        for column, value in zip(self.keys, key, strict=True):
            part = column[low:high]
            low, high = low + int(np.searchsorted(part, value)), low + int(np.searchsorted(part, value, "right"))
            if low == high:
                break
        return low


class _Slice:
    """Some ranks of `Ranked`, read like `Figures`."""

    def __init__(self, ranked: Ranked, first: int, last: int, listed: object) -> None:
        self._ranked, self._first, self._last, self.listed = ranked, first, last, listed

    def __getattr__(self, name: str) -> Ints:
        return self._ranked.column(name)[self._first : self._last]


_groups: Kept[Groups] = Kept(4)
_totals: Kept[int] = Kept(16)


def forget() -> None:
    """Drop all that is kept, as in a new process."""
    _groups.clear()
    _totals.clear()


def number_of_pairs(problem: Problem) -> int:
    """How many pairs the question has, without making them."""
    fixed_w = problem.limits.power_limit_w
    return _totals.of((problem.catalog, fixed_w), lambda: _number_of_pairs(problem))


def _number_of_pairs(problem: Problem) -> int:
    offers, fixed_w = problem.catalog.offers_by_item, problem.limits.power_limit_w
    kinds = {item: len({offer.condition for offer in rows}) for item, rows in offers.items()}
    platforms = [kinds[p.id] for p in problem.catalog.platforms if p.id in kinds]
    mixed = sum(kind == 2 for kind in platforms)
    total = 0
    for card in problem.catalog.cards:
        if card.id in kinds:
            again = len(platforms) if kinds[card.id] == 2 else mixed
            total += MAX_OPTION_CARDS * len(physics.power_limits_w(card, fixed_w)) * (len(platforms) + again)
    return total


def groups_of(problem: Problem) -> Groups:
    """The groups of the question's priced cards and platforms."""
    return _groups.of((problem.catalog, *reckoned_by(problem)), lambda: _groups_of(problem))


def _groups_of(problem: Problem) -> Groups:
    hardware = hardware_of(problem)
    money = money_of(problem, hardware.cards, hardware.platforms)
    card, low, high = _stretches(hardware, problem.limits.power_limit_w)
    # Ideal platform 0 stands for all. Buying used pieces too makes a difference with a mixed card on any platform,
    # and with other cards on mixed platforms only, for which ideal platform 1 stands.
    members = [np.arange(len(hardware.platforms))]
    parts = [(np.arange(len(card)), 0, 0), (np.flatnonzero(money.mixed_card[card]), 0, 1)]
    if money.mixed_platform.any():
        members.append(np.flatnonzero(money.mixed_platform))
        parts.append((np.flatnonzero(~money.mixed_card[card]), 1, 1))
    stretch = np.repeat(np.concatenate([rows for rows, _, _ in parts]), MAX_OPTION_CARDS)
    sizes = [len(rows) * MAX_OPTION_CARDS for rows, _, _ in parts]
    place = np.repeat(ints(place for _, place, _ in parts), sizes)
    with_used = np.repeat(ints(used for _, _, used in parts), sizes)
    count = np.tile(np.arange(1, MAX_OPTION_CARDS + 1), len(stretch) // MAX_OPTION_CARDS)
    card, low, high = card[stretch], low[stretch], high[stretch]
    columns = _ideal_columns(hardware, members, card, count, low, high, place)
    columns |= money.ideal(members).figures(card, count, place, with_used)
    # An ideal platform has no name: whoever asks for platform ids gets those of the first, so bound.py never asks.
    figures = Figures(**columns, listed=hardware.listed(card, np.zeros(len(card), dtype=np.int64)))
    groups = Groups(
        hardware=hardware,
        money=money,
        card=card,
        count=count,
        low=low,
        high=high,
        with_used=with_used,
        figures=figures,
        fixed=broken_sets(problem, figures, (len(card),), fixed=True),
        closed=np.zeros(len(card), dtype=np.bool_),
        closer_cost=figures.cost_fen,
        total=number_of_pairs(problem),
    )
    closed, closer_cost = _on_real_platforms(problem, groups)
    return replace(groups, closed=closed, closer_cost=closer_cost)


def _on_real_platforms(problem: Problem, groups: Groups) -> tuple[Bools, Ints]:
    """`closed` and `closer_cost` of all groups; of those that break several fixed limits nobody asks so closely."""
    closed, cost = groups.closed.copy(), groups.closer_cost.copy()
    number = np.bitwise_count(groups.fixed)
    asked = np.flatnonzero(number <= 1)
    at_once = max(1, _CELLS_AT_ONCE // max(1, len(groups.hardware.platforms)))
    for first in range(0, len(asked), at_once):
        rows = asked[first : first + at_once]
        figures, real = groups.cells(rows, with_walls=False)
        broken = np.bitwise_count(broken_sets(problem, figures, real.shape, fixed=True))
        open_here = real & (broken == number[rows][:, None])
        closed[rows] = ~open_here.any(axis=1)
        cost[rows] = np.where(open_here, figures.cost_fen, INT64_SAFE).min(axis=1)
    # A closed group has no such cost. Nobody looks at it, but it must not overflow in a key.
    return closed, np.where(closed, groups.closer_cost, cost)


def _stretches(hardware: Hardware, fixed_w: int | None) -> tuple[Ints, Ints, Ints]:
    """(card, first, last position) of stretches of neighbouring power limits; one fixed by the question is alone."""
    rows: list[tuple[int, int, int]] = []
    for card, (first, steps) in enumerate(zip(hardware.first.tolist(), hardware.steps.tolist(), strict=True)):
        cuts = {*range(first, first + steps, STRETCH), first + steps}
        if fixed_w is not None:
            at = first + int(np.searchsorted(hardware.watts[first : first + steps], fixed_w))
            if at < first + steps and hardware.watts[at] == fixed_w:
                cuts |= {at, at + 1}
        edges = sorted(cuts)
        rows += [(card, begin, end - 1) for begin, end in itertools.pairwise(edges)]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _ideal_columns(
    hardware: Hardware, members: list[Ints], card: Ints, count: Ints, low: Ints, high: Ints, place: Ints
) -> dict[str, Ints]:
    """All figures but money: power at the lowest power limit, speed at the highest, the rest on the best platform."""
    cards_w = count * hardware.watts[low]
    return (
        hardware.of_card(card, count, low)
        | hardware.of_place(card, count, low, hardware.places.ideal(members), place, fastest=high)
        | {"wall_mw": _least_walls(hardware, members, cards_w, place)}
    )


def _least_walls(hardware: Hardware, members: list[Ints], cards_w: Ints, place: Ints) -> Ints:
    """The least wall power on any member of the place at this load or a higher one."""
    loads, where = np.unique(cards_w, return_inverse=True)
    least = np.empty((len(members), len(loads)), dtype=np.int64)
    for at, each in enumerate(members):
        for first in range(0, len(loads), _LOADS_AT_ONCE):
            some = loads[first : first + _LOADS_AT_ONCE]
            least[at, first : first + len(some)] = hardware.supplies.least_mw(each, some[:, None]).min(axis=1)
    return least[place, where.reshape(-1)]
