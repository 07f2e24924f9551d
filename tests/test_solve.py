"""What a result says, and what it rests on."""

from __future__ import annotations

import datetime
import pickle
import threading
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from ortools.sat.python import cp_model

from solver.domain.buying import purchase
from solver.domain.catalog import Offer
from solver.domain.errors import InvalidProblem, SolverFailure, UnknownName, Violation
from solver.domain.goals import GOAL_SPECS
from solver.domain.notices import notices_for
from solver.domain.plan import Incumbent
from solver.domain.problem import GOALS, Problem
from solver.model.build import build
from solver.model.pairs import pairs_of
from solver.model.rules import inequalities
from solver.solve import Options, checked_plan, optimize
from tests.builders import card, guide_problem, offer, platform, problem

TODAY = datetime.date(2023, 8, 1)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("budget", [None, 60_000, 150_000, 300_000, 20_000])
def test_pruning_changes_nothing(goal: str, budget: int | None) -> None:
    """Tests that all pairs in the model give the same status, plan and bound as the survivors of pruning."""
    question = guide_problem(goal, budget_cny=budget)
    pruned, whole = optimize(question, Options(prune=True)), optimize(question, Options(prune=False))
    assert (pruned.status, pruned.plan, pruned.bound) == (whole.status, whole.plan, whole.bound)
    assert whole.statistics.pairs_in_model == whole.statistics.pairs == pruned.statistics.pairs
    assert 0 < pruned.statistics.pairs_in_model < 50


def test_infeasible_questions_reach_the_solver() -> None:
    """Tests that near misses of an infeasible question are handed to CP-SAT, not filtered away before it."""
    result = optimize(guide_problem(budget_cny=1000))
    assert result.status == "infeasible"
    assert result.statistics.pairs_in_model > 0
    assert result.plan is None


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("prune", [True, False])
def test_ties_do_not_depend_on_the_search(workers: int, prune: bool) -> None:
    """Tests that equal cards under other names are told apart by id, with any number of workers."""
    question = problem(cards=[card("b"), card("a"), card("c")], platforms=[platform("y"), platform("x")])
    plan = optimize(question, Options(workers=workers, prune=prune)).plan
    assert plan is not None
    assert (plan.card_id, plan.platform_id, plan.card_count) == ("a", "x", 4)


def test_no_time_is_no_answer() -> None:
    """Tests that without time nothing is claimed: no plan, no proof."""
    result = optimize(guide_problem(budget_cny=300_000), Options(time_limit_s=0))
    assert result.status == "no_answer"
    assert result.plan is None
    assert result.objective is None


def test_stop_before_the_start() -> None:
    """Tests that a stop set before the search still stops it."""
    stop = threading.Event()
    stop.set()
    result = optimize(guide_problem(budget_cny=300_000), Options(prune=False, stop=stop))
    assert result.status in ("no_answer", "feasible", "optimal")
    assert (result.plan is None) == (result.status == "no_answer")


def test_incumbents_end_with_the_answer() -> None:
    """Tests that reported plans improve and the last one is the answer."""
    seen: list[Incumbent] = []
    result = optimize(guide_problem(budget_cny=300_000), Options(prune=False, on_incumbent=seen.append))
    assert result.plan is not None
    assert seen[-1].choice == result.plan.choice
    objectives = [incumbent.objective for incumbent in seen]
    assert objectives == sorted(objectives)


def test_a_wrong_column_is_caught() -> None:
    """Tests that a plan whose figures differ from plain integers is never shown."""
    question = guide_problem(budget_cny=300_000)
    pairs = pairs_of(question)
    at = int(np.argmax(pairs.figures.total_batch == 26))
    assert checked_plan(question, pairs, at).total_batch == 26
    pairs.figures.wall_mw[at] += 1
    try:
        with pytest.raises(SolverFailure, match="wall_mw"):
            checked_plan(question, pairs, at)
    finally:
        pairs.figures.wall_mw[at] -= 1


def test_a_plan_that_breaks_a_limit_is_caught() -> None:
    """Tests that a plan that breaks a limit is never shown, whatever the solver says."""
    question = guide_problem(budget_cny=100_000)
    pairs = pairs_of(question)
    with pytest.raises(SolverFailure, match="budget"):
        checked_plan(question, pairs, int(np.argmax(pairs.figures.cost_fen)))


@pytest.mark.parametrize("goal", GOALS)
def test_parity_with_the_public_api(goal: str) -> None:
    """Tests that the model filled through OR-Tools' compiled helper is the one the public API would build."""
    question = guide_problem(goal, budget_cny=150_000)
    pairs = pairs_of(question)
    rules = list(inequalities(question, pairs))
    order = pairs.order(goal).tolist()
    ours = build(rules, order, range(len(order)))
    model = cp_model.CpModel()
    literals = [model.new_bool_var(f"pair_{pair}") for pair in order]
    model.add_exactly_one(literals).with_name("one_rig")
    for rule in rules:
        terms = zip(rule.coefficients[order].tolist(), literals, strict=True)
        model.add(sum(c * x for c, x in terms) <= rule.bound).with_name(rule.name)
    model.minimize(sum(rank * x for rank, x in enumerate(literals)))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    chosen = next(i for i, x in enumerate(literals) if solver.boolean_value(x))
    plan = optimize(question).plan
    assert plan is not None
    assert pairs.choice(order[chosen]) == plan.choice
    assert [c.name for c in ours.proto.constraints] == [c.name for c in model.proto.constraints]
    assert len(ours.proto.variables) == len(model.proto.variables)


def test_value_is_exact() -> None:
    """Tests that value compares fractions exactly where floats would not: 3/10^10+1 against 2/(2/3 of that)."""
    base = platform("base")
    cards = [card("a", vram_mib=13824 + 5120 * 3), card("b", vram_mib=13824 + 5120 * 2)]
    offers = [
        offer("a", Decimal("90000000000.01")),
        offer("b", Decimal("60000000000.00")),
        offer("base", Decimal("0")),
    ]
    question = problem(goal="value", cards=cards, platforms=[base], offers=offers, max_cards=1)
    plan = optimize(question).plan
    assert plan is not None
    assert plan.card_id == "b"


def test_value_puts_rigs_without_room_last() -> None:
    """Tests that a card that holds no sample ranks behind every other for value, however cheap."""
    cards = [card("a"), card("empty", vram_mib=1000)]
    question = problem(goal="value", cards=cards, prices={"empty": 0})
    pairs = pairs_of(question)
    ranked = pairs.figures.total_batch[pairs.order("value")]
    assert (ranked[: len(pairs) // 2] > 0).all()
    assert (ranked[len(pairs) // 2 :] == 0).all()


@pytest.mark.parametrize(
    ("offers", "lines"),
    [
        ([offer("x", 100, stock=2), offer("x", 100, condition="used")], [("new", 2), ("used", 1)]),
        ([offer("x", 100, vendor="a", stock=2), offer("x", 100, vendor="b")], [("a", 2), ("b", 1)]),
        ([offer("x", 100, vendor="a"), offer("x", 90, vendor="b", stock=1)], [("a", 2), ("b", 1)]),
    ],
)
def test_equal_prices_are_bought_in_order(offers: list[Offer], lines: list[tuple[str, int]]) -> None:
    """Tests that of equally cheap purchases the one with fewer used pieces, then more of the first offers, is made."""
    bought = purchase(offers, 3)
    assert [(o.vendor or o.condition, n) for o, n in bought.lines] == lines


@pytest.mark.parametrize("kind", [InvalidProblem, UnknownName])
def test_errors_survive_the_way_between_processes(kind: type[InvalidProblem]) -> None:
    """Tests that a fault raised in a worker process reads the same in this one."""
    error = kind([Violation("limits.budget_cny", "-1", "must be at least 0")])
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), back.violations, str(back)) == (kind, error.violations, str(error))


def test_fingerprint() -> None:
    """Tests that the fingerprint is the same for the same question and changes with question and catalogue."""
    one, same = (optimize(guide_problem(budget_cny=300_000)).fingerprint for _ in range(2))
    other = optimize(guide_problem(budget_cny=300_001)).fingerprint
    dearer = optimize(guide_problem(budget_cny=300_000, prices={"rtx-a6000": 27_501})).fingerprint
    assert one == same
    assert one.problem_sha256 != other.problem_sha256
    assert one.catalog_sha256 == other.catalog_sha256
    assert one.problem_sha256 == dearer.problem_sha256
    assert one.catalog_sha256 != dearer.catalog_sha256


def codes(question: Problem, today: datetime.date = TODAY) -> list[str]:
    """The codes of an answer's warnings."""
    return [notice.code for notice in optimize(question, Options(today=today)).warnings]


def test_warns_of_long_loads() -> None:
    """Tests that more than 80 % of the socket for days is warned of, and 80 % is not."""
    assert "socket_load" in codes(guide_problem("epoch", budget_cny=100_000))  # 1,970 W of 2,200
    assert "socket_load" not in codes(guide_problem(budget_cny=300_000))


def test_warns_of_prices() -> None:
    """Tests that old, assumed and expired prices are warned of, each alone."""
    day = datetime.date(2023, 7, 1)
    offers: dict[str, dict[str, Any]] = {
        "price_old": {"quote_date": day},
        "price_assumed": {"basis": "assumed"},
        "quote_expired": {"valid_until": day},
    }
    for code, fields in offers.items():
        question = problem(offers=[offer("card-a", **fields), offer("base", 25_000)], max_cards=1)
        assert codes(question, day + datetime.timedelta(days=366)) == [code]
    fresh = problem(offers=[offer("card-a", quote_date=day, valid_until=day), offer("base", 25_000)], max_cards=1)
    assert codes(fresh, day) == []


def test_warns_of_unpriced_cards_and_never_chooses_them() -> None:
    """Tests that a card without a price is named and never chosen, however good."""
    offers = [offer("card-a"), offer("base", 25_000)]
    question = problem(cards=[card("card-a"), card("best", vram_mib=10**6)], offers=offers)
    result = optimize(question)
    assert result.plan is not None
    assert result.plan.card_id == "card-a"
    assert any(n.code == "unpriced" and "best" in n.message for n in notices_for(question, result.plan, TODAY))


def test_no_card_has_a_price() -> None:
    """Tests that a catalogue without any price is infeasible, not an error."""
    result = optimize(problem(offers=[]))
    assert result.status == "infeasible"
    assert [n.code for n in result.warnings] == ["unpriced", "unpriced"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_cards": 9}, "limits.max_cards"),
        ({"budget_cny": -1}, "limits.budget_cny"),
        ({"budget_cny": Decimal("0.001")}, "limits.budget_cny"),
        ({"budget_cny": float("nan")}, "limits.budget_cny"),
        ({"min_batch": True}, "limits.min_batch"),
        ({"max_epoch_days": "3"}, "limits.max_epoch_days"),
        ({"goal": "speed"}, "goal"),
        ({"site": {"derating": 0}}, "site.derating"),
        ({"site": {"amps": 10}}, "site.amps"),
    ],
)
def test_bad_fields_are_named(changes: dict[str, Any], field: str) -> None:
    """Tests that a field out of its range is named by its dotted path."""
    with pytest.raises(InvalidProblem) as caught:
        problem(**changes)
    assert [v.field for v in caught.value.violations] == [field]


def test_unknown_ids_are_named_with_the_nearest() -> None:
    """Tests that an unknown card in include is refused with the nearest id."""
    with pytest.raises(UnknownName, match="did you mean card-a"):
        problem(include=["card-aa"])


def test_goals_are_documented() -> None:
    """Tests that every goal a question may ask has its keys."""
    assert set(GOALS) == set(GOAL_SPECS)


def test_dearest_rig_has_a_plan() -> None:
    """Tests that a rig of several cards at the highest price allowed is an answer, though its sum is above that."""
    plan = optimize(problem(prices={"card-a": 10**12})).plan
    assert plan is not None
    assert plan.cost_cny == 4 * 10**12 + 25_000


def test_a_question_that_was_asked_can_be_changed() -> None:
    """Tests that a copy of a question can be made after its digest was taken."""
    question = guide_problem()
    assert question.digest != question.with_limits(budget_cny=1).digest
    assert question.with_limits(budget_cny=1).with_limits(budget_cny=None).digest == question.digest
