"""What the commands of `solver-cli workload` share: naming, making, showing and saving one workload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from solver.cli.output import console
from solver.cli.params import FileName, GroupedOption
from solver.cli.question import names_a_file
from solver.domain.errors import InvalidProblem, UnknownName, Violation, os_reason
from solver.domain.language import message, say

if TYPE_CHECKING:
    from solver.catalog import Library
    from solver.domain.workload import Workload

F = TypeVar("F", bound=Callable[..., Any])
SHOWN_CARDS = ("rtx-4090", "rtx-a6000", "a100-80gb-pcie")
"""Cards of 24, 48 and 80 GB, for which `show` says how many samples they hold."""


def folders(function: F) -> F:
    """Add --catalog."""
    folder: dict[str, Any] = {"type": FileName("DIR"), "metavar": "DIR", "multiple": True}
    return click.option(
        "--catalog", cls=GroupedOption, help=message("A folder of your own entries; repeatable."), **folder
    )(function)


def option(name: str, section: str, kind: Any, text: str, **settings: Any) -> Callable[[F], F]:
    """An option under a heading of --help, without a default of its own."""
    return click.option(name, cls=GroupedOption, section=section, type=kind, help=text, **settings)


def tell_workload(work: Workload, library: Library, form: str) -> None:
    """Print a workload in one of the formats."""
    from solver.report import workload as report

    cards = [library.catalog.card_by_id[i] for i in SHOWN_CARDS if i in library.catalog.card_by_id]
    if form == "json":
        from solver.report.json_form import dumps

        click.echo(dumps(report.show_object(work)))
    elif form == "markdown":
        click.echo(report.workload_markdown(work, cards), nl=False)
    else:
        report.print_workload(work, cards, console())


def workload_named(name: str, library: Library) -> Workload:
    """The workload of a file or an id."""
    if names_a_file(name):
        from solver.catalog.workload_file import read_workload

        return read_workload(Path(name))
    try:
        return library.workload(name)
    except UnknownName as error:
        raise UnknownName(
            Violation("ID", v.value, v.allowed + say("; the name of a file ends in .yaml")) for v in error.violations
        ) from None


def made_workload(fields: dict[str, Any], flags: dict[str, str]) -> Workload:
    """A workload of these fields; faults name the options they come from."""
    from pydantic import ValidationError

    from solver.catalog.shaped import filled
    from solver.domain.base import known_keys
    from solver.domain.errors import from_validation_error
    from solver.domain.workload import Workload

    try:
        return Workload.model_validate(filled(fields))
    except (InvalidProblem, ValidationError) as error:
        found = error if isinstance(error, InvalidProblem) else from_validation_error(error, "", known_keys(Workload))
        raise InvalidProblem(
            Violation(flags.get(v.field, v.field), v.value, v.allowed) for v in found.violations
        ) from None


def save(text: str, output: str) -> None:
    """Write a file.

    Raises:
        InvalidProblem: it cannot be written there.
    """
    try:
        Path(output).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else say("is not the name of a file")
        raise InvalidProblem.of("-o", output, say("cannot be written: {reason}", reason=reason)) from None


def written(output: str) -> None:
    """Say on standard error where a workload was written, and what to do with it."""
    command = f"solver-cli optimize --workload {output} --budget 300000"
    click.echo(say("written: {file}; next: {command}", file=output, command=command), err=True)
