"""`solver-cli schema`: the JSON Schema of question files, for editors and programs."""

from __future__ import annotations

import click

from solver.cli.params import GroupedCommand, GroupedOption
from solver.domain.language import message


@click.command(
    "schema",
    cls=GroupedCommand,
    help=message("Print the JSON Schema of question files (--problem), as it is shipped."),
    epilog="Examples: solver-cli schema > problem.schema.json ; solver-cli schema --path",
)
@click.option(
    "--path", "path_only", cls=GroupedOption, is_flag=True, help=message("Print where the shipped file is instead.")
)
def command(path_only: bool) -> int:
    """Print the schema."""
    from solver.catalog.question_file import schema_file

    click.echo(schema_file() if path_only else schema_file().read_text(encoding="utf-8"), nl=path_only)
    return 0
