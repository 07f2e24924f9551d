"""Bound first: the survivors of pruning for catalogues with too many pairs to look at.

Groups stand for pairs (see groups.py). A group need not be opened once some pair is known that ranks before the
group's key and violates a subset of the limits that all of the group's pairs violate: then it prunes each of them
(see prune.py), and so each pair that they would have pruned. What is left when no group need be opened are exactly
the survivors among all pairs.

Groups are opened in two steps: onto the real platforms (a cell: group and platform), then, where that is still not
enough, into pairs. Which to open first only decides how much work it is: it is presumed that a group has a pair that
violates no more than the group does, and the survivors under that presumption are opened.

A question that has an answer needs no pair that breaks several limits: such a pair can become the answer only if all
of them are switched off. So `within_reach` keeps the survivors that break at most one limit, the answer and its near
misses; conflicts and relaxations ask `all_survivors`. Modify this module when the search through groups changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from solver.domain import limits
from solver.domain.limits import Figures
from solver.domain.problem import Problem
from solver.model.arrays import Bools, Ints
from solver.model.groups import Groups, Ranked, groups_of, number_of_pairs
from solver.model.pairs import Key, Pairs, best_first, key_columns, pairs_of
from solver.model.prune import survivors
from solver.model.rules import broken_limits, broken_sets

# How the search is portioned; the survivors do not depend on it, only how long they take.
_RANKS_AT_ONCE = 16_384  # columns of so many fit the cache
_FIRST_OPENED = 16
_MORE_EACH_TIME = 4
_CELLS_AT_ONCE = 400_000
_CELLS_NOT_WORTH_CHOOSING = 300


def within_reach(problem: Problem) -> Pairs:
    """The survivors that break at most one limit; all survivors where there is none."""
    found = _survivors(problem, most_broken=1)
    return found if len(found) else all_survivors(problem)


def all_survivors(problem: Problem) -> Pairs:
    """Every pair of the question of which no better-ranked pair violates a subset of the limits it violates."""
    return _survivors(problem, most_broken=len(limits.LIMITS))


@dataclass(frozen=True, eq=False)
class _Found:
    """Survivors among the pairs looked at so far, best first: indices, keys, and the sets they violate."""

    card: Ints
    count: Ints
    at: Ints
    platform: Ints
    with_used: Ints
    violated: Ints
    keys: Key

    @cached_property
    def rows(self) -> list[tuple[Key, int]]:
        """(key, violated set) of each."""
        columns = [column.tolist() for column in self.keys]
        return list(zip(zip(*columns, strict=True), self.violated.tolist(), strict=True))

    def taken(self, rows: Ints) -> _Found:
        """Some of them, in this order."""
        return _Found(
            self.card[rows],
            self.count[rows],
            self.at[rows],
            self.platform[rows],
            self.with_used[rows],
            self.violated[rows],
            tuple(column[rows] for column in self.keys),
        )

    def joined(self, other: _Found) -> _Found:
        """The survivors of both."""
        card, count, at, platform, with_used, violated, *keys = (
            np.concatenate([mine, theirs]) for mine, theirs in zip(self._columns, other._columns, strict=True)
        )
        both = _Found(card, count, at, platform, with_used, violated, tuple(keys))
        return both.taken(survivors(best_first(both.keys), both.violated))

    @property
    def _columns(self) -> tuple[Any, ...]:
        return (self.card, self.count, self.at, self.platform, self.with_used, self.violated, *self.keys)


def _survivors(problem: Problem, most_broken: int) -> Pairs:
    if number_of_pairs(problem) == 0:
        return pairs_of(problem)
    groups = groups_of(problem)
    ranked = groups.ranked(problem.goal)
    asked = _cards_named_only(problem)
    found: _Found | None = None
    waiting, violated = np.empty((2, 0), dtype=np.int64)
    first, end = 0, len(groups)
    while first < end:
        last = min(end, first + _RANKS_AT_ONCE)
        more, theirs = _candidates(asked, ranked, first, last, most_broken)
        waiting, violated = np.concatenate([waiting, more]), np.concatenate([violated, theirs])
        if not theirs.all() or last == end:  # worth a search only if it may end with a feasible pair
            found = _search(problem, groups, waiting, violated, most_broken, found)
            waiting, violated = np.empty((2, 0), dtype=np.int64)
            if found is not None and not found.violated.all():
                end = ranked.ranks_before(found.rows[-1][0])  # The feasible pair prunes every group behind it.
        first = last
    return _as_pairs(groups, problem.goal, found)


def _search(
    problem: Problem, groups: Groups, waiting: Ints, violated: Ints, most_broken: int, found: _Found | None
) -> _Found | None:
    """The survivors among those found and all pairs of these groups, given by rank, best first."""
    ranked = groups.ranked(problem.goal)
    opened = _FIRST_OPENED
    at_once = max(1, _CELLS_AT_ONCE // max(1, len(groups.hardware.platforms)))
    while True:
        left = np.ones(len(waiting), dtype=np.bool_)
        for key, mask in found.rows if found is not None else ():
            behind = int(np.searchsorted(waiting, ranked.ranks_before(key)))
            left[behind:] &= (mask & ~violated[behind:]) != 0
        waiting, violated = waiting[left], violated[left]
        # Where no pair that breaks further limits is wanted, the closer keys count: the second half.
        closer = np.where(np.bitwise_count(violated) == most_broken, waiting + len(groups), waiting)
        left = ~_pruned(ranked.keys, closer, violated, found)
        waiting, violated = waiting[left], violated[left]
        if not waiting.size:
            return found
        chosen = _presumed(violated, opened)[:at_once]
        found = _open(problem, groups, ranked.group[waiting[chosen]], most_broken, found)
        violated = np.delete(violated, chosen)
        waiting = np.delete(waiting, chosen)
        opened *= _MORE_EACH_TIME


def _candidates(problem: Problem, ranked: Ranked, first: int, last: int, most_broken: int) -> tuple[Ints, Ints]:
    """Of the groups with these ranks, those that may have a pair that breaks at most so many limits.

    Returns:
        Their ranks, and the limits that all their pairs break.
    """
    number = ranked.fixed_number[first:last] + ranked.closed[first:last]
    asked = list(broken_limits(problem, ranked.figures(first, last), fixed=False))
    for _, broken in asked:
        number += broken
    near = np.flatnonzero(number <= most_broken)
    violated = ranked.fixed[first:last][near]
    for bit, broken in asked:
        np.bitwise_or(violated, bit, out=violated, where=broken[near])
    return first + near, violated


def _cards_named_only(problem: Problem) -> Problem:
    """The question without platforms in its include and exclude lists: an ideal platform has no name."""
    named = {*problem.limits.include, *problem.limits.exclude}
    cards = problem.catalog.card_by_id
    if all(name in cards for name in named):
        return problem
    lists = {
        field: tuple(name for name in getattr(problem.limits, field) if name in cards)
        for field in ("include", "exclude")
    }
    return problem.with_limits(**lists)


def _presumed(violated: Ints, number: int) -> Ints:
    """Which to open next: the first so many of each set that survives, if they violate no more than they must."""
    kept = survivors(np.arange(len(violated)), violated)
    if number == 1:
        return kept
    return np.concatenate([np.flatnonzero(violated == mask)[:number] for mask in violated[kept]])


def _not_below(keys: Key, rows: Ints, key: Key) -> Bools:
    """Which of these rows of the key columns have at least this key."""
    first = keys[0][rows]
    behind: Bools = np.asarray(first > key[0], dtype=np.bool_)
    tied = np.flatnonzero(first == key[0])
    for column, value in zip(keys[1:], key[1:], strict=True):
        if not tied.size:
            return behind
        part = column[rows[tied]]
        behind[tied[np.asarray(part > value, dtype=np.bool_)]] = True
        tied = tied[np.asarray(part == value, dtype=np.bool_)]
    behind[tied] = True
    return behind


def _pruned(keys: Key, rows: Ints, violated: Ints, found: _Found | None) -> Bools:
    """Which of these rows of the key columns are pruned by a pair that has been found."""
    pruned = np.zeros(len(violated), dtype=np.bool_)
    for key, mask in found.rows if found is not None else ():
        open_to = np.flatnonzero(~pruned & ((mask & ~violated) == 0))
        if open_to.size:
            pruned[open_to[_not_below(keys, rows[open_to], key)]] = True
    return pruned


def _open(problem: Problem, groups: Groups, rows: Ints, most_broken: int, found: _Found | None) -> _Found | None:
    """The survivors among those found and all pairs of these groups."""
    hardware = groups.hardware
    figures, real = groups.cells(rows)
    violated = broken_sets(problem, figures, real.shape)
    row, place = np.nonzero(real & (np.bitwise_count(violated) <= most_broken))
    ids = (
        hardware.platform_rank[None, :],
        hardware.card_rank[groups.card[rows]][:, None],
        groups.with_used[rows][:, None],
    )
    keys = key_columns(problem.goal, figures, hardware.largest_batch, ids)
    keys = tuple(np.broadcast_to(column, real.shape)[row, place] for column in keys)
    cells = _Cells(rows[row], place, violated[row, place], keys).left(found)
    cells = cells.taken(best_first(cells.keys[:2]))  # nearly best first is enough to choose by
    opened = 1
    while len(cells.group):
        if len(cells.group) <= _CELLS_NOT_WORTH_CHOOSING:
            return _expand(problem, groups, cells, most_broken, found)
        chosen = _presumed(cells.violated, opened)
        found = _expand(problem, groups, cells.taken(chosen), most_broken, found)
        cells = cells.taken(np.delete(np.arange(len(cells.group)), chosen)).left(found)
        opened *= _MORE_EACH_TIME
    return found


@dataclass(frozen=True, eq=False)
class _Cells:
    """Groups on real platforms: which group and platform, the limits all their pairs violate, and their least keys."""

    group: Ints
    platform: Ints
    violated: Ints
    keys: Key

    def taken(self, rows: Any) -> _Cells:
        """Some of them."""
        return _Cells(
            self.group[rows], self.platform[rows], self.violated[rows], tuple(column[rows] for column in self.keys)
        )

    def left(self, found: _Found | None) -> _Cells:
        """Those that are not pruned by a pair that has been found."""
        return self.taken(~_pruned(self.keys, np.arange(len(self.group)), self.violated, found))


def _expand(problem: Problem, groups: Groups, cells: _Cells, most_broken: int, found: _Found | None) -> _Found | None:
    """The survivors among those found and all pairs of these cells."""
    hardware = groups.hardware
    sizes = groups.high[cells.group] - groups.low[cells.group] + 1
    group, platform = np.repeat(cells.group, sizes), np.repeat(cells.platform, sizes)
    at = groups.low[group] + np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    card, count, used = groups.card[group], groups.count[group], groups.with_used[group]
    figures = _figures(groups, card, count, at, platform, used)
    violated = broken_sets(problem, figures, (len(group),))
    ids = hardware.platform_rank[platform], hardware.card_rank[card], used
    keys = key_columns(problem.goal, figures, hardware.largest_batch, ids)
    near = np.flatnonzero(np.bitwise_count(violated) <= most_broken)
    pairs = _Found(card, count, at, platform, used, violated, keys).taken(near)
    pairs = pairs.taken(np.flatnonzero(~_pruned(pairs.keys, np.arange(len(near)), pairs.violated, found)))
    if not len(pairs.card):
        return found
    return pairs.taken(survivors(best_first(pairs.keys), pairs.violated)) if found is None else found.joined(pairs)


def _figures(groups: Groups, card: Ints, count: Ints, at: Ints, platform: Ints, with_used: Ints) -> Figures:
    hardware = groups.hardware
    columns = hardware.figures(card, count, at, platform) | groups.money.figures(card, count, platform, with_used)
    return Figures(**columns, listed=hardware.listed(card, platform))


def _as_pairs(groups: Groups, goal: str, found: _Found | None) -> Pairs:
    none = np.empty(0, dtype=np.int64)
    rigs = (none,) * 5 if found is None else (found.card, found.count, found.at, found.platform, found.with_used)
    card, count, at, platform, with_used = rigs
    pairs = Pairs(
        hardware=groups.hardware,
        card=card,
        platform=platform,
        with_used=with_used,
        figures=_figures(groups, card, count, at, platform, with_used),
        total=groups.total,
    )
    pairs.orders[goal] = np.arange(len(card))
    return pairs
