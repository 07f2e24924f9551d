"""Explanations against the oracle: every conflict, way out, breakpoint, range and alternative, to the last unit."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest

from solver.domain.catalog import Catalog, Offer
from solver.domain.explanation import Change, Explanation, FigureRange, PriceRange, Relaxation
from solver.domain.limits import LIMITS
from solver.domain.problem import Problem
from solver.domain.rig import Rig
from solver.domain.uncertain import with_figure
from solver.explain import explain
from solver.explain.figures import FIGURES
from solver.explain.memory import with_memory
from tests import oracle
from tests.builders import random_problem

SEEDS = range(60)
CAUTIOUS_SEEDS = (1_000_070, 1_000_085, 1_000_240)
"""Planned on another end than the expected one, where two shares bound by compute are reckoned with."""


def rig_of(verdict: oracle.Verdict) -> tuple[str, int, str] | None:
    """Card, count and platform of the oracle's answer."""
    return None if verdict.choice is None else (verdict.choice[0], verdict.choice[1], verdict.choice[3])


def choice_of(rig: Rig | None) -> oracle.ChoiceTuple | None:
    """The decisions of a record as the oracle writes them."""
    return None if rig is None else tuple(dict(rig.choice).values())


def excess(question: Problem, pair: oracle.Pair) -> dict[str, int]:
    """How far a pair breaks each part of each limit, from the oracle's figures alone; what is on or off counts 1."""
    (card,) = (c for c in question.catalog.cards if c.id == pair.card_id)
    (platform,) = (p for p in question.catalog.platforms if p.id == pair.platform_id)
    limits, site, n = question.limits, question.site, pair.card_count
    found = {
        "card_count": n - limits.max_cards,
        "expansion_slots": n * card.slot_width - platform.expansion_slots,
        "pcie_x16_slots": n - platform.pcie_x16_slots,
        "wall_power": pair.wall_mw - oracle.socket_mw(question),
        "psu": pair.psu_demand_mw - platform.psu.rated_w * 1000,
        "case_cooling": pair.heat_w * 1000 - oracle.airflow_mw(platform),
        "case_cooling[axial cards]": (n if card.cooling == "axial" else 0) - platform.max_axial_cards,
        PASSIVE: int(card.cooling == "passive" and not platform.ducted),
        "host_ram": pair.host_ram_mib - int(oracle.exact(platform.host_ram_gb) * 1024 // 1),
        "stock": pair.missing,
    }
    if card.length_mm is not None and platform.max_card_length_mm is not None:
        found["card_length"] = card.length_mm - platform.max_card_length_mm
    if limits.budget_cny is not None:
        found["budget"] = pair.cost_fen - int(limits.budget_cny * 100)
    if site.room_cooling_w is not None:
        found["room_cooling"] = pair.wall_mw - site.room_cooling_w * 1000
    if limits.min_batch is not None:
        found["min_batch"] = limits.min_batch - pair.total_batch
    if limits.max_epoch_days is not None:
        found["max_epoch"] = pair.epoch_us - int(limits.max_epoch_days * 86_400_000_000)
    fed = next((k for k in range(MANY) if not oracle.cables_reach(card, platform.psu, k + 1)), MANY)
    if fed < MANY:
        found["psu[power connectors]"] = n - fed
    found |= {name: int(name in pair.violated) for name in ON_OR_OFF}
    assert {name.partition("[")[0] for name, by in found.items() if by > 0} == set(pair.violated)
    return found


MANY = 100
PASSIVE = "case_cooling[passive cards without ducted air]"
ON_OR_OFF = ("condition", "include", "exclude", "nvlink", "precision", "power_limit", "vram")
STEPS = {"wall_power": 1000, "psu": 1000, "case_cooling": 1000, "room_cooling": 1000}
Moved = Mapping[str, int | None]


class Referee:
    """All pairs of a question, in the oracle's order, with how far they break each row."""

    def __init__(self, question: Problem) -> None:
        self.question = question
        pairs = {pair.choice: pair for pair in oracle.every_pair(question) if usable(question, pair)}
        ranked = sorted(pairs.values(), key=lambda pair: oracle.rank_key(question, pair))
        self.pairs = [(pair, excess(question, pair)) for pair in ranked]

    def best(self, moved: Moved) -> oracle.Pair | None:
        """The best pair when rows are looser by so many units; None switches a row off."""
        off = {name for name, by in moved.items() if by is None}
        by = {name: units for name, units in moved.items() if units}
        for pair, rows in self.pairs:
            if all(over <= by.get(name, 0) for name, over in rows.items() if name not in off):
                return pair
        return None

    def rows_of(self, limit: str) -> set[str]:
        """All rows of a limit."""
        return {name for _, rows in self.pairs for name in rows if name.partition("[")[0] == limit}


def usable(question: Problem, pair: oracle.Pair) -> bool:
    """Whether buying used pieces differs from buying new ones: else the oracle counts one rig twice."""
    if not pair.with_used:
        return True
    by_item = question.catalog.offers_by_item
    return any(len({o.condition for o in by_item[item]}) == 2 for item in (pair.card_id, pair.platform_id))


def key(row: Change) -> str:
    """The name of the row a change moves."""
    return f"{row.limit}[{row.part}]" if row.part else row.limit


def moved_by(changes: tuple[Change, ...], less: int | None = None) -> dict[str, int | None]:
    """The rows as a way out moves them; one step less for the change at `less`."""
    found: dict[str, int | None] = {}
    for at, change in enumerate(changes):
        name = key(change)
        if change.switched_off:
            if at != less:
                found[name] = None
        else:
            found[name] = change.by_units - (STEPS.get(name, 1) if at == less else 0)
    return found


def same(pair: oracle.Pair | None, rig: Rig | None) -> bool:
    """Whether the oracle's pair is the rig of the record."""
    return (None if pair is None else pair.choice) == choice_of(rig)


@pytest.mark.parametrize("seed", [*SEEDS, *CAUTIOUS_SEEDS])
def test_against_the_oracle(seed: int) -> None:
    """Tests every sentence of an explanation of a random problem against the oracle."""
    check(seed)


def check(seed: int) -> None:
    """Hold every sentence about one random problem against the oracle."""
    rng = random.Random(seed)
    question = random_problem(rng)
    found = explain(question)
    right = oracle.best(question)
    assert found.result.status == right.status
    referee = Referee(question)
    if right.choice is None:
        check_conflict(question, found)
        check_ways_out(referee, found, rng)
    else:
        check_limits(referee, found)
        check_prices(question, found, rng)
        check_figures(question, found, rng)
        check_alternatives(question, found)
    check_cards(question, found)


ALL_LIMITS = [limit.name for limit in LIMITS]


def check_conflict(question: Problem, found: Explanation) -> None:
    """The conflict cannot be kept, and can be without any one of its members."""
    assert found.conflict is not None
    assert found.conflict.minimal
    names = [member.limit for member in found.conflict.members]
    others = set(ALL_LIMITS) - set(names)
    assert oracle.feasible_without(question, others).status == "infeasible"
    for name in names:
        assert oracle.feasible_without(question, {*others, name}).status == "optimal", name


def check_ways_out(referee: Referee, found: Explanation, rng: random.Random) -> None:
    """Every way out is one, one step less is none, and what is said not to help does not."""
    if not found.result.statistics.pairs:
        assert not found.relaxations
        return
    for way in found.relaxations:
        (limit,) = way.limits
        if limit == "vram":
            check_memory(referee.question, way, rng)
        elif way.helps:
            check_way_out(referee, way)
        else:
            assert referee.best(dict.fromkeys(referee.rows_of(limit))) is None, limit
    if any(way.helps for way in found.relaxations):
        assert not found.together
        return
    fewest = min((len(p.violated) for p, _ in referee.pairs if "vram" not in p.violated), default=None)
    assert bool(found.together) == (fewest is not None)
    for way in found.together:
        assert len(way.limits) == fewest
        assert {change.limit for change in way.changes} == set(way.limits)
        check_way_out(referee, way)


def check_way_out(referee: Referee, way: Relaxation) -> None:
    """With the change the plan it buys is the best; with one step less of any part of it there is none."""
    assert same(referee.best(moved_by(way.changes)), way.rig), way
    for at in range(len(way.changes)):
        assert referee.best(moved_by(way.changes, less=at)) is None, way


def check_memory(question: Problem, way: Relaxation, rng: random.Random) -> None:
    """So much more memory on every card makes a plan exist, and 1 MiB less does not."""
    if way.helps:
        (change,) = way.changes
        assert oracle.best(with_memory(question, change.by_units)).choice == choice_of(way.rig)
        assert oracle.best(with_memory(question, change.by_units - 1)).status == "infeasible"
    largest = max(card.vram_mib for card in question.catalog.cards)
    limit = way.changes[0].by_units if way.helps else 10_000_000 - largest
    for _ in range(3):
        more = min(int(10 ** rng.uniform(0, 7)), limit - 1)
        if more > 0:
            assert oracle.best(with_memory(question, more)).status == "infeasible"


def check_limits(referee: Referee, found: Explanation) -> None:
    """What binds, the least that improves the goal, and how far each limit can be tightened."""
    question = referee.question
    today = referee.best({})
    assert today is not None
    value = measure(question, today)
    for limit in found.limits:
        name = f"{limit.limit}[{limit.part}]" if limit.part else limit.limit
        if name == "vram":
            check_memory_limit(question, found)
            continue
        off = dict.fromkeys(referee.rows_of(limit.limit))
        assert limit.binds == (referee.best(off) != today), name
        step = STEPS.get(name, 1)
        if limit.improves is None:
            loose = referee.best({name: None})
            assert loose is not None
            assert measure(question, loose) == value, name
        else:
            change = limit.improves.change
            more, less = referee.best(moved_by((change,))), referee.best(moved_by((change,), less=0))
            assert more is not None
            assert less is not None
            assert same(more, limit.improves.rig), name
            assert measure(question, more) < value == measure(question, less), name
        if limit.changes is None:
            assert limit.keeps is None
            continue
        assert limit.keeps is not None
        beyond = limit.changes.change.by_units
        assert limit.keeps.by_units == beyond - step
        assert same(referee.best({name: -beyond}), limit.changes.rig), name
        corners = {-(over // step) * step for _, rows in referee.pairs if name in rows for over in [rows[name]]}
        inside = {c for c in corners if 0 <= c < beyond} | {0, beyond - step}
        for tighter in sorted(inside)[:20]:
            held = referee.best({name: -tighter})
            assert held is not None, (name, tighter)
            assert distinct(held) == distinct(today), (name, tighter)
        after = referee.best({name: -beyond})
        assert after is None or distinct(after) != distinct(today), name


def measure(question: Problem, pair: oracle.Pair) -> Fraction:
    """What the goal itself is about, less is better; the value of rigs that cost nothing is the same."""
    if question.goal == "value":
        return Fraction(pair.cost_fen, max(1, pair.total_batch))
    found = oracle.objective(question, pair)
    return Fraction(-found if question.goal == "batch" else found)


def check_memory_limit(question: Problem, found: Explanation) -> None:
    """So much more memory improves the goal, and 1 MiB less does not."""
    (limit,) = (limit for limit in found.limits if limit.limit == "vram")
    if limit.improves is None:
        return
    more = limit.improves.change.by_units
    best, less, today = (oracle.ranked(with_memory(question, mib))[:1] for mib in (more, more - 1, 0))
    assert best[0].choice == choice_of(limit.improves.rig)
    assert measure(question, best[0]) < measure(question, today[0])
    assert not less or measure(question, less[0]) >= measure(question, today[0])


def distinct(pair: oracle.Pair) -> tuple[str, int, str]:
    """Card, count and platform."""
    return pair.card_id, pair.card_count, pair.platform_id


def priced(question: Problem, item: str, price_fen: int) -> Problem:
    """The question with one offer of the item in place of all."""
    catalog = question.catalog
    others = tuple(o for o in catalog.offers if o.item_id != item)
    offer = Offer(item_id=item, unit_price_cny=Decimal(price_fen) / 100)
    return question.replaced(catalog=Catalog(cards=catalog.cards, platforms=catalog.platforms, offers=(*others, offer)))


def check_prices(question: Problem, found: Explanation, rng: random.Random) -> None:
    """The plan stays from end to end of each price range, and one fen outside the record's plan is the best."""
    rig = rig_of(oracle.best(question))
    assert {p.item_id for p in found.prices} == set(question.catalog.offers_by_item)
    for one in rng.sample(found.prices, min(4, len(found.prices))):
        today = int(one.today_cny * 100)
        if not one.holds:
            assert rig_of(oracle.best(priced(question, one.item_id, today))) != rig
            continue
        low = 0 if one.low_cny is None else int(one.low_cny * 100)
        high = 10**14 if one.high_cny is None else int(one.high_cny * 100)
        assert low <= today <= high
        inside = {low, high, today, rng.randint(low, today), rng.randint(today, min(high, 3 * today))}
        for price in inside:
            assert rig_of(oracle.best(priced(question, one.item_id, price))) == rig, (one, price)
        below = None if one.low_cny is None else priced(question, one.item_id, low - 1)
        above = None if one.high_cny is None else priced(question, one.item_id, high + 1)
        check_outside(one, below, above, rig)


def check_outside(
    one: PriceRange | FigureRange, below: Problem | None, above: Problem | None, rig: tuple[str, int, str] | None
) -> None:
    """One step outside a range, the record's answer is the oracle's, and another than the plan."""
    for side, outside in (("below", below), ("above", above)):
        if outside is None:
            assert getattr(one, side) is None
            continue
        right = oracle.best(outside)
        assert right.choice == choice_of(getattr(one, side)), (one, side)
        assert getattr(one, f"nothing_{side}") == (right.choice is None)
        assert rig_of(right) != rig


def check_figures(question: Problem, found: Explanation, rng: random.Random) -> None:
    """The plan stays from end to end of each figure's range, and one step outside the record's plan is the best."""
    rig = rig_of(oracle.best(question))
    specs = {figure.field: figure for figure in FIGURES}
    for one in found.figures:
        figure = specs[one.field]
        low = figure.low if one.low is None else round(one.low * figure.steps_per_unit)
        high = figure.high if one.high is None else round(one.high * figure.steps_per_unit)
        planned_on = question.workload.figure(one.field, question.confidence)
        today = math.ceil(Fraction(planned_on) * figure.steps_per_unit)
        inside = {
            low,
            high,
            rng.randint(low, today),
            rng.randint(today, high),
            rng.randint(today, min(high, 2 * today + 1)),
        }
        for steps in inside:
            assert rig_of(oracle.best(with_figure(question, figure.field, figure.value(steps)))) == rig, (one, steps)
        below = None if one.low is None else with_figure(question, figure.field, figure.value(low - 1))
        above = None if one.high is None else with_figure(question, figure.field, figure.value(high + 1))
        check_outside(one, below, above, rig)


def check_alternatives(question: Problem, found: Explanation) -> None:
    """The alternatives are the first distinct rigs of the oracle's order."""
    wanted: dict[tuple[str, int, str], oracle.ChoiceTuple] = {}
    for pair in oracle.ranked(question):
        wanted.setdefault(distinct(pair), pair.choice)
    assert [choice_of(a.rig) for a in found.alternatives] == list(wanted.values())[:5]
    assert [a.place for a in found.alternatives] == list(range(1, len(found.alternatives) + 1))


def check_cards(question: Problem, found: Explanation) -> None:
    """Every card is accounted for once, with its best rig or with what that breaks."""
    assert [card.card_id for card in found.cards] == [card.id for card in question.catalog.cards]
    ranked = oracle.ranked(question)
    for account in found.cards:
        first = next((pair for pair in ranked if pair.card_id == account.card_id), None)
        assert choice_of(account.best) == (None if first is None else first.choice)
        if account.status == "no_price":
            assert account.card_id not in question.catalog.offers_by_item
        else:
            status = "excluded" if first is None else "chosen" if first == ranked[0] else "beaten"
            assert account.status == status
        if account.status == "excluded" and found.result.statistics.pairs:
            assert account.miss is not None
        if account.miss is not None:
            pair = oracle.pair_of(question, choice_of(account.miss.rig))  # type: ignore[arg-type]
            assert {row.limit for row in account.miss.broken} == set(pair.violated) != set()
            for watts in account.miss.fits_w or ():
                here = (account.card_id, account.miss.rig.card_count, watts, account.miss.rig.platform_id)
                assert any(p.choice[:4] == here for p in ranked)
