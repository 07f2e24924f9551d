"""Plain arithmetic about single rigs of a question: figures, limits kept or broken, and which of two rigs is better.

The formulas are those of solver.domain; the solver and the model's columns have no part in it. Modify this module when
the order of rigs changes (see solver/model/pairs.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cached_property
from typing import Any

from solver.catalog import with_prices
from solver.domain import physics
from solver.domain.catalog import Card, Catalog
from solver.domain.comparison import Measures
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import LIMITS, UNLIMITED, UNMOVED, Figures, Moved, Row, rows
from solver.domain.plan import Choice
from solver.domain.problem import Problem
from solver.domain.recheck import broken, figures_of
from solver.domain.uncertain import with_figure

_RESOLUTION = 10**40
"""For the key of the goal `value`: above the square of any batch, so that the order is exact."""
Distinct = tuple[str, int, str]


@dataclass(frozen=True, eq=False)
class Ground:
    """A question, asked about one rig at a time."""

    problem: Problem

    def knows(self, choice: Choice) -> bool:
        """Whether card and platform are in the catalogue and have a price, and the count is possible."""
        catalog = self.problem.catalog
        known = choice.card_id in catalog.card_by_id and choice.platform_id in catalog.platform_by_id
        priced = choice.card_id in catalog.offers_by_item and choice.platform_id in catalog.offers_by_item
        return known and priced and 1 <= choice.card_count <= 64 and choice.power_limit_w >= 1

    def settable(self, choice: Choice) -> bool:
        """Whether the power limit is one that is tried."""
        card = self.problem.catalog.card_by_id[choice.card_id]
        return choice.power_limit_w in physics.power_limits_w(card, self.problem.limits.power_limit_w)

    def figures(self, choice: Choice) -> Figures:
        """All figures of a rig."""
        return figures_of(self.problem, choice)

    def measures(self, choice: Choice) -> Measures:
        """The figures by which rigs are compared."""
        return Measures.of(self.figures(choice))

    def fits(self, choice: Choice, moved: Moved = UNMOVED) -> bool:
        """Whether a rig keeps to every limit, some of them moved."""
        return self.knows(choice) and self.settable(choice) and not broken(self.problem, self.figures(choice), moved)

    def rows(self, choice: Choice) -> dict[str, Row]:
        """The inequalities of a rig by name."""
        return {row.name: row for row in rows(self.problem, self.figures(choice))}

    def goal_key(self, choice: Choice) -> tuple[Any, ...]:
        """The goal alone, without ties; less is better."""
        spec = GOAL_SPECS[self.problem.goal]
        return spec.key(self.figures(choice), _RESOLUTION)[: spec.own_columns]

    def key(self, choice: Choice) -> tuple[Any, ...]:
        """The goal with all its ties; less is better, and no two rigs have the same."""
        f = self.figures(choice)
        goal = GOAL_SPECS[self.problem.goal].key(f, _RESOLUTION)
        ties = (f.wall_mw, choice.platform_id, choice.card_id, choice.card_count, choice.power_limit_w)
        return (*goal, *ties, choice.with_used)

    def alike(self, rig: Distinct) -> Iterator[Choice]:
        """All choices of one card, count and platform: every power limit, and used offers where there are both."""
        card_id, count, platform_id = rig
        catalog = self.problem.catalog
        if not (card_id in catalog.offers_by_item and platform_id in catalog.offers_by_item):
            return
        conditions = [{offer.condition for offer in catalog.offers_by_item[item]} for item in (card_id, platform_id)]
        mixed = any(len(both) == 2 for both in conditions)
        for watts in physics.power_limits_w(catalog.card_by_id[card_id], self.problem.limits.power_limit_w):
            for with_used in (False, True) if mixed else (False,):
                yield Choice(
                    card_id=card_id,
                    card_count=count,
                    power_limit_w=watts,
                    platform_id=platform_id,
                    with_used=with_used,
                )

    def best_alike(self, rig: Distinct, moved: Moved = UNMOVED) -> tuple[Any, ...] | None:
        """The key of the best choice of one card, count and platform that fits; None where none does."""
        return min((self.key(choice) for choice in self.alike(rig) if self.fits(choice, moved)), default=None)

    @cached_property
    def any_choice(self) -> Choice | None:
        """Some rig, to read from it what the question sets; None where nothing has a price."""
        catalog = self.problem.catalog
        for card in catalog.cards:
            for platform in catalog.platforms:
                if card.id in catalog.offers_by_item and platform.id in catalog.offers_by_item:
                    return Choice(card_id=card.id, card_count=1, power_limit_w=card.tdp_w, platform_id=platform.id)
        return None

    def owned(self, row: Row, choice: Choice) -> bool:
        """Whether the capacity of a row belongs to the hardware: it then moves with the figures of the rig."""
        figures = self.figures(choice)
        values: dict[str, Any] = {f.name: getattr(figures, f.name) for f in fields(Figures)}
        values = {name: value + 1 if isinstance(value, int) else value for name, value in values.items()}
        other = Figures(**values)
        limit = next(known for known in LIMITS if known.name == row.limit)
        return any(r.name == row.name and r.capacity != row.capacity for r in limit.rows(self.problem, other))

    def switches(self, limit: str, choice: Choice) -> list[Row]:
        """The rows of a limit that are on or off."""
        return [row for row in self.rows(choice).values() if row.limit == limit and row.step == 0]

    # The same question with something changed

    def priced(self, item_id: str, price_fen: int) -> Ground:
        """With one new, unlimited offer of an item, as `--price` does."""
        prices = {item_id: Decimal(price_fen) / 100}
        return Ground(self.problem.replaced(catalog=with_prices(self.problem.catalog, prices)))

    def with_memory(self, mib: int) -> Ground:
        """With so much more memory (MiB) on every card."""
        catalog = self.problem.catalog
        cards = tuple(Card.model_validate({**dict(card), "vram_mib": card.vram_mib + mib}) for card in catalog.cards)
        more = Catalog(cards=cards, platforms=catalog.platforms, offers=catalog.offers)
        return Ground(self.problem.replaced(catalog=more))

    def with_figure(self, field: str, value: Decimal) -> Ground:
        """With another value of a figure of the workload; the interval of the compute share is widened to hold it."""
        return Ground(with_figure(self.problem, field, value))


def known_capacity(row: Row) -> int | None:
    """The capacity of a row, None where the fact behind it is not known."""
    return None if row.capacity >= UNLIMITED else int(row.capacity)
