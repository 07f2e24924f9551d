"""What cards and platforms cost as columns, by count and by whether used offers may be bought.

Modify this module when a purchase gets a new figure; `buying.purchase` decides how each is bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.domain import buying
from solver.domain.buying import offers_for
from solver.domain.catalog import Card, Platform
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.model.arrays import Bools, Ints, ints


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
            with_base[0, :, at] += ints(
                [0, *(buying.extra_cost_fen(platform, n) for n in range(1, MAX_OPTION_CARDS + 1))]
            )
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
                pieces = [buying.purchase(offers, n) for n in range(1, most + 1)]
            else:
                pieces = list(buying.purchases(offers, most)[1:])
            for n, bought in enumerate(pieces, start=1):
                table[:, with_used, row, n] = bought.cost_fen, bought.missing, bought.used
        if not mixed[row]:
            table[:, 1, row] = table[:, 0, row]
    return table, mixed
