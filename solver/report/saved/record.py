"""`Saved`: all records behind a saved answer, and `load`, which reads them from the folder.

The question is read from problem.yaml with its whole catalogue in it, so an old answer needs neither the shipped
catalogue of its day nor the vendors' files. Modify this module when a saved answer should hold something new.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from solver.catalog import Library, resolve
from solver.catalog.question_file import with_lines
from solver.catalog.reading import Mapping as YamlMapping
from solver.catalog.reading import parse_yaml, read_file
from solver.domain.base import Date, Record
from solver.domain.catalog import Catalog
from solver.domain.errors import InvalidProblem, Violation, from_validation_error
from solver.domain.explanation import Alternative, Explanation, Frontier
from solver.domain.language import say, speaking
from solver.domain.notices import notices_for
from solver.domain.plan import Notice, Result
from solver.domain.problem import Problem
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


Files = Mapping[str, bytes]
"""The files of a saved answer by name."""


def load(folder: Path) -> Saved:
    """Read a saved answer. Nothing is checked beyond its form: see verify.py.

    Raises:
        InvalidProblem: no such folder, a file missing or unreadable, or not written by `--save`.
    """
    return saved_of(read_folder(folder))


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a saved answer that are there.

    Raises:
        InvalidProblem: no such folder, not finished, or a file that cannot be read.
    """
    if not folder.is_dir():
        raise InvalidProblem.of(str(folder), None, say("no such folder"))
    if not (folder / layout.MANIFEST).exists():
        missing = say("is not a saved answer, or was not finished: there is no {name} in it", name=layout.MANIFEST)
        raise InvalidProblem.of(str(folder), None, missing)
    return {name: read_file(folder / name) for name in layout.NAMES if (folder / name).exists()}


def saved_of(files: Files) -> Saved:
    """The records behind the files.

    Raises:
        InvalidProblem: a file is missing or unreadable.
    """
    manifest = manifest_of(files)
    problem = problem_in(files)
    plan = document_in(files, layout.PLAN)

    # A document keeps the message of a warning, not its code; the same warnings made again tell which is which.
    bare = documents.result_of_document(plan, lambda _message: "", layout.PLAN)
    with speaking(manifest.language):
        codes = {notice.message: notice.code for notice in _notices(problem, bare, manifest.as_of)}

    def code_of(message: str) -> str:
        return codes.get(message, "")

    frontier = None
    if layout.FRONTIER in files:
        frontier = documents.frontier_of_document(document_in(files, layout.FRONTIER), layout.FRONTIER)
    return Saved(
        problem=problem,
        result=documents.result_of_document(plan, code_of, layout.PLAN),
        explanation=documents.explanation_of_document(document_in(files, layout.EXPLAIN), code_of, layout.EXPLAIN),
        frontier=frontier,
        top=documents.alternatives_of_document(plan, layout.PLAN),
        top_asked="alternatives" in plan,
        as_of=manifest.as_of,
        global_batch=manifest.global_batch,
        language=manifest.language,
    )


def document_in(files: Files, name: str) -> documents.Document:
    """A JSON document among the files.

    Raises:
        InvalidProblem: it is missing or unreadable.
    """
    if name not in files:
        raise InvalidProblem.of(name, None, say("is missing"))
    return documents.parse_document(files[name], name)


class Manifest(Record):
    """What no other file says: the day of the answer, its language, the batch wanted, and the hash of each file."""

    schema_version: str
    solver_version: str
    as_of: Date
    language: Literal["en", "zh"]
    global_batch: Annotated[int, Field(strict=True, ge=1)] | None
    files: dict[str, str]


def manifest_of(files: Files) -> Manifest:
    """The manifest among the files.

    Raises:
        InvalidProblem: it is missing or unreadable.
    """
    try:
        return Manifest.model_validate(document_in(files, layout.MANIFEST))
    except ValidationError as error:
        faults = from_validation_error(error).violations
        raise InvalidProblem(Violation(f"{layout.MANIFEST}: {v.field}", v.value, v.allowed) for v in faults) from None


def problem_in(files: Files) -> Problem:
    """The question among the files, on the catalogue it brings.

    Raises:
        InvalidProblem: missing, unreadable or out of its range, with the line.
    """
    if layout.QUESTION not in files:
        raise InvalidProblem.of(layout.QUESTION, None, say("is missing"))
    document = parse_yaml(files[layout.QUESTION], layout.QUESTION)
    if not isinstance(document, YamlMapping):
        raise InvalidProblem.of(layout.QUESTION, None, say("must be a group of named fields"))
    try:
        return resolve(document, EMPTY)
    except InvalidProblem as error:
        raise with_lines(error, document, layout.QUESTION) from None


def _notices(problem: Problem, result: Result, as_of: datetime.date) -> tuple[Notice, ...]:
    catalog, plan = problem.catalog, result.plan
    if plan is not None and not (plan.card_id in catalog.card_by_id and plan.platform_id in catalog.platform_by_id):
        return ()
    return notices_for(problem, plan, as_of)
