"""Benches of explanations and trade-off curves: the default catalogue, with one platform and with three.

Every answer is compared with `optimize` before its time counts: the ends of price ranges and ways out by asking the
changed question, the curve by asking at every step and just below it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from benchmarks.report import Report, Row
from benchmarks.timing import Aim, interleave
from solver.catalog import default_library, default_problem, with_prices
from solver.domain.catalog import Catalog
from solver.domain.explanation import Explanation, Frontier
from solver.domain.plan import Plan
from solver.domain.problem import GOALS, Problem
from solver.explain import explain
from solver.frontier import frontier, staircase
from solver.solve import optimize

THREE_PLATFORMS = {"atx-7-slot": Decimal(18_000), "guide-base-titanium": Decimal(27_000)}
"""Prices for two more platforms of the default catalogue, made up for this bench."""
MOST_CNY = 600_000
WARM_UP = 2


def explanations(quick: bool) -> Report:
    """All of explain: feasible questions of every goal, infeasible ones, and the same with three platforms."""
    report = Report("explain, default catalogue")
    rng = random.Random(1)
    number = 6 if quick else 20
    for platforms, aim_ms in ((1, 200.0), (3, 400.0)):
        slowest = 0.0
        for case, questions in _cases(rng, number, platforms):
            timings, answers = interleave(questions, {"explain": explain, "optimize": optimize}, WARM_UP)
            for question, given in zip(questions[WARM_UP:], answers, strict=True):
                agree(question, given["explain"], given["optimize"].plan)
            what_ifs = [given["explain"].what_ifs for given in answers]
            report.rows.append(
                Row(f"{case}, {platforms} platform(s)", "explain", timings["explain"], {"what-ifs": max(what_ifs)})
            )
            slowest = max(slowest, timings["explain"].median)
        report.aims.append(Aim(f"all of explain, {platforms} platform(s), slowest case", slowest, aim_ms, "ms"))
    return report


def _cases(rng: random.Random, number: int, platforms: int) -> list[tuple[str, list[Problem]]]:
    cases = [
        (goal, [_on(platforms, goal=goal, budget_cny=rng.randrange(90_000, 400_000, 10)) for _ in range(number)])
        for goal in GOALS
        if goal != "cost"
    ]
    cases.append(("cost", [_on(platforms, goal="cost", min_batch=rng.randint(2, 39)) for _ in range(number)]))
    tight = [_on(platforms, budget_cny=rng.randrange(40_000, 70_000, 10), min_batch=12) for _ in range(number)]
    cases.append(("infeasible", tight))
    return cases


def _on(platforms: int, goal: str = "batch", **limits: Any) -> Problem:
    problem = default_problem(goal=goal, limits=limits)
    if platforms == 1:
        return problem
    return problem.replaced(catalog=_three_platforms())


@functools.lru_cache(maxsize=1)
def _three_platforms() -> Catalog:
    return with_prices(default_library().catalog, THREE_PLATFORMS)


def agree(problem: Problem, found: Explanation, plan: Plan | None) -> None:
    """Raise unless optimize says what the explanation says, at the ends of what it names."""
    assert found.complete
    assert found.result.plan == plan
    if plan is None:
        for way in found.relaxations:
            if way.limits == ("budget",) and way.rig is not None:
                (change,) = way.changes
                assert change.to is not None
                more = Decimal(str(change.to))
                enough = optimize(problem.with_limits(budget_cny=more)).plan
                assert enough is not None
                assert enough.choice == way.rig.choice
                assert optimize(problem.with_limits(budget_cny=more - Decimal("0.01"))).plan is None
        return
    assert found.alternatives[0].rig.choice == plan.choice
    for price in found.prices[:2]:
        for end, step in ((price.low_cny, 0), (price.high_cny, 0), (price.high_cny, 1)):
            if end is None:
                continue
            asked = with_prices(problem.catalog, {price.item_id: end + Decimal(step) / 100})
            there = optimize(problem.replaced(catalog=asked)).plan
            same = there is not None and (there.card_id, there.card_count, there.platform_id) == (
                plan.card_id,
                plan.card_count,
                plan.platform_id,
            )
            assert same == (step == 0), (price.item_id, end, step)


def curves(quick: bool) -> Report:
    """The frontier of cost against each goal, and of watts against epoch; a look-up beside a whole optimize."""
    report = Report("frontier, default catalogue")
    rng = random.Random(2)
    number = 6 if quick else 20
    for platforms, aim_ms in ((1, 40.0), (3, 80.0)):
        slowest = 0.0
        for axes in (("cost", "batch"), ("cost", "epoch"), ("cost", "value"), ("watts", "epoch")):
            questions = [_on(platforms, budget_cny=MOST_CNY + rng.randrange(1000)) for _ in range(number)]
            timings, answers = interleave(questions, {"frontier": _curve_of(axes)}, WARM_UP)
            points = {len(given["frontier"].points) for given in answers}
            assert len(points) == 1  # the few yuan by which the questions differ change nothing
            case = f"{axes[0]} against {axes[1]}, {platforms} platform(s)"
            report.rows.append(Row(case, "frontier", timings["frontier"], {"points": points.pop()}))
            if axes[0] == "cost":
                slowest = max(slowest, timings["frontier"].median)
        report.aims.append(Aim(f"frontier, {platforms} platform(s), slowest goal", slowest, aim_ms, "ms"))
        look_ups(report, number, platforms)
    return report


def _curve_of(axes: Any) -> Callable[[Problem], Frontier]:
    return lambda problem: frontier(problem, axes)


def look_ups(report: Report, number: int, platforms: int) -> None:
    """The staircase of the budget, and any budget's answer from it beside optimize."""
    for goal in ("batch", "epoch", "value"):
        question = _on(platforms, goal=goal)
        made_of = [question.with_limits(budget_cny=b) for b in range(number)]
        timings, made = interleave(made_of, {"staircase": _stair}, WARM_UP)
        report.rows.append(Row(f"{goal}, {platforms} platform(s)", "staircase", timings["staircase"]))
        stair = made[0]["staircase"]
        edges = [Decimal(room) / 100 for room in stair.rooms]
        budgets = [b for edge in edges for b in (edge, edge - Decimal("0.01"))]
        asked = [question.with_limits(budget_cny=b) for b in budgets]
        timings, answers = interleave(
            [*asked[:WARM_UP], *asked], {"look-up": stair.answer, "optimize": optimize}, WARM_UP
        )
        for given in answers:
            assert given["look-up"].plan == given["optimize"].plan
        ratio = timings["look-up"].median / timings["optimize"].median
        report.rows.append(
            Row(f"{goal}, {platforms} platform(s)", "look-up", timings["look-up"], {"of optimize": ratio})
        )


def _stair(problem: Problem) -> Any:
    return staircase(problem, "budget")
