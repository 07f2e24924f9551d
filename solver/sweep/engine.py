"""The engine: a batch of scenarios -> rows. Picklable in, plain rows out, so any executor can carry it.

Scenarios that differ in limits, site and prices only share their prepared pairs, and some fifty of them are proved in
one CP-SAT model; those that share all but one limit read one exact staircase, itself proved by CP-SAT. Every plan is
recomputed in plain integers before it becomes a row. Nothing here depends on how scenarios are cut into batches.
Modify this module when scenarios are answered in another way; what runs batches is executors.py.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from solver.batch import OutOfTime, Patience, prove
from solver.catalog import Library, with_prices
from solver.domain.errors import InvalidProblem, SolverFailure
from solver.domain.language import speaking
from solver.domain.plan import Choice, Result
from solver.domain.problem import Problem
from solver.domain.units import fen
from solver.frontier import Staircase, staircase
from solver.model.groups import number_of_pairs
from solver.model.repriced import Repricing
from solver.solve import Options, optimize
from solver.sweep.answer import Answers, Told, answer_of, infeasible
from solver.sweep.expect import broken_of
from solver.sweep.library_text import library_of
from solver.sweep.questions import Asked, Questions
from solver.sweep.scenario import FRONTIERS, STORED, Batch, Row, Scenario, dumps, failed

BLOCKS = 50
"""Scenarios in one CP-SAT model."""
MOST_PAIRS = 200_000
"""Above this many pairs a question is prepared and solved alone."""
_STAIRCASES = 256


def answer_batch(batch: Batch) -> list[Row]:
    """Answer every scenario of a batch; a bad one becomes a failed row and stops nobody.

    Raises:
        InvalidProblem: the base question itself is wrong.
    """
    with speaking(STORED):
        return engine_of(batch.library, batch.question).answers(batch)


def engine_of(library: bytes, question: str) -> Engine:
    """The engine for a catalogue and base question; the last few are kept, with all they have prepared."""
    return _engine(hashlib.sha256(library + b"\0" + question.encode()).hexdigest(), _Source(library, question))


class _Source:
    """Carries what an engine is made of past the cache's key: equal to any other, as the hash beside it decides."""

    def __init__(self, library: bytes, question: str) -> None:
        self.library, self.question = library, question

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=4)
def _engine(_digest: str, source: _Source) -> Engine:
    return Engine(library_of(source.library), json.loads(source.question))


class Engine:
    """Answers scenarios of one base question."""

    def __init__(self, library: Library, question: dict[str, Any]) -> None:
        self.questions = Questions(library, question)
        self._staircases: dict[tuple[str, str], tuple[Staircase, Answers]] = {}

    def answers(self, batch: Batch) -> list[Row]:
        """Rows in the order of the batch."""
        rows: dict[int, Row] = {}
        groups: dict[Any, list[tuple[Scenario, Asked]]] = {}
        for scenario in batch.scenarios:
            try:
                if scenario.fault:
                    raise InvalidProblem([])
                asked = self.questions.asked(scenario.changes)
            except InvalidProblem as error:
                rows[scenario.position] = failed(scenario, scenario.fault or _located(scenario, str(error)))
                continue
            if batch.alone:
                rows[scenario.position] = self._alone(scenario, batch.time_limit_s)
            elif scenario.frontier:
                rows[scenario.position] = self._from_frontier(scenario, asked, batch.time_limit_s)
            else:
                key = (id(asked.base), asked.problem.goal, asked.problem.limits.power_limit_w)
                groups.setdefault(key, []).append((scenario, asked))
        for members in groups.values():
            for row in self._together(members, batch.time_limit_s):
                rows[row.position] = row
        return [rows[scenario.position] for scenario in batch.scenarios]

    def _alone(self, scenario: Scenario, time_limit_s: float | None) -> Row:
        started = time.perf_counter()
        try:
            result = optimize(self.questions.whole(scenario.changes), Options(time_limit_s=time_limit_s))
        except InvalidProblem as error:
            return failed(scenario, _located(scenario, str(error)))
        except SolverFailure as error:
            return failed(scenario, f"internal: {error}")
        return _from_result(scenario, result, (time.perf_counter() - started) * 1000)

    def _from_frontier(self, scenario: Scenario, asked: Asked, time_limit_s: float | None) -> Row:
        started = time.perf_counter()
        rest = {path: value for path, value in scenario.changes.items() if path != scenario.frontier}
        key = (scenario.frontier, json.dumps(rest, sort_keys=True))
        try:
            held = self._staircases.get(key)
            if held is None:
                if len(self._staircases) >= _STAIRCASES:
                    self._staircases.pop(next(iter(self._staircases)))
                whole = self.questions.whole(scenario.changes)
                stairs = staircase(whole, FRONTIERS[scenario.frontier], Patience.of(time_limit_s))
                held = self._staircases[key] = (stairs, Answers(whole.catalog))
            stairs, answers = held
            pairs = stairs.space.pairs
            at = stairs.at(stairs.room_of(asked.problem))
            if at is None:
                ms = (time.perf_counter() - started) * 1000
                return _row(scenario, "infeasible", infeasible(asked.problem), "frontier", ms)
            choice = pairs.choice(at)
            told = answers.optimal(asked.problem, {}, choice, int(pairs.figures.cost_fen[at]))
        except (OutOfTime, SolverFailure, InvalidProblem):
            return self._alone(scenario, time_limit_s)
        return _optimal(scenario, choice, told, "frontier", (time.perf_counter() - started) * 1000)

    def _together(self, members: Sequence[tuple[Scenario, Asked]], time_limit_s: float | None) -> Iterable[Row]:
        base = members[0][1].base
        first = members[0][1].problem
        extra = frozenset(item for _, asked in members for item in asked.prices) - set(
            base.problem.catalog.offers_by_item
        )
        prepared = self._repricing(first, base.kept, extra)
        if prepared is None:
            for scenario, _ in members:
                yield self._alone(scenario, time_limit_s)
            return
        answers = base.kept.setdefault("answers", Answers(base.problem.catalog))
        for start in range(0, len(members), BLOCKS):
            yield from self._block(members[start : start + BLOCKS], prepared, answers, bool(extra), time_limit_s)

    @staticmethod
    def _repricing(problem: Problem, kept: dict[Any, Any], extra: frozenset[str]) -> Repricing | None:
        key = ("repricing", problem.goal, problem.limits.power_limit_w, extra)
        if key not in kept:
            if len(kept) >= 16:
                kept.clear()
            priced = problem
            if extra:
                priced = problem.replaced(catalog=with_prices(problem.catalog, dict.fromkeys(sorted(extra), 1)))  # type: ignore[arg-type]
            kept[key] = Repricing.of(priced) if number_of_pairs(priced) <= MOST_PAIRS else None
        made: Repricing | None = kept[key]
        return made

    def _block(
        self,
        members: Sequence[tuple[Scenario, Asked]],
        repricing: Repricing,
        answers: Answers,
        unpriced: bool,
        time_limit_s: float | None,
    ) -> Iterable[Row]:
        started = time.perf_counter()
        prepared = repricing.prepared([asked.problem for _, asked in members])
        prices = [asked.prices_fen for _, asked in members]
        money = prepared.money(prices)
        blocks, indices = [], []
        for at, (_, asked) in enumerate(members):
            priced = prepared.priced({*asked.problem.catalog.offers_by_item, *prices[at]}) if unpriced else None
            block, index = prepared.ask(asked.problem, money[:, at], priced)
            blocks.append(block)
            indices.append(index)
        try:
            patience = Patience.of(None if time_limit_s is None else time_limit_s * len(members))
            chosen = prove(blocks, patience)
        except (OutOfTime, SolverFailure):
            for scenario, _ in members:
                yield self._alone(scenario, time_limit_s)
            return
        each_ms = (time.perf_counter() - started) * 1000 / len(members)
        for at, (scenario, asked) in enumerate(members):
            position = chosen[at]
            try:
                if position is None:
                    yield _row(scenario, "infeasible", infeasible(asked.problem), "solver", each_ms)
                    continue
                mine = int(indices[at][position])
                choice = repricing.pairs.choice(int(prepared.index[mine]))
                told = answers.optimal(asked.problem, asked.prices, choice, int(money[0, at, mine]))
            except SolverFailure:
                yield self._alone(scenario, time_limit_s)
                continue
            yield _optimal(scenario, choice, told, "solver", each_ms)


def _located(scenario: Scenario, message: str) -> str:
    return f"{scenario.where}: {message}" if scenario.where else message


def _row(scenario: Scenario, status: str, text: str, answered_by: str, ms: float, **figures: Any) -> Row:
    found = broken_of(scenario.expect, json.loads(text)) if scenario.expect else []
    return Row(
        position=scenario.position,
        name=scenario.name,
        status=status,
        answered_by=answered_by,
        changes=dumps(scenario.changes),
        answer=text,
        error="",
        expectation=("broken" if found else "holds") if scenario.expect else "",
        broken="; ".join(found),
        solve_ms=round(ms, 3),
        **figures,
    )


def _optimal(scenario: Scenario, choice: Choice, told: Told, answered_by: str, ms: float) -> Row:
    return _row(
        scenario,
        "optimal",
        told.text,
        answered_by,
        ms,
        card_id=choice.card_id,
        card_count=choice.card_count,
        power_limit_w=choice.power_limit_w,
        platform_id=choice.platform_id,
        total_batch=told.total_batch,
        cost_fen=told.cost_fen,
        epoch_hours=told.epoch_hours,
    )


def _from_result(scenario: Scenario, result: Result, ms: float) -> Row:
    plan = result.plan
    figures: dict[str, Any] = {}
    if plan is not None:
        figures = {
            name: getattr(plan, name)
            for name in ("card_id", "card_count", "power_limit_w", "platform_id", "total_batch")
        }
        figures |= {"cost_fen": fen(plan.cost_cny), "epoch_hours": plan.epoch_hours.expected}
    return _row(scenario, result.status, dumps(answer_of(result)), "solver", ms, **figures)
