"""`whatif validate`, `schema` and `init`: scenario files, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from solver.cli.params import Whole
from solver.cli.whatif.group import command
from solver.cli.whatif.options import BASE, CATALOG, QUOTES, library_of_options, option
from solver.domain.errors import InvalidProblem, os_reason
from solver.domain.language import listed, message, say


@command.command(
    "validate",
    help=message("Check FILE and every scenario in it without solving anything; exit 2 and name what is wrong."),
)
@click.argument("file")
@BASE
@CATALOG
@QUOTES
@option("--first", type=Whole("N"), default="100000", help=message("Expand and check at most so many scenarios."))
def validate_command(file: str, base: str | None, first: int, **options: Any) -> int:
    """Check FILE and every scenario in it without solving anything; exit 2 and name what is wrong."""
    from solver.sweep.expand import checked
    from solver.sweep.file import read
    from solver.sweep.questions import Questions

    scenarios, _ = read(Path(file), None if base is None else Path(base))
    try:
        questions = Questions(library_of_options(options), dict(scenarios.question))
    except InvalidProblem as error:
        raise scenarios.located(error) from None
    seen = bad = 0
    for name, fault in checked(scenarios, questions, first):
        seen += 1
        if fault:
            bad += 1
            if bad <= 50:
                click.echo(f"{name}: {fault}", err=True)
    more = say(" (of {total:,})", total=scenarios.total) if seen < scenarios.total else ""
    click.echo(
        say(
            "{name}: {seen:,} scenarios{more}, {bad:,} bad; changes {names}",
            name=scenarios.name,
            seen=seen,
            more=more,
            bad=bad,
            names=listed(scenarios.paths) or say("nothing"),
        )
    )
    return 2 if bad else 0


@command.command("schema", help=message("Print the JSON Schema of scenario files, for editors."))
def schema_command() -> int:
    """Print the JSON Schema of scenario files, for editors."""
    from solver.report.json_form import dumps
    from solver.sweep.schema import schema

    click.echo(dumps(schema()))
    return 0


@command.command("init", help=message("Write a commented example to FILE, or print it."))
@click.argument("file", required=False)
def init_command(file: str | None) -> int:
    """Write a commented example to FILE, or print it."""
    from solver.sweep.schema import TEMPLATE

    if file is None:
        click.echo(say(TEMPLATE), nl=False)
        return 0
    try:
        with Path(file).open("x", encoding="utf-8") as target:
            target.write(say(TEMPLATE))
    except FileExistsError:
        raise InvalidProblem.of("file", file, say("exists already, and is left as it is")) from None
    except OSError as error:
        raise InvalidProblem.of("file", file, say("cannot be written: {reason}", reason=os_reason(error))) from None
    click.echo(say("wrote {file}; check it with: solver-cli whatif validate {file}", file=file), err=True)
    return 0
