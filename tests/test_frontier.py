"""Trade-off curves against the oracle: every step, every point, every look-up."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from solver.domain.errors import InvalidProblem
from solver.domain.problem import Problem
from solver.frontier import Staircase, staircase
from solver.solve import optimize
from tests import oracle
from tests.builders import guide_problem, random_problem

SETTINGS = {
    # limit -> field of the question, least and largest value of the field, units of the row in one unit of the field
    "budget": ("budget_cny", 0, 10**14, 1),
    "card_count": ("max_cards", 1, 8, 1),
    "min_batch": ("min_batch", 1, 10**7, 1),
    "max_epoch": ("max_epoch_days", 0, 36_500 * 10**6, 86_400),
    "room_cooling": ("room_cooling_w", 0, 10**7, 1000),
}


def with_capacity(question: Problem, limit: str, units: int) -> Problem:
    """The question with a limit set to so many units of its field (fen, cards, samples, millionths of a day, W)."""
    if limit == "budget":
        return question.with_limits(budget_cny=Decimal(units) / 100)
    if limit == "max_epoch":
        return question.with_limits(max_epoch_days=Decimal(units) / 10**6)
    if limit == "room_cooling":
        return question.replaced(site={**dict(question.site), "room_cooling_w": units})
    return question.with_limits(**{SETTINGS[limit][0]: units})


def around_the_steps(stair: Staircase, limit: str, rng: random.Random) -> list[int]:
    """Capacities in units of the field: at a few steps, one unit below them, and beyond both ends."""
    _, least, most, each = SETTINGS[limit]
    sign = -1 if stair.at_least else 1
    wanted = {least, most}
    for room in rng.sample(stair.rooms, min(3, len(stair.rooms))):
        at = -(-room // each) * sign
        wanted |= {at, at - sign}
    return sorted(w for w in wanted if least <= w <= most)


@pytest.mark.parametrize("seed", range(40))
def test_staircase_answers_as_the_oracle(seed: int) -> None:
    """Tests that the look-up equals the oracle at the steps, one unit below them, and at both ends."""
    rng = random.Random(seed)
    question = random_problem(rng)
    limit = rng.choice(list(SETTINGS))
    stair = staircase(question, limit)
    for units in around_the_steps(stair, limit, rng):
        asked = with_capacity(question, limit, units)
        right, found = oracle.best(asked), stair.answer(asked)
        assert found.status == right.status, (limit, units)
        if right.choice is None:
            assert found.plan is None
        else:
            assert found.plan is not None
            assert tuple(dict(found.plan.choice).values()) == right.choice, (limit, units)


def test_staircase_equals_optimize() -> None:
    """Tests that an answer from the staircase is the record that optimize returns, but for its statistics."""
    question = guide_problem()
    stair = staircase(question, "budget")
    for budget in (20_000, 33_499, 33_500, 100_000, 150_000, 300_000, 10**6, None):
        asked = question.with_limits(budget_cny=budget)
        a, b = stair.answer(asked), optimize(asked)
        assert a.model_copy(update={"statistics": b.statistics}) == b


def test_staircase_of_the_socket() -> None:
    """Tests that a socket of other amps, volts and derating is one look-up on the wall's staircase."""
    question = guide_problem(goal="epoch", budget_cny=100_000)
    stair = staircase(question, "wall_power")
    for site in ({"socket_amps": 16}, {"socket_volts": Decimal("110.5")}, {"derating": Decimal("0.8")}):
        asked = question.replaced(site=site)
        assert stair.answer(asked).plan == optimize(asked).plan


@pytest.mark.parametrize("limit", ["condition", "bugdet", "power_limit"])
def test_staircase_of_no_limit(limit: str) -> None:
    """Tests that a limit without units, or of no such name, is refused by name."""
    with pytest.raises(InvalidProblem, match=limit):
        staircase(guide_problem(), limit)
