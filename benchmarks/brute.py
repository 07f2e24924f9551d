"""Vectorised brute force: every rig of one platform and one count at a time, as NumPy columns over cards and watts.

The reference for catalogues too large for the oracle of the tests, and the floor for any method that looks at every
rig. It reads the records through the scalar arithmetic of `solver.domain` and shares nothing with `solver.model`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.plain import plainly
from solver.domain import buying, physics
from solver.domain.buying import offers_for
from solver.domain.catalog import Card
from solver.domain.limits import socket_mw
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.domain.recheck import unpaired_cards
from solver.domain.units import NEVER_US, US_PER_DAY, fen, milli

Ints = npt.NDArray[np.int64]
Key = tuple[Any, ...]


class _Cards:
    """Columns over all (card, power limit)."""

    def __init__(self, problem: Problem) -> None:
        offers, work = problem.catalog.offers_by_item, problem.workload
        self.cards = [card for card in problem.catalog.cards if card.id in offers]
        grids = [physics.power_limits_w(card, problem.limits.power_limit_w) for card in self.cards]
        self.at = np.repeat(np.arange(len(self.cards)), [len(grid) for grid in grids])
        self.watts = _ints([w for grid in grids for w in grid])
        pairs = zip(self.cards, grids, strict=True)
        self.sample_us = _ints([physics.per_sample_us(card, work, w) for card, grid in pairs for w in grid])
        self.micro = _ints([physics.micro_batch(card, work, 1) for card in self.cards])
        self.width = _ints([card.slot_width for card in self.cards])
        self.length = _ints([card.length_mm or 0 for card in self.cards])
        self.axial = np.array([card.cooling == "axial" for card in self.cards])
        self.passive = np.array([card.cooling == "passive" for card in self.cards])
        self.rank = _rank([card.id for card in self.cards])
        limits = problem.limits
        named = {card.id for card in self.cards} & set(limits.include)
        self.allowed = np.array(
            [
                (card.bf16_tensor_cores or work.precision != "bf16")
                and physics.micro_batch(card, work, 1) > 0
                and card.id not in limits.exclude
                and (not named or card.id in named)
                for card in self.cards
            ]
        )
        self.unpaired = _ints([[unpaired_cards(card, n) for n in range(MAX_OPTION_CARDS + 1)] for card in self.cards])


def best(problem: Problem) -> tuple[Key, tuple[str, int, int, str, bool]] | None:
    """The least key (the goal with its ties) of a feasible rig and its choice, or None if there is none.

    The choice is (card id, count, power limit, platform id, whether used offers were open).
    """
    plainly(problem)
    columns = _Cards(problem)
    if not columns.cards:
        return None
    resolution = int(MAX_OPTION_CARDS * columns.micro.max()) ** 2
    found: tuple[Key, tuple[str, int, int, str, bool]] | None = None
    offers = problem.catalog.offers_by_item
    priced = [p for p in problem.catalog.platforms if p.id in offers]
    ranks = _rank([p.id for p in priced])
    for with_used in (False, True) if problem.limits.allow_used else (False,):
        cards_money = _money(problem, [card.id for card in columns.cards], MAX_OPTION_CARDS, with_used)
        platform_money = _money(problem, [p.id for p in priced], 1, with_used)
        for place in range(len(priced)):
            for n in range(1, problem.limits.max_cards + 1):
                better = _best_here(
                    problem, columns, priced[place], int(ranks[place]), n, cards_money[:, :, n],
                    platform_money[:, place, 1], resolution, with_used, None if found is None else found[0],
                )  # fmt: skip
                found = better or found
    return found


def _best_here(
    problem: Problem, c: _Cards, platform: Any, rank: int, n: int, money: Ints, base: Ints, resolution: int,
    with_used: bool, to_beat: Key | None,
) -> tuple[Key, tuple[str, int, int, str, bool]] | None:  # fmt: skip
    """The best feasible rig of `n` cards on one platform, if its key is below `to_beat`."""
    limits, work = problem.limits, problem.workload
    named = {p.id for p in problem.catalog.platforms} & set(limits.include)
    if platform.id in limits.exclude or (named and platform.id not in named) or n > platform.pcie_x16_slots:
        return None
    if physics.host_ram_mib(work, n) > physics.host_ram_capacity_mib(platform):
        return None
    cost, missing, used = (money[i] + int(base[i]) for i in range(3))
    cost = cost + buying.extra_cost_fen(platform, n)
    ok = c.allowed & (missing == 0) & (c.width * n <= platform.expansion_slots)
    ok &= c.length <= (platform.max_card_length_mm or 10**9)
    ok &= ~c.passive if not platform.ducted else True
    ok &= ~c.axial | (n <= platform.max_axial_cards)
    if not limits.allow_used:
        ok &= used == 0
    if limits.budget_cny is not None:
        ok &= cost <= fen(limits.budget_cny)
    if limits.min_batch is not None:
        ok &= c.micro * n >= limits.min_batch
    if limits.require_nvlink:
        ok &= c.unpaired[:, n] == 0
    if platform.psu.connectors is not None:
        ok[ok] = [_fed(c.cards[i], platform, n) for i in np.flatnonzero(ok)]
    rows = np.flatnonzero(ok[c.at])
    watts = c.watts[rows]
    if limits.power_limit_w is not None:
        rows = rows[watts == limits.power_limit_w]
        watts = c.watts[rows]
    load = n * watts + platform.host_draw_w
    psu = platform.psu
    fits = load * 1000 <= physics.airflow_mw(platform)
    fits &= platform.host_draw_w * milli(psu.host_headroom) + n * watts * milli(psu.card_headroom) <= psu.rated_w * 1000
    wall = _ints([0] * (int(load.max(initial=0)) + 1))
    loads = np.unique(load)
    wall[loads] = [physics.wall_mw(psu, int(each)) for each in loads]
    fits &= wall[load] <= socket_mw(problem)
    if problem.site.room_cooling_w is not None:
        fits &= wall[load] <= problem.site.room_cooling_w * 1000
    at = c.at[rows]
    batch = n * c.micro[at]
    step = milli(work.fixed_s) * physics.scaling_milli(work, n) + c.micro[at] * c.sample_us[rows]
    epoch = np.minimum(NEVER_US, -(-work.samples // batch) * step)
    if limits.max_epoch_days is not None:
        fits &= epoch <= int(limits.max_epoch_days * US_PER_DAY)
    goal = {
        "batch": (-batch, cost[at], epoch),
        "epoch": (epoch, cost[at]),
        "value": (cost[at] * resolution // np.maximum(batch, 1), -batch, epoch),
        "cost": (cost[at], -batch, epoch),
    }[problem.goal]
    left = np.flatnonzero(fits)
    keys = (*goal, wall[load], np.full(len(rows), rank), c.rank[at], np.full(len(rows), n), watts)
    for key in keys:
        if not left.size:
            return None
        left = left[key[left] == key[left].min()]
    row = int(left[0])
    key = (*(int(column[row]) for column in keys), with_used)
    if to_beat is not None and key >= to_beat:
        return None
    return key, (c.cards[int(at[row])].id, n, int(watts[row]), platform.id, with_used)


def _fed(card: Card, platform: Any, n: int) -> bool:
    fed = physics.cards_fed(card, platform)
    return fed is None or n <= fed


def _money(problem: Problem, items: list[str], most: int, with_used: bool) -> Ints:
    """Cost in fen, missing and used pieces: shape (3, items, most + 1)."""
    table = np.zeros((3, len(items), most + 1), dtype=np.int64)
    for row, item in enumerate(items):
        for n in range(1, most + 1):
            bought = buying.purchase(offers_for(problem, item, with_used), n)
            table[:, row, n] = bought.cost_fen, bought.missing, bought.used
    return table


def _rank(names: list[str]) -> Ints:
    at = {name: rank for rank, name in enumerate(sorted(names))}
    return _ints([at[name] for name in names])


def _ints(values: Any) -> Ints:
    return np.array(values, dtype=np.int64)
