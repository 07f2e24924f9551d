"""Two runs side by side, and an old run against today's solver: `diff` and `replay`.

Modify this module when a comparison should see more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from solver.catalog import resolve
from solver.domain.problem import Problem
from solver.sweep.columns import flat
from solver.sweep.library_text import library_of
from solver.sweep.questions import today_price
from solver.sweep.store import Run, Store

COMPARED = ("status", "card_id", "card_count", "power_limit_w", "platform_id", "total_batch", "cost_fen", "epoch_hours")


@dataclass(frozen=True)
class Change:
    """Something that differs: what, and its value on either side (None: not there)."""

    what: str
    before: Any
    after: Any


@dataclass(frozen=True)
class ScenarioDiff:
    """A scenario of either run whose question or answer differs."""

    name: str
    question: tuple[Change, ...]
    answer: tuple[Change, ...]


def base_problem(store: Store, run: Run) -> Problem:
    """The base question of a run on its own catalogue."""
    return resolve(json.loads(run.question), library_of(store.snapshot(run.library_sha256)))


def question_changes(store: Store, before: Run, after: Run) -> list[Change]:
    """What differs in the base question, in the prices of its day and in the versions: why answers may differ."""
    old, new = base_problem(store, before), base_problem(store, after)
    changes = [Change("goal", old.goal, new.goal)] if old.goal != new.goal else []
    for part in ("limits", "site", "workload"):
        was, now = (getattr(p, part).model_dump(mode="json") for p in (old, new))
        changes += [Change(f"{part}.{name}", was[name], now[name]) for name in was if was[name] != now[name]]
    for item in sorted({*old.catalog.offers_by_item, *new.catalog.offers_by_item}):
        prices = [today_price(problem, item) for problem in (old, new)]
        offers = [problem.catalog.offers_by_item.get(item) for problem in (old, new)]
        if prices[0] != prices[1]:
            changes.append(Change(f"prices.{item}", *(None if p is None else float(p) for p in prices)))
        elif offers[0] != offers[1]:
            changes.append(Change(f"offers.{item}", "another set of offers", "at the same lowest price"))
    for kind in ("cards", "platforms"):
        was_by, now_by = ({each.id: each for each in getattr(p.catalog, kind)} for p in (old, new))
        changes += [
            Change(f"{kind}.{item}", "there" if item in was_by else None, "there" if item in now_by else None)
            for item in sorted({*was_by} ^ {*now_by})
        ]
        changes += [
            Change(f"{kind}.{item}", "facts", "other facts")
            for item in sorted({*was_by} & {*now_by})
            if was_by[item] != now_by[item]
        ]
    for name in ("solver_version", "ortools_version"):
        if getattr(before, name) != getattr(after, name):
            changes.append(Change(name, getattr(before, name), getattr(after, name)))
    return changes


def scenario_changes(store: Store, before: Run, after: Run) -> Iterator[ScenarioDiff]:
    """Scenarios of the same name whose changes or answers differ, in the order of the first run; then those that only
    one of them has.
    """
    names = ", ".join(f"a.{c}, b.{c}" for c in ("changes", *COMPARED))
    for row in store.stream(
        f"SELECT a.name, b.position, {names} FROM result a LEFT JOIN result b ON b.run = ? AND b.name = a.name "
        "WHERE a.run = ? ORDER BY a.position",
        (after.number, before.number),
    ):
        name, there, was_changes, now_changes, *values = row
        if there is None:
            yield ScenarioDiff(name, (), (Change("scenario", "there", None),))
            continue
        question = _dict_changes(json.loads(was_changes), json.loads(now_changes))
        answer = [
            _told(column, values[2 * at], values[2 * at + 1])
            for at, column in enumerate(COMPARED)
            if values[2 * at] != values[2 * at + 1]
        ]
        if question or answer:
            yield ScenarioDiff(name, tuple(question), tuple(answer))
    for (name,) in store.stream(
        "SELECT b.name FROM result b WHERE b.run = ? AND NOT EXISTS "
        "(SELECT 1 FROM result a WHERE a.run = ? AND a.name = b.name) ORDER BY b.position",
        (after.number, before.number),
    ):
        yield ScenarioDiff(name, (), (Change("scenario", None, "there"),))


def _told(column: str, before: Any, after: Any) -> Change:
    if column == "cost_fen":
        return Change("cost_cny", *(None if v is None else v / 100 for v in (before, after)))
    return Change(column, before, after)


def _dict_changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    paths = dict.fromkeys((*before, *after))
    return [Change(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)]


@dataclass(frozen=True)
class Replayed:
    """An old row solved again: what differs; nothing where the answer is the same to the last figure."""

    name: str
    changes: tuple[Change, ...]


def replay(store: Store, run: Run, every: int = 1, name: str | None = None) -> Iterator[Replayed]:
    """Solve stored scenarios again, one by one, from the question, catalogue and prices of their day.

    Args:
        store: the store.
        run: the run.
        every: of every so many scenarios the first.
        name: only the scenario of this name.
    """
    from solver.solve import Options, optimize
    from solver.sweep.answer import answer_of
    from solver.sweep.questions import Questions

    questions = Questions(library_of(store.snapshot(run.library_sha256)), json.loads(run.question))
    options = Options(time_limit_s=run.options["time_limit_s"])
    where, values = ("name = ?", (name,)) if name is not None else ("(position - 1) % ? = 0", (every,))
    for row in store.results(run, where, values):
        if row["answer"] is None:
            continue
        answer = json.loads(json.dumps(answer_of(optimize(questions.whole(json.loads(row["changes"])), options))))
        held = json.loads(row["answer"])
        changes = _dict_changes(flat(held), flat(answer)) if held != answer else []
        if held != answer and not changes:
            changes = [Change("answer", "stored", "differs in detail")]
        yield Replayed(row["name"], tuple(changes))
