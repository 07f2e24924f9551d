"""Benches of the same question given to others: HiGHS and SCIP by MathOpt, NumPy, and the plain models, as it grows.

Every answer is compared with ours before its time counts. Whatever does not end within the cap is stopped, and its cap
stands as a lower bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import brute, linear, plain
from benchmarks.capped import Ended, capped
from benchmarks.catalogues import Kind, catalogue, question
from benchmarks.report import Chart, Report, Row, Series
from benchmarks.solve import OPTIONS, WARM_UP, default_questions, forget, rig_of, solved
from benchmarks.timing import Aim, Timing, interleave, once
from solver.domain.catalog import Catalog
from solver.domain.plan import Result
from solver.domain.problem import GOALS, Problem
from solver.model.pairs import pairs_of
from solver.model.rules import inequalities, violated_sets
from solver.solve import optimize

Rig = tuple[str, int, int, str]
UNPRUNED = dataclasses.replace(OPTIONS, prune=False)
REPEATED_BELOW_MS = 400.0
"""What took longer the first time is not repeated."""
MEMORY_GB = 8


def same_mathematics(quick: bool) -> Report:
    """Default catalogue, every goal: the same booleans, rows and objective to other solvers, and plain NumPy."""
    report = Report("the same mathematics, default catalogue")
    contenders: dict[str, Callable[[Problem], Any]] = {
        "ours": lambda problem: _chosen(solved(problem)),
        "CP-SAT, all pairs": lambda problem: _chosen(optimize(problem, UNPRUNED)),
        "HiGHS, all pairs": partial(linear.all_pairs, name="HiGHS"),
        "SCIP, all pairs": partial(linear.all_pairs, name="SCIP"),
        "HiGHS, our survivors": partial(linear.pruned, name="HiGHS"),
        "SCIP, our survivors": partial(linear.pruned, name="SCIP"),
        "NumPy, every rig": _by_brute_force,
        "NumPy, prepared columns": _first_that_fits,
    }
    for goal in GOALS:
        questions = default_questions(goal, WARM_UP + (3 if quick else 15))
        timings, answers = interleave(questions, contenders, WARM_UP)
        for asked, given in zip(questions[WARM_UP:], answers, strict=True):
            assert len(set(given.values())) == 1, (goal, asked.limits, given)
        ours = timings["ours"].median
        report.rows += [Row(goal, name, each, {"ours / it": ours / each.median}) for name, each in timings.items()]
    report.notes.append(
        "`NumPy, prepared columns` is the floor of any method that has the figures ready: it looks which pairs break a "
        "rule and takes the first of the others. Ours adds a proof by CP-SAT, the re-check, and the records."
    )
    return report


def _chosen(result: Result) -> Rig | None:
    return None if result.plan is None else rig_of(result.plan)


def _by_brute_force(problem: Problem) -> Rig | None:
    found = brute.best(problem)
    return None if found is None else found[1][:4]


def _first_that_fits(problem: Problem) -> Rig | None:
    pairs = pairs_of(problem)
    order = pairs.order(problem.goal)
    fits = np.flatnonzero(violated_sets(list(inequalities(problem, pairs)), len(pairs))[order] == 0)
    if not fits.size:
        return None
    choice = pairs.choice(int(order[fits[0]]))
    return choice.card_id, choice.card_count, choice.power_limit_w, choice.platform_id


OTHERS: dict[str, Callable[[Problem], Rig | None]] = {
    "plain model": lambda problem: _plain(plain.full(problem)),
    "HiGHS, all pairs": partial(linear.all_pairs, name="HiGHS"),
    "SCIP, all pairs": partial(linear.all_pairs, name="SCIP"),
    "NumPy, every rig": _by_brute_force,
}


def _plain(answer: plain.Answer) -> Rig | None:
    if not answer.feasible:
        return None
    return answer.card_id, answer.card_count, answer.power_limit_w, answer.platform_id


def growth(quick: bool) -> Report:
    """Market-like catalogues of growing size, largest batch: everybody, to the cap."""
    report = Report("growth, market-like catalogues without used offers, largest batch")
    cap_s = 1.5 if quick else 20.0
    sizes = [(5, 1), (10, 1), (20, 2), (60, 5), (200, 20)]
    if not quick:
        sizes = sorted([*sizes, (40, 3), (600, 40), (2_000, 50), (10_000, 100)])
    curves: dict[str, list[tuple[float, float, bool]]] = {}
    beyond: set[str] = set()
    for cards, platforms in sizes:
        catalog = _new_only(catalogue(cards, platforms, "market"))
        questions = [question(catalog, "batch", number) for number in range(WARM_UP + 12)]
        forget()
        first, result = once(partial(solved, questions[0]))
        pairs, label = result.statistics.pairs, f"{cards:,} x {platforms}"
        warm, answers = interleave(questions, {"ours": solved}, WARM_UP)
        expected = _chosen(answers[0]["ours"])
        rows = {"ours, first question": first, "ours, warm": warm["ours"]}
        for name, contender in OTHERS.items():
            # A larger question takes longer: whoever was stopped once is only stopped again, at the largest size.
            if name not in beyond or (cards, platforms) == sizes[-1]:
                rows[name] = _timed(partial(contender, questions[WARM_UP]), expected, cap_s)
                if rows[name].at_least:
                    beyond.add(name)
        for name, timing in rows.items():
            figures = {"it / ours": timing.median / warm["ours"].median}
            report.rows.append(Row(f"{label}, {pairs:,} pairs", name, timing, figures))
            curves.setdefault(name, []).append((float(pairs), timing.median, timing.at_least))
    series = [Series(name, points) for name, points in curves.items()]
    report.charts.append(Chart("growth", "From a question to its proven answer", "pairs of rig and platform", series))
    report.notes.append(f"Stopped at {cap_s:g} s or {MEMORY_GB} GB: `>` marks such a lower bound.")
    return report


def _timed(call: Callable[[], Rig | None], expected: Rig | None, cap_s: float) -> Timing:
    """One capped call; five more in this process where it was quick."""
    ended = capped(call, cap_s, MEMORY_GB)
    _check(ended, expected)
    if ended.how == "in time" and ended.ms < REPEATED_BELOW_MS:
        timings, _ = interleave([None] * 6, {"it": lambda _: call()}, 1)
        return timings["it"]
    return Timing((ended.ms,), (ended.ms,), at_least=ended.how != "in time")


def _check(ended: Ended, expected: Rig | None) -> None:
    assert ended.how != "in time" or ended.answer == expected, (ended.answer, expected)


def _new_only(catalog: Catalog) -> Catalog:
    """Without used offers: the plain models do not choose between new and used pieces."""
    offers = tuple(offer for offer in catalog.offers if offer.condition == "new")
    return Catalog(cards=catalog.cards, platforms=catalog.platforms, offers=offers)


def largest(quick: bool) -> Report:
    """The largest catalogues of both kinds, every goal: ours beside the plain model and HiGHS, which are stopped."""
    cards, platforms = (2_000, 50) if quick else (10_000, 100)
    cap_s = 1.0 if quick else 8.0
    report = Report(f"{cards:,} cards x {platforms} platforms, every goal, without used offers")
    worst: dict[str, float] = {"plain model": 0.0, "HiGHS, all pairs": 0.0}
    kinds: tuple[Kind, ...] = ("market", "random")
    for kind in kinds:
        catalog = _new_only(catalogue(cards, platforms, kind))
        for goal in GOALS:
            questions = [question(catalog, goal, number) for number in range(WARM_UP + 10)]
            timings, answers = interleave(questions, {"ours": solved}, WARM_UP)
            ours, expected = timings["ours"], _chosen(answers[0]["ours"])
            report.rows.append(Row(f"{kind}, {goal}", "ours, warm", ours))
            for name in worst:
                timing = _timed(partial(OTHERS[name], questions[WARM_UP]), expected, cap_s)
                worst[name] = max(worst[name], ours.median / timing.median)
                report.rows.append(Row(f"{kind}, {goal}", name, timing, {"it / ours": timing.median / ours.median}))
    for name, ratio in worst.items():
        report.aims.append(Aim(f"ours / {name}, slowest goal (at most: it was stopped)", ratio, 1 / 200, "x"))
    report.notes.append(f"Stopped at {cap_s:g} s or {MEMORY_GB} GB: `>` marks such a lower bound.")
    return report


BENCHES: dict[str, Callable[[bool], Report]] = {
    "same-mathematics": same_mathematics,
    "growth": growth,
    "largest": largest,
}
