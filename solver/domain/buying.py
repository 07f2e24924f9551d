"""How cards and platforms are bought: which offers may be taken, and how stock and quantity breaks make their price.

Whole numbers of fen. Modify this module when offers get another condition; docs/model.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence

from solver.domain.catalog import Offer, Platform
from solver.domain.problem import Problem
from solver.domain.units import fen


def offers_for(problem: Problem, item_id: str, with_used: bool) -> tuple[Offer, ...]:
    """The offers of an item that may be bought: new ones, or all where `with_used` or no new one exists."""
    offers = problem.catalog.offers_by_item.get(item_id, ())
    if with_used:
        return offers
    return tuple(o for o in offers if o.condition == "new") or offers


class Purchase:
    """How n pieces of one item are bought: the offers taken, the money, and what is short or used."""

    __slots__ = ("cost_fen", "lines", "missing", "used")

    def __init__(self, cost_fen: int, lines: tuple[tuple[Offer, int], ...], missing: int) -> None:
        """Keep cost in fen, (offer, quantity) lines, and how many pieces no offer covers."""
        self.cost_fen = cost_fen
        self.lines = lines
        self.missing = missing
        self.used = sum(quantity for offer, quantity in lines if offer.condition == "used")


def purchase(offers: Sequence[Offer], quantity: int) -> Purchase:
    """Buy `quantity` pieces as cheaply as stock and quantity breaks allow.

    Rows of one vendor and condition with different minimum quantities are one offer with breaks. Least missing
    pieces first, then least cost, then fewest used pieces, then most from the offers given first. Where rows of one
    offer state different stocks, the largest holds. Pieces that no offer covers are counted in
    `missing` and valued at the dearest price offered [assumed], so that a relaxed stock limit still has a price.
    """
    if len(offers) == 1 and offers[0].min_quantity <= quantity and offers[0].stock is None:
        return Purchase(fen(offers[0].unit_price_cny) * quantity, ((offers[0], quantity),), 0)
    return purchases(offers, quantity)[quantity]


def purchases(offers: Sequence[Offer], most: int) -> tuple[Purchase, ...]:
    """How 0, 1, ... `most` pieces are bought, each as `purchase` says, in one go over the offers."""
    only = offers[0]
    if len(offers) == 1 and only.min_quantity == 1 and only.stock is None:
        price = fen(only.unit_price_cny)
        return tuple(Purchase(price * n, ((only, n),) if n else (), 0) for n in range(most + 1))
    dearest = max(fen(offer.unit_price_cny) for offer in offers)
    # pieces covered -> (cost, used pieces, whom they are of) and the lines bought; less is better. Whom: (seller, minus
    # the pieces) for each seller in order, which ranks as the pieces of all sellers would, most from the first being
    # best: of two ways to as many pieces, the one that leaves a seller out has a later one in its place.
    best: dict[int, tuple[_Rank, tuple[tuple[Offer, int], ...]]] = {0: ((0, 0, ()), ())}
    for seller, tiers in enumerate(_with_breaks(offers)):
        merged = dict(best)
        for n in range(1, most + 1):
            tier = _cheapest_tier(tiers, n)
            if tier is None:
                continue
            cost_of_n, used_of_n = fen(tier.unit_price_cny) * n, n if tier.condition == "used" else 0
            for have, ((cost, used, whom), lines) in best.items():
                if have + n <= most:
                    rank = (cost + cost_of_n, used + used_of_n, (*whom, (seller, -n)))
                    if have + n not in merged or rank < merged[have + n][0]:
                        merged[have + n] = (rank, (*lines, (tier, n)))
        best = merged
    bought = []
    for quantity in range(most + 1):
        covered = max(have for have in best if have <= quantity)
        (cost, _, _), lines = best[covered]
        missing = quantity - covered
        bought.append(Purchase(cost + missing * dearest, lines, missing))
    return tuple(bought)


_Rank = tuple[int, int, tuple[tuple[int, int], ...]]


def _with_breaks(offers: Sequence[Offer]) -> list[list[Offer]]:
    """The rows of each seller and condition; a row whose minimum quantity stands there already opens the next group."""
    groups: list[list[Offer]] = []
    of_seller: dict[tuple[str, str], list[list[Offer]]] = {}
    seen: dict[tuple[str, str, int], int] = {}
    for offer in offers:
        seller = (offer.vendor, offer.condition)
        held = of_seller.setdefault(seller, [])
        turn = seen.get((*seller, offer.min_quantity), 0)
        seen[(*seller, offer.min_quantity)] = turn + 1
        if turn < len(held):
            held[turn].append(offer)
        else:
            groups.append([offer])
            held.append(groups[-1])
    return groups


def _cheapest_tier(tiers: Sequence[Offer], quantity: int) -> Offer | None:
    stock = max((tier.stock for tier in tiers if tier.stock is not None), default=quantity)
    if quantity > stock:
        return None
    open_tiers = [tier for tier in tiers if tier.min_quantity <= quantity]
    return min(open_tiers, key=lambda tier: tier.unit_price_cny, default=None)


def extra_cost_fen(platform: Platform, card_count: int) -> int:
    """Extra cost of a build with that many cards, fen; 0 where the platform names none."""
    amount = platform.extra_cost_cny.get(card_count)
    return 0 if amount is None else fen(amount)
