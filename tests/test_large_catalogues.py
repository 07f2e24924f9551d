"""Catalogues with too many pairs to look at: bounding leaves out only what pruning would have dropped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from solver import solve
from solver.domain import physics
from solver.domain.plan import Choice
from solver.domain.problem import GOALS, Problem
from solver.model import bound, groups
from solver.model.groups import groups_of, number_of_pairs
from solver.model.pairs import Pairs, key_columns, pairs_of
from solver.model.prune import survivors
from solver.model.rules import broken_limits, inequalities, violated_sets
from solver.model.supplies import supplies_of
from solver.solve import Options, optimize
from tests import oracle
from tests.builders import card, guide_problem, offer, platform, problem, psu, random_problem

CASES = 150


@pytest.fixture(params=["as shipped", "in crumbs"])
def portions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Search in the usual portions, which take a small catalogue at once; and in portions that take many rounds."""
    if request.param == "in crumbs":
        monkeypatch.setattr(groups, "STRETCH", 2)
        monkeypatch.setattr(bound, "_RANKS_AT_ONCE", 7)
        monkeypatch.setattr(bound, "_FIRST_OPENED", 1)
        monkeypatch.setattr(bound, "_MORE_EACH_TIME", 1)
        monkeypatch.setattr(bound, "_CELLS_AT_ONCE", 1)
        monkeypatch.setattr(bound, "_CELLS_NOT_WORTH_CHOOSING", 0)
    groups.forget()
    yield request.param
    groups.forget()


def choices(pairs: Pairs, rows: list[int] | None = None) -> list[Choice]:
    """The decisions of these pairs."""
    return [pairs.choice(row) for row in (range(len(pairs)) if rows is None else rows)]


def survivors_among_all(question: Problem) -> tuple[list[Choice], list[Choice]]:
    """All survivors, and those of them that break at most one limit, from looking at every pair."""
    pairs = pairs_of(question)
    violated = violated_sets(list(inequalities(question, pairs)), len(pairs))
    kept = survivors(pairs.order(question.goal), violated).tolist()
    near = [row for row in kept if int(violated[row]).bit_count() <= 1]
    return choices(pairs, kept), choices(pairs, near)


@pytest.mark.usefixtures("portions")
def test_bounding_finds_the_survivors_among_all_pairs() -> None:
    """Tests that the survivors are the same ones, in the same order, as without bounding."""
    rng = random.Random(20)
    infeasible = near_misses = 0
    for _ in range(CASES):
        question = random_problem(rng)
        whole, near = survivors_among_all(question)
        found = bound.all_survivors(question)
        assert choices(found) == whole
        assert found.total == number_of_pairs(question) == len(pairs_of(question))
        assert choices(bound.within_reach(question)) == (near or whole)
        infeasible += bool(whole) and not near
        near_misses += len(near) > 1
    assert infeasible > 0
    assert near_misses > CASES // 4


@pytest.mark.usefixtures("portions")
def test_bounding_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a bounded search, one over all pairs, and the oracle say the same."""
    monkeypatch.setattr(solve, "LARGE", 0)
    rng = random.Random(21)
    for _ in range(CASES):
        question = random_problem(rng)
        bounded, whole = optimize(question), optimize(question, Options(prune=False))
        assert (bounded.status, bounded.plan, bounded.bound) == (whole.status, whole.plan, whole.bound)
        assert bounded.statistics.pairs == whole.statistics.pairs
        right = oracle.best(question)
        assert bounded.status == right.status
        if bounded.plan is not None:
            chosen = bounded.plan.choice
            rig = (chosen.card_id, chosen.card_count, chosen.power_limit_w, chosen.platform_id, chosen.with_used)
            assert rig == right.choice


@pytest.mark.usefixtures("portions")
@pytest.mark.parametrize("goal", GOALS)
def test_default_catalogue_bounded(goal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the guide's catalogue through bounding, with and without an answer, and with a fixed power limit."""
    monkeypatch.setattr(solve, "LARGE", 0)
    asked: list[dict[str, Any]] = [{"budget_cny": 150_000}, {"budget_cny": 20_000}, {"power_limit_w": 280}]
    for limits in asked:
        question = guide_problem(goal, **limits)
        bounded, whole = optimize(question), optimize(question, Options(prune=False))
        assert (bounded.status, bounded.plan, bounded.bound) == (whole.status, whole.plan, whole.bound)
        assert 0 < bounded.statistics.pairs_in_model < 50


def test_groups_are_at_least_as_good_as_their_pairs() -> None:
    """Tests that every pair belongs to a group that breaks no limit it keeps, and has no key above its own."""
    rng = random.Random(22)
    for _ in range(40):
        question = random_problem(rng).with_limits(include=(), exclude=())
        pairs = pairs_of(question)
        if not len(pairs):  # nothing is priced: no groups either
            continue
        made = groups_of(question)
        hardware = made.hardware
        watts = hardware.watts
        group_breaks = np.zeros(len(made), dtype=np.int64)
        for bit, broken in broken_limits(question, made.figures):
            group_breaks |= np.where(broken, bit, 0)
        pair_breaks = violated_sets(list(inequalities(question, pairs)), len(pairs))
        ids = hardware.platform_rank[pairs.platform], hardware.card_rank[pairs.card], pairs.with_used
        pair_keys = key_columns(question.goal, pairs.figures, hardware.largest_batch, ids)
        ranked = made.ranked(question.goal)
        rank_of = {int(group): rank for rank, group in enumerate(ranked.group)}
        for row in rng.sample(range(len(pairs)), min(50, len(pairs))):
            mine = np.flatnonzero(
                (made.card == pairs.card[row])
                & (made.count == pairs.figures.card_count[row])
                & (made.with_used == pairs.with_used[row])
                & (watts[made.low] <= pairs.figures.power_limit_w[row])
                & (watts[made.high] >= pairs.figures.power_limit_w[row])
            )
            assert len(mine) == 1
            assert group_breaks[mine[0]] & ~pair_breaks[row] == 0
            rank = rank_of[int(mine[0])]
            assert tuple(column[rank] for column in ranked.keys) <= tuple(column[row] for column in pair_keys)


def test_least_wall_power_of_a_supply_that_draws_less_under_more_load() -> None:
    """Tests a supply so poor at low load that 400 W draw more than 500 W: the least of a range is not at its start."""
    steep = platform(psu=psu(rated_w=1000, efficiency_points=((40, 20), (50, 90), (100, 80))), host_draw_w=0)
    supplies = supplies_of([steep], 2000)
    here, loads = np.zeros(2000, dtype=np.int64), np.arange(1, 2001)
    walls = supplies.wall_mw(here, loads)
    assert walls.tolist() == [physics.wall_mw(steep.psu, int(load)) for load in loads]
    assert walls[399] > walls[499]
    least = supplies.least_mw(here, loads)
    assert least.tolist() == np.minimum.accumulate(walls[::-1])[::-1].tolist()


def test_large_catalogues_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that from so many pairs on nobody makes them all."""
    question = problem(
        cards=[card(f"c-{i}", power_limit_min_w=1, tdp_w=300 + i) for i in range(50)],
        platforms=[platform(f"p-{i}") for i in range(3)],
        offers=[offer(f"c-{i}", 10_000 + i) for i in range(50)] + [offer(f"p-{i}") for i in range(3)],
        budget_cny=60_000,
    )
    assert number_of_pairs(question) > groups.LARGE
    whole = optimize(question, Options(prune=True, today=None))

    def never(_: Problem) -> Pairs:
        raise AssertionError("all pairs were made")

    monkeypatch.setattr(solve, "pairs_of", never)
    again = optimize(question)
    assert again.plan == whole.plan
    assert again.plan is not None
    assert (again.plan.card_id, again.plan.platform_id, again.plan.card_count) == ("c-0", "p-0", 4)
