"""`Saved`: all records behind a saved answer, and `load`, which reads them from the folder.

The question is read from problem.yaml with its whole catalogue in it, so an old answer needs neither the shipped
catalogue of its day nor the vendors' files. Modify this module when a saved answer should hold something new.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from solver.catalog import Library, resolve
from solver.catalog.question_file import read_question, with_lines
from solver.domain.errors import InvalidProblem
from solver.domain.explanation import Alternative, Explanation, Frontier
from solver.domain.language import LANGUAGES, speaking
from solver.domain.notices import notices_for
from solver.domain.plan import Notice, Result
from solver.domain.problem import Problem
from solver.domain.records import Catalog, Date, Record
from solver.report.saved import documents, layout


class Saved(Record):
    """An answer with its question and its reasons.

    `frontier` is None where no plan exists or there was no time to draw it; `explanation` always has the same `result`.
    `as_of` is the day against which prices aged. `global_batch` is the wanted batch of a training step (None: the
    plan's own total batch). `top` are the plans of `--top`; None where they were not asked for.
    """

    problem: Problem
    result: Result
    explanation: Explanation
    frontier: Frontier | None = None
    top: tuple[Alternative, ...] | None = None
    top_asked: bool = False
    as_of: Date
    global_batch: int | None = None
    language: str = "en"


EMPTY = Library(Catalog(cards=(), platforms=(), offers=()), ())
"""A saved question brings its catalogue; it is laid over nothing."""


def load(folder: Path) -> Saved:
    """Read a saved answer. Nothing is checked beyond its form: see verify.py.

    Raises:
        InvalidProblem: no such folder, a file missing or unreadable, or not written by `--save`.
    """
    if not folder.is_dir():
        raise InvalidProblem.of(str(folder), None, "no such folder")
    if not (folder / layout.MANIFEST).is_file():
        raise InvalidProblem.of(str(folder), None, f"is not a saved answer: there is no {layout.MANIFEST} in it")
    manifest = documents.read_document(folder, layout.MANIFEST)
    problem = read_problem(folder)
    plan = documents.read_document(folder, layout.PLAN)
    explain = documents.read_document(folder, layout.EXPLAIN)
    frontier = None
    if (folder / layout.FRONTIER).exists():
        document = documents.read_document(folder, layout.FRONTIER)
        frontier = documents.frontier_of_document(document, layout.FRONTIER)
    as_of, language = _day(manifest.get("as_of")), manifest.get("language")
    if language not in LANGUAGES:
        raise InvalidProblem.of(f"{layout.MANIFEST}: language", language, f"must be one of {', '.join(LANGUAGES)}")
    global_batch = manifest.get("global_batch")
    if global_batch is not None and (not isinstance(global_batch, int) or isinstance(global_batch, bool)):
        raise InvalidProblem.of(f"{layout.MANIFEST}: global_batch", None, "must be a whole number")

    # A document keeps the message of a warning, not its code; the same warnings made again tell which is which.
    bare = documents.result_of_document(plan, lambda _message: "", layout.PLAN)
    with speaking(language):
        codes = {notice.message: notice.code for notice in _notices(problem, bare, as_of)}

    def code_of(message: str) -> str:
        return codes.get(message, "")

    return Saved(
        problem=problem,
        result=documents.result_of_document(plan, code_of, layout.PLAN),
        explanation=documents.explanation_of_document(explain, code_of, layout.EXPLAIN),
        frontier=frontier,
        top=documents.alternatives_of_document(plan, layout.PLAN),
        top_asked="alternatives" in plan,
        as_of=as_of,
        global_batch=global_batch,
        language=language,
    )


def read_problem(folder: Path) -> Problem:
    """The question of a saved answer, on the catalogue it brings.

    Raises:
        InvalidProblem: unreadable or out of its range, with the line.
    """
    name = str(folder / layout.QUESTION)
    document = read_question(name)
    try:
        return resolve(document, EMPTY)
    except InvalidProblem as error:
        raise with_lines(error, document, name) from None


def _notices(problem: Problem, result: Result, as_of: datetime.date) -> tuple[Notice, ...]:
    catalog, plan = problem.catalog, result.plan
    if plan is not None and not (plan.card_id in catalog.card_by_id and plan.platform_id in catalog.platform_by_id):
        return ()
    return notices_for(problem, plan, as_of)


def _day(value: object) -> datetime.date:
    try:
        return datetime.date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidProblem.of(f"{layout.MANIFEST}: as_of", str(value), "must be a date such as 2026-11-25") from None
