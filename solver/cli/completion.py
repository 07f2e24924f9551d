"""`solver-cli completion`: the script that lets a shell complete commands, options, card ids and files."""

from __future__ import annotations

import click

from solver.cli.params import GroupedCommand
from solver.domain.language import message, say


@click.command(
    "completion",
    cls=GroupedCommand,
    help=message(
        "Print the completion script of a shell. Load it in each new shell: put the line below into its start file."
    ),
    epilog='Examples: eval "$(solver-cli completion bash)"   # in ~/.bashrc ; '
    'eval "$(solver-cli completion zsh)"    # in ~/.zshrc',
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script."""
    from click.shell_completion import get_completion_class

    from solver.cli import cli

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(say("no completion for {shell}", shell=shell))
    completer = made(cli, {}, "solver-cli", "_SOLVER_CLI_COMPLETE")
    # Not source(), which first runs a bash to ask for its version.
    click.echo(completer.source_template % completer.source_vars())
    return 0
