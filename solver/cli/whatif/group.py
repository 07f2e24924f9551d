"""The group `solver-cli whatif` itself; the commands are added to it by the modules beside this one."""

from __future__ import annotations

import click

from solver.cli.speech import SpokenGroup
from solver.domain.language import message, say

REMOTE = ("run", "resume", "status", "list", "show", "cancel")
"""What also a server does; the others work on files and stores here."""


@click.group(
    "whatif",
    cls=SpokenGroup,
    help=message("Thousands of what-if questions from a file, every answer proved, none lost."),
    epilog="Example: solver-cli whatif run examples/budget-sweep.yaml",
)
def command() -> None:
    """What-if scenarios."""
    from solver.cli.remote import named_on_command_line

    asked = click.get_current_context().invoked_subcommand
    if asked not in REMOTE and named_on_command_line():
        raise click.UsageError(
            say("--server does not go with whatif {asked}; it goes with {names}", asked=asked, names=", ".join(REMOTE))
        )
