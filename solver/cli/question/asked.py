"""From options to a `Problem`: the catalogue they make, a question file, quotes, and what was given beside them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solver.cli.question.options import LIMITS, SITE, WORKLOAD, naming_flags
from solver.domain.errors import InvalidProblem
from solver.domain.language import say

if TYPE_CHECKING:  # the records cost 0.2 s, which --help and bad options need not wait for
    from solver.catalog import Library
    from solver.domain.problem import Problem
    from solver.domain.workload import Workload

MOST_NOTES = 20
_NEEDED_FIRST = ("json", "solver.catalog.reading", "solver.domain.base")
"""What brings the compiled parts of json, PyYAML and pydantic: what comes later waits until the library is loaded."""


def problem_from(options: Mapping[str, Any]) -> Problem:
    """The question the options ask: over a question file if one is given, on the catalogue they make.

    With `dump_problem` among the options the question is written to standard output, and the command ends there.

    Raises:
        InvalidProblem: an option, or a line of a file, is wrong; the message names it.
    """
    from solver.catalog import default_library, question_of

    problem = _asked(options, library_from(options))
    if options.get("dump_problem"):
        from solver.catalog.question_file import question_text

        click.echo(question_text(question_of(problem, default_library())), nl=False)
        raise click.exceptions.Exit(0)
    return problem


def problem_to_solve(options: Mapping[str, Any]) -> Problem:
    """As `problem_from`, for who solves it here: the solver's library is loaded meanwhile, on another core."""
    if not options.get("dump_problem"):
        for name in _NEEDED_FIRST:
            importlib.import_module(name)
        from solver.model.ahead import load_ahead

        load_ahead()
    return problem_from(options)


def library_from(options: Mapping[str, Any]) -> Library:
    """The shipped catalogue with the folders of --catalog laid over it, in the order given, and a file of --workload.

    Raises:
        InvalidProblem: a folder, or the file, holds no valid entry, or a faulty one.
    """
    from solver.catalog import default_library
    from solver.catalog.library import Library, with_folder

    library = default_library()
    for folder in options.get("catalog") or ():
        library = with_folder(library, Path(folder))
    work = _workload_of_file(options)
    if work is not None:
        others = (held for held in library.workloads if held.id != work.id)
        library = Library(library.catalog, tuple(sorted((*others, work), key=lambda held: held.id)))
    return library


def names_a_file(name: str) -> bool:
    """Whether what is given for a workload is the name of a file, not an id."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def _workload_of_file(options: Mapping[str, Any]) -> Workload | None:
    """The workload of the file that --workload names; None where it names an id, or nothing."""
    name = options.get("workload")
    if not isinstance(name, str) or not names_a_file(name):
        return None
    from solver.catalog.workload_file import read_workload

    return read_workload(Path(name))


def _asked(options: Mapping[str, Any], library: Library) -> Problem:
    from solver.catalog import resolve
    from solver.catalog.question import overlay

    question: dict[str, Any] = {}
    below = None
    file = options.get("problem")
    if file is not None:
        from solver.catalog.question_file import read_question, with_lines

        document = read_question(file)
        try:
            below = resolve(document, library)
        except InvalidProblem as error:
            raise with_lines(error, document, file) from None
        question = dict(document)
    if options.get("quotes"):
        from solver.catalog.quotes import read_quotes

        quotes = read_quotes(map(Path, options["quotes"]), (library if below is None else below).catalog)
        tell(quotes.notes)
        question = overlay(question, {"offers": quotes.offers})
    with naming_flags():
        if options.get("workload") is not None:
            library.workload(_named(options)["id"])
        return resolve(overlay(question, question_from(options)), library)


def remote_question(options: Mapping[str, Any]) -> Problem | dict[str, Any]:
    """The question for a server: only what was asked, or, where files were given, the whole problem they make here.

    Raises:
        InvalidProblem: as `problem_from`.
    """
    files = ("problem", "quotes", "catalog", "dump_problem")
    if not any(options.get(name) for name in files) and not names_a_file(options.get("workload") or ""):
        return question_from(options)
    return problem_from(options)


def tell(notes: Sequence[str]) -> None:
    """Say on standard error what of a file was left out."""
    for note in notes[:MOST_NOTES]:
        click.echo(say("note: {note}", note=note), err=True)
    if len(notes) > MOST_NOTES:
        click.echo(say("note: and {count} more lines left out", count=len(notes) - MOST_NOTES), err=True)


def question_from(options: Mapping[str, Any]) -> dict[str, Any]:
    """The question the options ask, as plain data: only what was given."""
    question: dict[str, Any] = {
        "goal": options.get("goal"),
        "confidence": options.get("confidence"),
        "limits": {**_given(options, LIMITS), **_lists(options)},
        "site": _given(options, SITE),
        "workload": {**_named(options), **_given(options, WORKLOAD)},
        "prices": _prices(options.get("prices") or ()),
    }
    return {key: value for key, value in question.items() if value}


def _prices(given: tuple[tuple[str, Decimal], ...]) -> dict[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for name, amount in given:
        if name in prices:
            raise InvalidProblem.of("--price", name, say("is given twice"))
        prices[name] = amount
    return prices


def _named(options: Mapping[str, Any]) -> dict[str, str]:
    work = _workload_of_file(options)
    if work is not None:
        return {"id": work.id}
    return {"id": options["workload"]} if options.get("workload") is not None else {}


def _given(options: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    return {field: options[option] for option, field in fields.items() if options.get(option) is not None}


def _lists(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(part.strip() for value in options[name] for part in value.split(",") if part.strip())
        for name in ("include", "exclude")
        if options.get(name)
    }
