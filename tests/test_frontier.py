"""Trade-off curves against the oracle: every step, every point, every look-up."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal

import pytest

from solver.batch import Patience
from solver.domain.errors import InvalidProblem
from solver.domain.explanation import Axis
from solver.domain.problem import Problem
from solver.frontier import Staircase, best_for_budget, frontier, staircase
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
    check_staircase(seed)


def check_staircase(seed: int) -> None:
    """Hold the staircase of one limit of a random problem against the oracle."""
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


AXES: dict[Axis, oracle.Axis] = {"cost": "cost", "batch": "batch", "epoch": "epoch", "watts": "wall"}
UNITS_OF = {"cost": 100, "batch": 1, "epoch": 3_600_000_000, "watts": 1000}


@pytest.mark.parametrize("seed", range(40))
def test_frontier_is_the_oracles_pareto_set(seed: int) -> None:
    """Tests that the curve of two axes has every point of the oracle's, no other, and the best plan at each."""
    check_pareto(seed)


def check_pareto(seed: int) -> None:
    """Hold one curve of a random problem against the oracle."""
    rng = random.Random(seed)
    question = random_problem(rng)
    first, second = rng.sample(list(AXES), 2)
    found = frontier(question, (first, second))
    right = oracle.pareto(question, (AXES[first], AXES[second]))
    assert found.complete
    assert [tuple(dict(point.plan.choice).values()) for point in found.points] == [p.pairs[0].choice for p in right]
    for point, wanted in zip(found.points, right, strict=True):
        for axis, value, exact in zip((first, second), point.values, wanted.values, strict=True):
            assert value == exact / UNITS_OF[axis]


def test_budget_is_a_look_up() -> None:
    """Tests that any budget's answer read off the staircase is what optimize says, whatever the goal."""
    for goal in ("batch", "epoch", "value", "cost"):
        stair = staircase(guide_problem(goal=goal), "budget")
        for budget in (10_000, 85_000, Decimal("84999.99"), 229_000, None):
            wanted = optimize(guide_problem(goal=goal, budget_cny=budget))
            assert best_for_budget(stair, budget).plan == wanted.plan


def test_frontier_of_the_value() -> None:
    """Tests that cost against value has no dominated point and ends with the best value there is."""
    points = frontier(guide_problem(), ("cost", "value")).points
    values = [point.values for point in points]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(values))
    best = optimize(guide_problem(goal="value")).objective
    assert values[-1][1] == best


def test_frontier_from_a_budget_on() -> None:
    """Tests that points below the first budget are left out, but for the one that is best at it."""
    question = guide_problem(budget_cny=600_000)
    costs = [point.values[0] for point in frontier(question, ("cost", "batch"), from_cny=100_000).points]
    assert costs == [80_000, 107_500, 135_000, 232_000, 335_500, 439_000]


def test_frontier_of_one_axis_is_refused() -> None:
    """Tests that an axis cannot be traded for itself."""
    with pytest.raises(InvalidProblem, match="two different"):
        frontier(guide_problem(), ("cost", "cost"))


def test_frontier_without_time_says_so() -> None:
    """Tests that a curve that was not proved is not shown."""
    found = frontier(guide_problem(), ("cost", "batch"), patience=Patience.of(0))
    assert not found.complete
    assert found.points == ()


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
