"""The parts of a rig as columns, and the figures of any rigs put together from them.

Figures of cards, of platforms and of purchases are computed once per catalogue and workload, by the scalar functions
of `domain.physics`; a rig is then a few look-ups and sums. Everything here takes arrays of indices (card, count,
position of the power limit, platform, offers) that broadcast, so all pairs at once, the rigs of some cards on every
platform, and single rigs go through the same lines. Modify this module when a rig gets a new figure; plan.figures_of
is its scalar twin and must agree.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from solver.domain import physics
from solver.domain.limits import UNLIMITED
from solver.domain.plan import offers_for, unpaired_cards
from solver.domain.problem import CONFIDENCES, MAX_OPTION_CARDS, Problem
from solver.domain.records import Card, End, Platform, Workload
from solver.domain.units import NEVER_US, milli

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
INT64_SAFE = 2**62
_COUNTS = range(1, MAX_OPTION_CARDS + 1)

T = TypeVar("T")


class Kept(Generic[T]):
    """The last few things made from frozen records, found again by identity.

    An entry holds its records, so an id cannot be given to another record while the entry is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[Any, ...], tuple[tuple[Any, ...], T]] = {}
        self._lock = threading.Lock()

    def of(self, records: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What `make` made for these records (whole numbers and None count by value)."""
        key = tuple(part if isinstance(part, int) or part is None else id(part) for part in records)
        held = self._held.get(key)
        if held is None:
            held = (records, make())
            with self._lock:
                while len(self._held) >= self._most:
                    self._held.pop(next(iter(self._held)))
                self._held[key] = held
        return held[1]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()


def reckoned_by(problem: Problem) -> tuple[Any, ...]:
    """What of a question, its catalogue aside, decides the figures of its rigs: part of the key of what is kept."""
    return problem.workload, CONFIDENCES.index(problem.confidence), problem.limits.power_limit_w


def ints(values: Any) -> Ints:
    """An int64 array of any iterable of whole numbers."""
    return np.array(list(values), dtype=np.int64)


def ranks(names: Sequence[str]) -> Ints:
    """The position of each name in alphabetical order."""
    found = np.empty(len(names), dtype=np.int64)
    found[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return found


@dataclass(frozen=True, eq=False)
class Supplies:
    """The power supplies of some platforms: their wall power as fractions of whole numbers, segment by segment.

    Rows are platforms, columns the segments of `physics.wall_segments`, padded with the last one.

    Attributes:
        host_w: draw of the host.
        until: highest load of each segment.
        n: with `a` and `b`: mW at the wall = ceil(load * n / (a + b * load)).
        a: see `n`.
        b: see `n`.
        beyond: the least wall power from the end of each segment on. An efficiency may rise so steeply with the load
            that more load draws less, so the least of a range of loads is not always that of its lowest.
    """

    host_w: Ints
    until: Ints
    n: npt.NDArray[Any]
    a: npt.NDArray[Any]
    b: npt.NDArray[Any]
    beyond: Ints

    def wall_mw(self, platform: Ints, cards_w: Ints) -> Ints:
        """Wall power, rounded up, when the cards together draw `cards_w`."""
        load = cards_w + self.host_w[platform]
        return self._wall(platform, load, self._segment(platform, load))

    def least_mw(self, platform: Ints, cards_w: Ints) -> Ints:
        """The least wall power of all loads that are at least `cards_w`."""
        load = cards_w + self.host_w[platform]
        segment = self._segment(platform, load)
        return np.minimum(self._wall(platform, load, segment), self.beyond[platform, segment])

    def _segment(self, platform: Ints, load: Ints) -> Ints:
        segment = np.zeros(load.shape, dtype=np.int64)
        for ends in self.until[:, :-1].T:
            segment += load > ends[platform]
        return segment

    def _wall(self, platform: Ints, load: Ints, segment: Ints) -> Ints:
        n, a, b = self.n[platform, segment], self.a[platform, segment], self.b[platform, segment]
        wall: Ints = -(-load * n // (a + b * load))
        return wall if wall.dtype == np.int64 else wall.astype(np.int64)


def supplies_of(platforms: Sequence[Platform], most_w: int) -> Supplies:
    """The supplies of these platforms, for cards that together draw at most `most_w`."""
    segments = [physics.wall_segments(platform.psu) for platform in platforms]
    width = max((len(row) for row in segments), default=1)
    padded = [[*row, *[row[-1]] * (width - len(row))] for row in segments]
    highest = most_w + max((p.host_draw_w for p in platforms), default=0)
    flat = [segment for row in padded for segment in row]
    safe = all(highest * n < INT64_SAFE and abs(a) + abs(b) * highest < INT64_SAFE for _, n, a, b in flat)

    def table(column: int) -> npt.NDArray[Any]:
        values = [[segment[column] for segment in row] for row in padded]
        # Exact Python integers where a product could leave 64 bits: slow, and rarely needed.
        return np.array(values, dtype=np.int64 if safe else object).reshape(len(platforms), width)

    until = np.array([[INT64_SAFE if s[0] is None else s[0] for s in row] for row in padded], dtype=np.int64)
    beyond = np.full((len(platforms), width), INT64_SAFE, dtype=np.int64)
    for at, (platform, row) in enumerate(zip(platforms, segments, strict=True)):
        # Along one segment the wall power only rises or only falls, so its least lies at an end.
        ends = [
            min(physics.wall_mw(platform.psu, end + extra) for extra in (0, 1)) for end, *_ in row if end is not None
        ]
        beyond[at, : len(ends)] = list(itertools.accumulate(reversed(ends), min))[::-1]
    return Supplies(
        host_w=ints(p.host_draw_w for p in platforms),
        until=until.reshape(len(platforms), width),
        n=table(1),
        a=table(2),
        b=table(3),
        beyond=beyond,
    )


@dataclass(frozen=True, eq=False)
class Places:
    """Platforms as columns: capacities under the names of their figures, and what their demands are computed from.

    An ideal place (see `ideal`) is as good in every column as the best of several platforms.
    """

    columns: dict[str, Ints]
    host_w: Ints
    host_demand_mw: Ints
    card_headroom: Ints
    unducted: Ints
    fed: Ints
    """How many cards the supply has cables for: rows are kinds of connectors a card may need, columns places."""
    generation: Ints
    optimizer_us: Ints
    """The optimizer of a step by pace, count and place."""

    def ideal(self, members: Sequence[Ints]) -> Places:
        """For each group of platforms one place that is at least as good as every member in everything."""

        def most(column: Ints) -> Ints:
            return np.stack([column[..., each].max(axis=-1) for each in members], axis=-1)

        def least(column: Ints) -> Ints:
            return np.stack([column[..., each].min(axis=-1) for each in members], axis=-1)

        return Places(
            columns={name: most(column) for name, column in self.columns.items()},
            host_w=least(self.host_w),
            host_demand_mw=least(self.host_demand_mw),
            card_headroom=least(self.card_headroom),
            unducted=least(self.unducted),
            fed=most(self.fed),
            generation=most(self.generation),
            optimizer_us=least(self.optimizer_us),
        )


@dataclass(frozen=True, eq=False)
class Hardware:
    """Cards, platforms and workload as columns: everything about a rig but its price.

    Attributes:
        cards: the cards that have a price.
        platforms: the platforms that have a price.
        first: where the power limits of each card begin in `watts` and `sample_us`.
        steps: how many power limits each card has.
        watts: the power limits of all cards, rising for each.
        sample_us: the time of one sample at each of them, a row for each pace of the workload (physics.paces).
        fixed_us: the fixed part of a micro-step by pace, PCIe generation and count.
        generation: PCIe generation of each card.
        batch: samples that fit a card, by card and count.
    """

    cards: tuple[Card, ...]
    platforms: tuple[Platform, ...]
    work: Workload
    end: End
    first: Ints
    steps: Ints
    watts: Ints
    sample_us: Ints
    fixed_us: Ints
    generation: Ints
    batch: Ints
    vram_used_mib: Ints
    by_card: dict[str, Ints]
    axial: Ints
    passive: Ints
    connectors: Ints
    unpaired: Ints
    host_ram_mib: Ints
    places: Places
    supplies: Supplies
    card_rank: Ints
    platform_rank: Ints
    last_named: dict[frozenset[str], tuple[Ints, Ints]] = field(default_factory=dict)

    @property
    def largest_batch(self) -> int:
        """The largest total batch of any rig."""
        return physics.total_batch(self.work, MAX_OPTION_CARDS, int(self.batch.max(initial=0)))

    def of_card(self, card: Ints, count: Ints, at: Ints) -> dict[str, Ints]:
        """The figures that do not depend on the platform: of a card, so many of it, and a position in `watts`."""
        figures = {name: column[card] for name, column in self.by_card.items()}
        figures["slots"] = figures["slots"] * count
        return figures | {
            "card_count": count,
            "power_limit_w": self.watts[at],
            "total_batch": self.batch[card, count] * count * self.work.gradient_accumulation,
            "vram_used_mib": self.vram_used_mib[card, count],
            "axial_cards": self.axial[card] * count,
            "unpaired_cards": self.unpaired[card, count],
            "host_ram_mib": self.host_ram_mib[count],
        }

    def of_place(
        self, card: Ints, count: Ints, at: Ints, places: Places, place: Ints, fastest: Ints | None = None
    ) -> dict[str, Ints]:
        """The figures that depend on the place, wall power aside.

        Args:
            card: which card.
            count: how many.
            at: position of the power limit in `watts`.
            places: the places.
            place: which of them.
            fastest: position whose speed counts instead: the highest power limit, when many are meant at once.
        """
        cards_w = count * self.watts[at]
        generation = np.minimum(self.generation[card], places.generation[place])
        epochs = self.epochs(
            count,
            self.batch[card, count],
            self.fixed_us[:, generation, count],
            self.sample_us[:, at if fastest is None else fastest],
            places.optimizer_us[:, count, place],
        )
        return {name: column[place] for name, column in places.columns.items()} | {
            "heat_mw": (cards_w + places.host_w[place]) * 1000,
            "psu_demand_mw": places.host_demand_mw[place] + cards_w * places.card_headroom[place],
            "unducted_cards": self.passive[card] * places.unducted[place] * count,
            "cards_fed": places.fed[self.connectors[card], place],
            "epoch_us": epochs,
        }

    def epochs(self, count: Ints, batch: Ints, fixed_us: Ints, sample_us: Ints, optimizer_us: Ints) -> Ints:
        """Epochs in microseconds at the end of the intervals that is planned on; times have the paces in front."""
        return epochs_us(self.work, self.end, count, batch, fixed_us, sample_us, optimizer_us)

    def figures(self, card: Ints, count: Ints, at: Ints, platform: Ints) -> dict[str, Ints]:
        """All figures but money of these rigs, by name."""
        return (
            self.of_card(card, count, at)
            | self.of_place(card, count, at, self.places, platform)
            | {"wall_mw": self.supplies.wall_mw(platform, count * self.watts[at])}
        )

    def listed(self, card: Ints, platform: Ints) -> Callable[[Collection[str]], tuple[Ints, Ints]]:
        """A function of ids: for each rig, 1 if its card is among them, and 1 if its platform is."""

        def named(ids: Collection[str]) -> tuple[Ints, Ints]:
            on_card, on_platform = self._named(frozenset(ids))
            return on_card[card], on_platform[platform]

        return named

    def _named(self, ids: frozenset[str]) -> tuple[Ints, Ints]:
        # Remembered for the list asked for last: bounding asks many times in one search.
        held = self.last_named.get(ids)
        if held is None:
            held = ints(each.id in ids for each in self.cards), ints(each.id in ids for each in self.platforms)
            self.last_named.clear()
            self.last_named[ids] = held
        return held


def epochs_us(
    work: Workload, end: End, count: Ints, batch: Ints, fixed_us: Ints, sample_us: Ints, optimizer_us: Ints
) -> Ints:
    """Epochs in microseconds, exact; NEVER_US where longer, or where no sample fits.

    Args:
        work: the workload: its samples and accumulation.
        end: at the high end the slowest pace counts, else the fastest.
        count: cards.
        batch: samples on each of them.
        fixed_us: fixed part of a micro-step; like all times with the paces as first axis.
        sample_us: time of a sample.
        optimizer_us: optimizer of a step.
    """
    accumulation = work.gradient_accumulation
    total = count * batch * accumulation
    steps = -(-work.samples // np.maximum(total, 1))
    micro = fixed_us + batch * sample_us
    endless = micro > NEVER_US // accumulation
    step = np.where(endless, 0, micro) * accumulation + optimizer_us
    never = endless | (total == 0) | (steps > NEVER_US // np.maximum(step, 1))
    epochs = np.where(never, NEVER_US, np.where(never, 0, steps) * step)
    found: Ints = epochs.max(axis=0) if end == "high" else epochs.min(axis=0)
    return found


def hardware_of(problem: Problem) -> Hardware:
    """The priced cards and platforms of a question as columns."""
    offers, work, fixed_w = problem.catalog.offers_by_item, problem.workload, problem.limits.power_limit_w
    end, paces = problem.confidence, physics.paces(problem.workload, problem.confidence)
    cards = tuple(card for card in problem.catalog.cards if card.id in offers)
    platforms = tuple(platform for platform in problem.catalog.platforms if platform.id in offers)
    grids = [physics.power_limits_w(card, fixed_w) for card in cards]
    steps = ints(len(grid) for grid in grids)
    watts = ints(itertools.chain.from_iterable(grids))
    batch = _by_count(cards, lambda card, n: physics.micro_batch(card, work, n, end))
    used_mib = _by_count(
        cards, lambda card, n: physics.vram_used_mib(work, n, physics.micro_batch(card, work, n, end), end)
    )
    connectors, fed = _connectors(cards, platforms)
    return Hardware(
        cards=cards,
        platforms=platforms,
        work=work,
        first=np.cumsum(steps) - steps,
        steps=steps,
        watts=watts,
        sample_us=ints(
            [physics.per_sample_us(c, work, w, pace, end) for c, grid in zip(cards, grids, strict=True) for w in grid]
            for pace in paces
        ).reshape(len(paces), -1),
        end=end,
        fixed_us=ints(
            [
                [0, *(physics.fixed_us(work, pace.fixed_ms, n, generation) for n in _COUNTS)]
                for generation in range(physics.TOP_GENERATION + 1)
            ]
            for pace in paces
        ),
        generation=ints(physics.pcie_gen(work, card.pcie_gen) for card in cards),
        batch=batch,
        vram_used_mib=used_mib,
        by_card={
            "slots": ints(card.slot_width for card in cards),
            "card_length_mm": ints(card.length_mm or 0 for card in cards),
            "vram_mib": ints(card.vram_mib for card in cards),
            "lacks_bf16": ints(not card.bf16_tensor_cores for card in cards),
        },
        axial=ints(card.cooling == "axial" for card in cards),
        passive=ints(card.cooling == "passive" for card in cards),
        connectors=connectors,
        unpaired=ints([0, *(unpaired_cards(card, n) for n in _COUNTS)] for card in cards).reshape(-1, len(_COUNTS) + 1),
        host_ram_mib=ints([0, *(physics.host_ram_mib(work, n, end) for n in _COUNTS)]),
        places=Places(
            columns={
                "expansion_slots": ints(p.expansion_slots for p in platforms),
                "pcie_x16_slots": ints(p.pcie_x16_slots for p in platforms),
                "psu_rated_mw": ints(p.psu.rated_w * 1000 for p in platforms),
                "airflow_mw": ints(physics.airflow_mw(p) for p in platforms),
                "max_axial_cards": ints(p.max_axial_cards for p in platforms),
                "max_card_length_mm": ints(p.max_card_length_mm or UNLIMITED for p in platforms),
                "host_ram_capacity_mib": ints(physics.host_ram_capacity_mib(p) for p in platforms),
            },
            host_w=ints(p.host_draw_w for p in platforms),
            host_demand_mw=ints(p.host_draw_w * milli(p.psu.host_headroom) for p in platforms),
            card_headroom=ints(milli(p.psu.card_headroom) for p in platforms),
            unducted=ints(not p.ducted for p in platforms),
            fed=fed,
            generation=ints(physics.pcie_gen(work, p.pcie_gen) for p in platforms),
            optimizer_us=ints(
                [
                    [0 if n == 0 else physics.optimizer_us(work, pace.optimizer_ms, n, p) for p in platforms]
                    for n in (0, *_COUNTS)
                ]
                for pace in paces
            ).reshape(len(paces), len(_COUNTS) + 1, len(platforms)),
        ),
        supplies=supplies_of(platforms, MAX_OPTION_CARDS * int(watts.max(initial=0))),
        card_rank=ranks([card.id for card in cards]),
        platform_rank=ranks([platform.id for platform in platforms]),
    )


def _by_count(cards: Sequence[Card], figure: Callable[[Card, int], int]) -> Ints:
    """A figure of each card with 0 (unused), 1, 2, ... cards."""
    return ints([0, *(figure(card, n) for n in _COUNTS)] for card in cards).reshape(-1, len(_COUNTS) + 1)


def _connectors(cards: Sequence[Card], platforms: Sequence[Platform]) -> tuple[Ints, Ints]:
    """Which kind of connectors each card needs, and for each kind how many cards each platform feeds."""
    kinds: dict[object, int] = {}
    examples: list[Card] = []
    of_card = []
    for card in cards:
        key = tuple(tuple(sorted(alternative.items())) for alternative in card.power_connectors)
        if key not in kinds:
            kinds[key] = len(kinds)
            examples.append(card)
        of_card.append(kinds[key])
    fed = np.full((len(kinds), len(platforms)), UNLIMITED, dtype=np.int64)
    for kind, card in enumerate(examples):
        for at, platform in enumerate(platforms):
            known = physics.cards_fed(card, platform)
            if known is not None:
                fed[kind, at] = known
    return ints(of_card), fed


@dataclass(frozen=True, eq=False)
class Money:
    """What cards and platforms cost: (cost in fen, missing, used pieces) by (with used offers, item, count).

    The platform's part contains the extra cost of a build with that many cards. `mixed` items are offered both new
    and used, so that buying used ones too may differ from buying new ones.
    """

    cards: Ints
    platforms: Ints
    mixed_card: Bools
    mixed_platform: Bools

    def figures(self, card: Ints, count: Ints, platform: Ints, with_used: Ints) -> dict[str, Ints]:
        """The figures of the purchase."""
        cards, platforms = self.cards[:, with_used, card, count], self.platforms[:, with_used, platform, count]
        return {
            "cost_fen": cards[0] + platforms[0],
            "missing_cards": cards[1] + platforms[1],
            "used_cards": cards[2] + platforms[2],
        }

    def ideal(self, members: Sequence[Ints]) -> Money:
        """With ideal platforms in place of the platforms: each as cheap as the best of its members in everything."""
        platforms = np.stack([self.platforms[:, :, each].min(axis=2) for each in members], axis=2)
        return Money(self.cards, platforms, self.mixed_card, np.ones(len(members), dtype=np.bool_))


def money_of(problem: Problem, cards: Sequence[Card], platforms: Sequence[Platform]) -> Money:
    """What these cards and platforms cost by the offers of the question's catalogue."""
    bought, mixed_card = _purchases(problem, [card.id for card in cards], MAX_OPTION_CARDS)
    one, mixed_platform = _purchases(problem, [platform.id for platform in platforms], 1)
    with_base = np.repeat(one[:, :, :, 1:], MAX_OPTION_CARDS + 1, axis=3)
    for at, platform in enumerate(platforms):
        if platform.extra_cost_cny:
            with_base[0, :, at] += ints([0, *(physics.extra_cost_fen(platform, n) for n in _COUNTS)])
    return Money(bought, with_base, mixed_card, mixed_platform)


def _purchases(problem: Problem, items: list[str], most: int) -> tuple[Ints, Bools]:
    """(cost in fen, missing, used) by (with used, item, count 0..most), and which items are offered new and used."""
    table = np.zeros((3, 2, len(items), most + 1), dtype=np.int64)
    mixed = np.zeros(len(items), dtype=np.bool_)
    for row, item in enumerate(items):
        mixed[row] = len({offer.condition for offer in problem.catalog.offers_by_item[item]}) == 2
        for with_used in range(1 + int(mixed[row])):
            offers = offers_for(problem, item, bool(with_used))
            if len(offers) == 1:
                pieces = [physics.purchase(offers, n) for n in range(1, most + 1)]
            else:
                pieces = list(physics.purchases(offers, most)[1:])
            for n, bought in enumerate(pieces, start=1):
                table[:, with_used, row, n] = bought.cost_fen, bought.missing, bought.used
        if not mixed[row]:
            table[:, 1, row] = table[:, 0, row]
    return table, mixed
