"""Benches of `optimize`: the default catalogue against plain models, cold starts, changed prices, large catalogues.

Every answer is compared with another method's before its time counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from benchmarks import brute, plain
from benchmarks.catalogues import Kind, catalogue, question
from benchmarks.report import Report, Row
from benchmarks.timing import Aim, interleave, once
from solver.catalog import default_library, default_problem, with_prices
from solver.domain import physics
from solver.domain import problem as problems
from solver.domain.catalog import Catalog
from solver.domain.plan import Plan, Result
from solver.domain.problem import GOALS, Problem, problem_of
from solver.model import groups, pairs
from solver.solve import Options, optimize

OPTIONS = Options()
WARM_UP = 2
_BUSY = "other work shared the two cores"


def default_questions(goal: str, number: int, seed: int = 1) -> list[Problem]:
    """Questions on the default catalogue, each with limits of its own; all have an answer."""
    rng = random.Random(f"{goal} {seed}")
    made = []
    for _ in range(number):
        limits: dict[str, Any] = {"budget_cny": rng.randrange(60_000, 500_000, 10)}
        if goal == "cost":
            limits = {"budget_cny": rng.randrange(350_000, 500_000, 10), "min_batch": rng.randint(2, 39)}
        made.append(default_problem(goal=goal, limits=limits))
    return made


def solved(problem: Problem) -> Result:
    """Ours, from the question to the checked answer."""
    return optimize(problem, OPTIONS)


def rig_of(plan: Plan) -> tuple[str, int, int, str]:
    """The rig of a plan."""
    return plan.card_id, plan.card_count, plan.power_limit_w, plan.platform_id


def default_catalogue(quick: bool) -> Report:
    """The whole of optimize beside the plain model and the leanest one, by goal."""
    report = Report("optimize, default catalogue")
    slowest, over_plain, over_leanest = 0.0, 0.0, 0.0
    for goal in GOALS:
        contenders: dict[str, Callable[[Problem], Any]] = {"ours": solved, "plain model": plain.full}
        if goal != "epoch":
            contenders["leanest plain model"] = plain.leanest
        questions = default_questions(goal, WARM_UP + (10 if quick else 40))
        alone = interleave(questions, {"ours": solved}, WARM_UP)[0]["ours"]
        timings, answers = interleave(questions, contenders, WARM_UP)
        for asked, given in zip(questions[WARM_UP:], answers, strict=True):
            agree(asked, given)
        ours = timings["ours"]
        report.rows.append(Row(goal, "ours, nothing between", alone))
        for name, timing in timings.items():
            report.rows.append(Row(goal, name, timing, {"ours / it": ours.median / timing.median}))
        slowest = max(slowest, alone.median)
        over_plain = max(over_plain, ours.median / timings["plain model"].median)
        if "leanest plain model" in timings:
            over_leanest = max(over_leanest, ours.median / timings["leanest plain model"].median)
    report.aims += [
        Aim("whole optimize, one question after another, slowest goal", slowest, 2, "ms", _BUSY),
        Aim("ours / plain model, worst goal", over_plain, 0.05, "x"),
        Aim("ours / leanest plain model, worst goal", over_leanest, 0.5, "x"),
    ]
    report.notes.append(
        "`ours, nothing between`: the same questions one after another, as a program asks them. In turns with the "
        "plain model each of ours finds the processor's caches full of the other's."
    )
    return report


def agree(problem: Problem, given: dict[str, Any]) -> None:
    """Raise unless the plain models say what ours says."""
    result: Result = given["ours"]
    full: plain.Answer = given["plain model"]
    assert full.feasible == (result.plan is not None), (problem.goal, problem.limits)
    if result.plan is None:
        return
    assert result.status == "optimal"
    chosen = full.card_id, full.card_count, full.power_limit_w, full.platform_id
    assert chosen == rig_of(result.plan), (problem.goal, problem.limits, chosen, result.plan.choice)
    value = {
        "batch": result.plan.total_batch,
        "cost": int(result.plan.cost_cny * 100),
    }.get(problem.goal)
    if value is not None:
        assert abs(full.values[0]) == value
    lean: plain.Answer | None = given.get("leanest plain model")
    if lean is None or not lean.feasible:
        return
    # At the TDP nothing can be better, and where our rig runs at its TDP nothing may be worse.
    assert full.values[0] <= lean.values[0]
    if result.plan.power_limit_w == result.plan.tdp_w:
        assert full.values[0] == lean.values[0], (problem.goal, problem.limits)


def nothing_prepared(quick: bool) -> Report:
    """The default catalogue in a running process: everything prepared, nothing prepared, and other prices each time."""
    report = Report("optimize, default catalogue, what is prepared")
    library = default_library()
    number = WARM_UP + (10 if quick else 60)
    rng = random.Random(2)
    prepared = default_questions("batch", number)
    fresh = [_on(q, Catalog(**_parts(library.catalog))) for q in prepared]
    priced = [
        _on(q, with_prices(library.catalog, {"rtx-a6000": Decimal(rng.randrange(20_000, 40_000))})) for q in prepared
    ]

    def cold(problem: Problem) -> Result:
        forget()
        return solved(problem)

    for name, questions, contender in (
        ("prepared", prepared, solved),
        ("nothing prepared", fresh, cold),
        ("other prices", priced, solved),
    ):
        timings, _ = interleave(questions, {name: contender}, WARM_UP)
        report.rows.append(Row("batch", name, timings[name]))
    return report


def _parts(catalog: Catalog) -> dict[str, Any]:
    return {"cards": catalog.cards, "platforms": catalog.platforms, "offers": catalog.offers}


def _on(problem: Problem, catalog: Catalog) -> Problem:
    return problem_of(
        {
            "goal": problem.goal,
            "limits": problem.limits,
            "site": problem.site,
            "workload": problem.workload,
            "catalog": catalog,
        }
    )


def forget() -> None:
    """Drop everything that is prepared for a catalogue and workload."""
    pairs.forget()
    groups.forget()
    problems._CATALOG_DIGESTS.clear()
    physics._segments.cache_clear()


def large_catalogues(quick: bool) -> Report:
    """Generated catalogues of both kinds: the first question, and warm ones of every goal."""
    report = Report("optimize, generated catalogues")
    sizes = [(200, 20), (2_000, 50)] + ([] if quick else [(10_000, 100)])
    for cards, platforms in sizes:
        aim_ms = {2_000: 5.0, 10_000: 10.0}.get(cards)
        kinds: tuple[Kind, ...] = ("market", "random")
        for kind in kinds:
            label = f"{cards:,} x {platforms} {kind}"
            catalog = catalogue(cards, platforms, kind)
            slowest = 0.0
            forget()
            for goal in GOALS:
                questions = [question(catalog, goal, number) for number in range(1 + WARM_UP + (12 if quick else 40))]
                first, result = once(partial(solved, questions[0]))
                report.rows.append(Row(label, f"{goal}, first", first, {"pairs": result.statistics.pairs}))
                timings, answers = interleave(questions[1:], {"ours": solved}, WARM_UP)
                report.rows.append(
                    Row(label, f"{goal}, warm", timings["ours"], {"in model": result.statistics.pairs_in_model})
                )
                slowest = max(slowest, timings["ours"].median)
                checked = answers[: 1 if cards > 1000 else 3]
                for asked, given in zip(questions[1 + WARM_UP :], checked, strict=False):
                    same_as_brute_force(asked, given["ours"])
            if aim_ms is not None:
                report.aims.append(Aim(f"{label}, warm, slowest goal", slowest, aim_ms, "ms", _BUSY))
    return report


def same_as_brute_force(problem: Problem, result: Result) -> None:
    """Raise unless the answer is the one that looking at every rig gives."""
    found = brute.best(problem)
    assert (found is None) == (result.status == "infeasible"), (problem.goal, problem.limits, found, result.status)
    if found is not None:
        assert result.status == "optimal"
        assert result.plan is not None
        assert found[1] == (*rig_of(result.plan), result.plan.with_used), (problem.goal, problem.limits)
