"""The parts of a rig as columns, and the figures of any rigs put together from them.

Figures of cards and of platforms are computed once per catalogue and workload, by the scalar functions of
`domain.physics`; a rig is then a few look-ups and sums. Everything here takes arrays of indices (card, count, position
of the power limit, platform) that broadcast, so all pairs at once, the rigs of some cards on every platform, and
single rigs go through the same lines. Wall power is in supplies.py, what a rig costs in money.py. Modify this module
when a rig gets a new figure; recheck.figures_of is its scalar twin and must agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from solver.domain import physics
from solver.domain.base import End
from solver.domain.catalog import Card, Platform
from solver.domain.limits import UNLIMITED
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.domain.recheck import unpaired_cards
from solver.domain.units import NEVER_US, milli
from solver.domain.workload import Workload
from solver.model.arrays import Ints, ints, ranks
from solver.model.supplies import Supplies, supplies_of

_COUNTS = range(1, MAX_OPTION_CARDS + 1)


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
