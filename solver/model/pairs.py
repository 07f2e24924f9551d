"""The variables: one boolean per pair of option (card, count, power limit, purchase) and platform, and its figures.

All figures of a pair are whole numbers known before the solve, held as int64 columns. They are computed once per
catalogue and workload and reused while only limits, site or goal change (`pairs_of` keeps the last few); no answer is
ever kept. Modify this module when a pair gets a new figure; plan.figures_of is its scalar twin and must agree.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from solver.domain import physics
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import UNLIMITED, Figures
from solver.domain.plan import Choice, offers_for, unpaired_cards
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.domain.records import Card, Platform, Workload
from solver.domain.units import NEVER_US, milli

Ints = npt.NDArray[np.int64]
_KEPT = 16
_INT64_SAFE = 2**62


@dataclass(frozen=True, eq=False)
class Physical:
    """Figures that do not depend on money, for every pair of priced cards and platforms, used offers aside."""

    cards: tuple[Card, ...]
    platforms: tuple[Platform, ...]
    card: Ints
    platform: Ints
    columns: dict[str, Ints]


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs: which card and platform (indices), whether used offers may be bought, and the figures as columns."""

    cards: tuple[Card, ...]
    platforms: tuple[Platform, ...]
    card: Ints
    platform: Ints
    with_used: Ints
    figures: Figures
    orders: dict[str, Ints] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.card)

    def choice(self, index: int) -> Choice:
        """The decisions behind a pair."""
        return Choice(
            card_id=self.cards[self.card[index]].id,
            card_count=int(self.figures.card_count[index]),
            power_limit_w=int(self.figures.power_limit_w[index]),
            platform_id=self.platforms[self.platform[index]].id,
            with_used=bool(self.with_used[index]),
        )

    def order(self, goal: str) -> Ints:
        """Indices of the pairs, best first: the goal's key, then wall watts, platform id, card id, count, power limit.

        The position in this order is the pair's rank, and the rank is the objective: exactly one pair is chosen, so
        the least rank is the lexicographic best. Unique, so an answer never depends on search order.
        """
        if goal not in self.orders:
            self.orders[goal] = np.lexsort([_dense(key) for key in reversed(self.keys(goal))])
        return self.orders[goal]

    def keys(self, goal: str) -> tuple[Any, ...]:
        """The columns by which pairs are ordered, the first one first; less is better."""
        f = self.figures
        resolution = int(f.total_batch.max(initial=1)) ** 2
        if goal == "value" and int(f.cost_fen.max(initial=0)) * resolution >= _INT64_SAFE:
            f = _as_objects(f)
        return (
            *GOAL_SPECS[goal].key(f, resolution),
            self.figures.wall_mw,
            _ranks([p.id for p in self.platforms])[self.platform],
            _ranks([c.id for c in self.cards])[self.card],
            self.figures.card_count,
            self.figures.power_limit_w,
            self.with_used,
        )


def _as_objects(f: Figures) -> Figures:
    """The same figures as exact Python integers, for products beyond 64 bits."""
    values: dict[str, Any] = {f_.name: getattr(f, f_.name) for f_ in fields(f)}
    exact: dict[str, Any] = {name: v.astype(object) if isinstance(v, np.ndarray) else v for name, v in values.items()}
    return Figures(**exact)


def _dense(key: Any) -> Any:
    return np.unique(key, return_inverse=True)[1] if key.dtype == object else key


def dense_rank(columns: tuple[Any, ...]) -> Ints:
    """The rank of each row by several columns, the first one first; equal rows have equal ranks."""
    size = len(columns[0]) if columns else 0
    plain = [_dense(column) for column in columns]
    order = np.lexsort(list(reversed(plain)))
    new = np.zeros(size, dtype=np.int64)
    for column in plain:
        new[1:] |= column[order][1:] != column[order][:-1]
    ranks = np.empty(size, dtype=np.int64)
    ranks[order] = np.cumsum(new)
    return ranks


def _ranks(names: list[str]) -> Ints:
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return ranks


_physical: dict[tuple[Any, ...], tuple[tuple[Any, ...], Physical]] = {}
_pairs: dict[tuple[Any, ...], tuple[tuple[Any, ...], Pairs]] = {}


def _kept(store: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any]], parts: tuple[Any, ...], make: Any) -> Any:
    """Look up by identity of frozen records; the entry holds them, so an id cannot be reused while it is kept."""
    key = tuple(part if isinstance(part, int) or part is None else id(part) for part in parts)
    held = store.get(key)
    if held is None:
        held = (parts, make())
        if len(store) >= _KEPT:
            store.pop(next(iter(store)), None)
        store[key] = held
    return held[1]


def pairs_of(problem: Problem) -> Pairs:
    """All pairs of the question's priced cards and platforms with their figures."""
    made: Pairs = _kept(
        _pairs, (problem.catalog, problem.workload, problem.limits.power_limit_w), lambda: _with_money(problem)
    )
    return made


def physical_of(problem: Problem) -> Physical:
    """The figures without money; shared by questions that differ in prices only."""
    offers = problem.catalog.offers_by_item
    cards = tuple(c for c in problem.catalog.cards if c.id in offers)
    platforms = tuple(p for p in problem.catalog.platforms if p.id in offers)
    fixed = problem.limits.power_limit_w
    made: Physical = _kept(
        _physical,
        (len(cards), *cards, *platforms, problem.workload, fixed),
        lambda: _physical_of(cards, platforms, problem.workload, fixed),
    )
    return made


def _ints(values: Any) -> Ints:
    return np.array(list(values), dtype=np.int64)


def _physical_of(
    cards: tuple[Card, ...], platforms: tuple[Platform, ...], work: Workload, fixed_w: int | None
) -> Physical:
    limits = [physics.power_limits_w(card, fixed_w) for card in cards]
    counts = np.arange(1, MAX_OPTION_CARDS + 1, dtype=np.int64)
    sizes = _ints(len(grid) for grid in limits)
    option_card = np.repeat(np.arange(len(cards)), sizes * MAX_OPTION_CARDS)
    empty = np.empty(0, dtype=np.int64)
    option_count = np.concatenate([empty, *(np.repeat(counts, size) for size in sizes)])
    option_watts = np.concatenate([empty, *(np.tile(_ints(grid), MAX_OPTION_CARDS) for grid in limits)])
    sample_us = np.concatenate(
        [
            empty,
            *(
                np.tile(_ints(physics.per_sample_us(card, work, watts) for watts in grid), MAX_OPTION_CARDS)
                for card, grid in zip(cards, limits, strict=True)
            ),
        ]
    )
    batch = _ints(physics.micro_batch(card, work) for card in cards)
    per_card = {
        "slots": _ints(card.slot_width for card in cards),
        "card_length_mm": _ints(card.length_mm or 0 for card in cards),
        "vram_mib": _ints(card.vram_mib for card in cards),
        "vram_used_mib": _ints(physics.vram_used_mib(work, int(b)) for b in batch),
        "lacks_bf16": _ints(not card.bf16_tensor_cores for card in cards),
    }
    axial = _ints(card.cooling == "axial" for card in cards)
    passive = _ints(card.cooling == "passive" for card in cards)
    unpaired = np.array([[0, *(unpaired_cards(card, int(n)) for n in counts)] for card in cards], dtype=np.int64)
    ram = _ints([0, *(physics.host_ram_mib(work, int(n)) for n in counts)])
    scaling = _ints([0, *(physics.scaling_milli(work, int(n)) for n in counts)])

    total_batch = option_count * batch[option_card]
    options = {name: column[option_card] for name, column in per_card.items()}
    options["slots"] = options["slots"] * option_count
    options |= {
        "card_count": option_count,
        "power_limit_w": option_watts,
        "total_batch": total_batch,
        "epoch_us": _epochs(work, total_batch, scaling[option_count], batch[option_card], sample_us),
        "axial_cards": axial[option_card] * option_count,
        "unpaired_cards": unpaired.reshape(-1, MAX_OPTION_CARDS + 1)[option_card, option_count],
        "host_ram_mib": ram[option_count],
    }

    places = len(platforms)
    platform = np.tile(np.arange(places), len(option_card))
    card = np.repeat(option_card, places)
    columns = {name: np.repeat(column, places) for name, column in options.items()}
    per_platform = {
        "expansion_slots": _ints(p.expansion_slots for p in platforms),
        "pcie_x16_slots": _ints(p.pcie_x16_slots for p in platforms),
        "psu_rated_mw": _ints(p.psu.rated_w * 1000 for p in platforms),
        "airflow_mw": _ints(physics.airflow_mw(p) for p in platforms),
        "max_axial_cards": _ints(p.max_axial_cards for p in platforms),
        "max_card_length_mm": _ints(p.max_card_length_mm or UNLIMITED for p in platforms),
        "host_ram_capacity_mib": _ints(physics.host_ram_capacity_mib(p) for p in platforms),
    }
    columns |= {name: column[platform] for name, column in per_platform.items()}
    host = _ints(p.host_draw_w for p in platforms)
    host_factor = _ints(milli(p.psu.host_headroom) for p in platforms)
    card_factor = _ints(milli(p.psu.card_headroom) for p in platforms)
    cards_w = columns["card_count"] * columns["power_limit_w"]
    columns["heat_mw"] = (cards_w + host[platform]) * 1000
    columns["psu_demand_mw"] = (host * host_factor)[platform] + cards_w * card_factor[platform]
    columns["wall_mw"] = _walls(platforms, option_count * option_watts).reshape(-1)
    ducted = _ints(p.ducted for p in platforms)
    columns["unducted_cards"] = (passive[card] * (1 - ducted[platform])) * columns["card_count"]
    fed = np.full((len(cards), places), UNLIMITED, dtype=np.int64)
    for at, p in enumerate(platforms):
        if p.psu.connectors is not None:
            for c, each in enumerate(cards):
                known = physics.cards_fed(each, p)
                fed[c, at] = UNLIMITED if known is None else known
    columns["cards_fed"] = fed[card, platform]
    return Physical(cards, platforms, card, platform, columns)


def _epochs(work: Workload, total_batch: Ints, scaling: Ints, batch: Ints, sample_us: Ints) -> Ints:
    """Epochs in microseconds, exact; NEVER_US where longer, or where no sample fits."""
    step = milli(work.fixed_s) * scaling + batch * sample_us
    steps = -(-work.samples // np.maximum(total_batch, 1))
    never = (total_batch == 0) | (steps > NEVER_US // np.maximum(step, 1))
    return np.where(never, NEVER_US, np.where(never, 0, steps) * step)


def _walls(platforms: tuple[Platform, ...], cards_w: Ints) -> Ints:
    """Wall power in mW, shape (options, platforms): load * n / (a + b * load) rounded up, by segment of the supply."""
    table = np.empty((len(cards_w), len(platforms)), dtype=np.int64)
    loads, where = np.unique(cards_w, return_inverse=True)
    for column, platform in enumerate(platforms):
        load = loads + platform.host_draw_w
        highest = int(load.max(initial=0))
        walls = np.zeros(len(load), dtype=np.int64)
        low = -1
        for until, n, a, b in physics.wall_segments(platform.psu):
            within = (load > low) & (load <= until) if until is not None else load > low
            part = load[within]
            if highest * n < _INT64_SAFE and abs(a) + abs(b) * highest < _INT64_SAFE:
                walls[within] = -(-part * n // (a + b * part))
            else:
                walls[within] = [-(-int(w) * n // (a + b * int(w))) for w in part]
            low = low if until is None else max(low, until)
        table[:, column] = walls[where.reshape(-1)]
    return table


def _with_money(problem: Problem) -> Pairs:
    base = physical_of(problem)
    extra = np.array(
        [[0, *(physics.extra_cost_fen(p, n) for n in range(1, MAX_OPTION_CARDS + 1))] for p in base.platforms],
        dtype=np.int64,
    ).reshape(-1, MAX_OPTION_CARDS + 1)
    mixed_cards = _ints(_mixed(problem, card.id) for card in base.cards)
    mixed_platforms = _ints(_mixed(problem, platform.id) for platform in base.platforms)
    count = base.columns["card_count"]
    parts = [np.arange(len(base.card))]
    if mixed_cards.any() or mixed_platforms.any():
        parts.append(np.flatnonzero(mixed_cards[base.card] | mixed_platforms[base.platform]))
    money: list[tuple[Ints, Ints, Ints]] = []
    for variant, rows in enumerate(parts):
        cards = _purchases(problem, [c.id for c in base.cards], MAX_OPTION_CARDS, bool(variant))
        platforms = _purchases(problem, [p.id for p in base.platforms], 1, bool(variant))
        card, platform, n = base.card[rows], base.platform[rows], count[rows]
        cost, missing, used = (a[card, n] + b[platform, 1] for a, b in zip(cards, platforms, strict=True))
        money.append((cost + extra[platform, n], missing, used))
    rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
    cost, missing, used = (np.concatenate(columns) for columns in zip(*money, strict=True))
    all_rows = len(parts) == 1
    columns = base.columns if all_rows else {name: column[rows] for name, column in base.columns.items()}
    card = base.card if all_rows else base.card[rows]
    platform = base.platform if all_rows else base.platform[rows]
    with_used: Ints = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    card_at = {c.id: i for i, c in enumerate(base.cards)}
    platform_at = {p.id: i for i, p in enumerate(base.platforms)}

    def listed(ids: Collection[str]) -> tuple[Ints, Ints]:
        on_card = np.zeros(len(base.cards), dtype=np.int64)
        on_platform = np.zeros(len(base.platforms), dtype=np.int64)
        on_card[[card_at[i] for i in ids if i in card_at]] = 1
        on_platform[[platform_at[i] for i in ids if i in platform_at]] = 1
        return on_card[card], on_platform[platform]

    values: dict[str, Any] = {**columns, "cost_fen": cost, "missing_cards": missing, "used_cards": used}
    figures = Figures(**values, listed=listed)
    return Pairs(base.cards, base.platforms, card, platform, with_used, figures)


def _mixed(problem: Problem, item_id: str) -> bool:
    """Whether buying used ones too can differ from buying new ones: there are offers of both kinds."""
    return len({offer.condition for offer in problem.catalog.offers_by_item[item_id]}) == 2


def _purchases(problem: Problem, items: list[str], most: int, with_used: bool) -> tuple[Ints, Ints, Ints]:
    """Cost (fen), missing and used pieces, each of shape (items, most + 1), of buying 1..most pieces of each item."""
    table = np.zeros((3, len(items), most + 1), dtype=np.int64)
    for row, item in enumerate(items):
        offers = offers_for(problem, item, with_used)
        for n, bought in enumerate(physics.purchases(offers, most)[1:], start=1):
            table[:, row, n] = bought.cost_fen, bought.missing, bought.used
    return table[0], table[1], table[2]
