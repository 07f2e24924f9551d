"""What else: the next best plans, and every card of the catalogue accounted for once."""

from __future__ import annotations

import numpy as np

from solver.batch import Bools, Patience, Space, WhatIf, best_of_each
from solver.domain.comparison import rig_of
from solver.domain.errors import SolverFailure
from solver.domain.explanation import Alternative, CardAccount, Miss
from solver.domain.limits import UNLIMITED
from solver.domain.recheck import broken, figures_of, usage_row
from solver.explain.rigs import checked_rig, differences
from solver.model.arrays import Ints


def alternatives(space: Space, count: int, patience: Patience) -> tuple[Alternative, ...]:
    """The `count` best plans that differ in card, count or platform, the best one first, each with what it loses by.

    Each is what CP-SAT proves best when the ones before it may not be chosen; fewer come back if there are no more.

    Raises:
        OutOfTime: not all was proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    rigs = _rig_numbers(space)
    found: list[int] = []
    masks: list[Bools] = []
    open_pairs = space.feasible()
    allowed = np.ones(len(space), dtype=np.bool_)
    for _ in range(count):
        fits = np.flatnonzero(open_pairs & allowed)
        masks.append(allowed.copy())
        if not len(fits):
            break
        best = int(fits[space.rank[fits].argmin()])
        found.append(best)
        allowed &= rigs != rigs[best]
    proved = best_of_each([WhatIf(space, among=mask) for mask in masks], patience)
    if [pair for pair in proved if pair is not None] != found:
        raise SolverFailure("CP-SAT does not confirm the order of the alternatives")
    out = []
    for place, pair in enumerate(found, 1):
        decided, all_of_them = differences(space, found[0], pair)
        out.append(Alternative(place=place, rig=checked_rig(space, pair), decided_by=decided, differences=all_of_them))
    return tuple(out)


def _rig_numbers(space: Space) -> Ints:
    """One number for each card, count and platform."""
    pairs = space.pairs
    numbers: Ints = (pairs.card * (int(pairs.figures.card_count.max(initial=0)) + 1) + pairs.figures.card_count) * max(
        1, len(space.platforms)
    ) + pairs.platform
    return numbers


def card_accounts(space: Space, best: int | None, patience: Patience) -> tuple[CardAccount, ...]:
    """Every card of the catalogue once, in its order: chosen, beaten, excluded, or without a price.

    Raises:
        OutOfTime: not all was proved in time.
        SolverFailure: the solver disagrees with the columns.
    """
    pairs = space.pairs
    proved = dict(
        zip(
            (card.id for card in space.cards),
            best_of_each([WhatIf(space, among=pairs.card == number) for number in range(len(space.cards))], patience),
            strict=True,
        )
    )
    misses = _Misses(space)
    numbers = {card.id: number for number, card in enumerate(space.cards)}
    found = []
    for card in space.problem.catalog.cards:
        if card.id not in numbers:
            found.append(CardAccount(card_id=card.id, card_name=card.name, status="no_price"))
            continue
        pair = proved[card.id]
        miss = misses.of(numbers[card.id])
        if pair is None:
            found.append(CardAccount(card_id=card.id, card_name=card.name, status="excluded", miss=miss))
            continue
        if best is None:
            raise SolverFailure(f"{card.id} fits a question that has no plan")
        decided, all_of_them = differences(space, best, pair)
        found.append(
            CardAccount(
                card_id=card.id,
                card_name=card.name,
                status="chosen" if pair == best else "beaten",
                best=checked_rig(space, pair),
                decided_by=decided,
                differences=all_of_them,
                miss=miss,
            )
        )
    return tuple(found)


class _Misses:
    """The rigs that do not fit and that somebody would ask about."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.fits = space.feasible()
        # A platform nobody may choose, or a card, is beside the point as long as one is allowed.
        breaks = [rule.coefficients > rule.bound for rule in space.rules]
        limits = [rule.row.limit for rule in space.rules]
        self.violations = np.zeros(len(space), dtype=np.int64)
        for limit in dict.fromkeys(limits):
            self.violations += np.any([b for b, name in zip(breaks, limits, strict=True) if name == limit], axis=0)
        self.share = np.zeros(len(space))
        for rule in space.rules:
            capacity = np.maximum(1, np.abs(np.where(rule.row.capacity >= UNLIMITED, 1, rule.row.capacity)))
            self.share += np.maximum(0, rule.coefficients - rule.bound) / capacity

    def of(self, card: int) -> Miss | None:
        """Of a card: as many as allowed at full power, if that does not fit; else what misses by least; else None."""
        space, pairs = self.space, self.space.pairs
        f = pairs.figures
        mine = np.flatnonzero(pairs.card == card)
        if not len(mine):
            return None  # no platform has a price
        fitting = mine[self.fits[mine]]
        wanted = mine
        if len(fitting):
            most = min(space.problem.limits.max_cards, int(f.card_count[mine].max()))
            wanted = mine[(f.card_count[mine] == most) & (f.power_limit_w[mine] == space.cards[card].tdp_w)]
        order = np.lexsort((space.rank[wanted], self.share[wanted], self.violations[wanted]))
        miss = int(wanted[order[0]])
        if self.fits[miss]:
            return None
        choice = pairs.choice(miss)
        figures = figures_of(space.problem, choice)
        same = fitting[
            (f.card_count[fitting] == f.card_count[miss]) & (pairs.platform[fitting] == pairs.platform[miss])
        ]
        nearest = None
        if not len(same) and len(fitting):
            most_fitting = fitting[f.card_count[fitting] == f.card_count[fitting].max()]
            nearest = checked_rig(space, int(most_fitting[space.rank[most_fitting].argmin()]))
        return Miss(
            rig=rig_of(space.problem, choice, figures),
            broken=tuple(usage_row(row) for row in broken(space.problem, figures)),
            fits_w=(int(f.power_limit_w[same].min()), int(f.power_limit_w[same].max())) if len(same) else None,
            nearest=nearest,
        )
