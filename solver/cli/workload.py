"""`solver-cli workload`: what can be trained, from the catalogue, from a model's shape, or fitted to measured steps.

Loads no solver and asks no network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from solver.cli.calibrate import command as calibrate
from solver.cli.from_model import command as from_model
from solver.cli.output import FORMAT_HELP, FORMATS, console
from solver.cli.params import Choosable, GroupedCommand, GroupedOption, Whole
from solver.cli.question import library_from
from solver.cli.speech import SpokenGroup
from solver.cli.workload_parts import folders, made_workload, tell_workload, workload_named
from solver.domain.errors import InvalidProblem, Violation
from solver.domain.language import message, say

if TYPE_CHECKING:
    from solver.domain.workload import Workload

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    "workload",
    cls=SpokenGroup,
    help=message("Training jobs: the ready ones, one from a model's shape, or one fitted to measured steps."),
)
def command() -> None:
    """The group; its commands do the work."""


def _format(function: F) -> F:
    return click.option("--format", "form", cls=GroupedOption, type=FORMATS, default="table", help=FORMAT_HELP)(
        function
    )


@command.command(
    "list",
    cls=GroupedCommand,
    short_help=message("The workloads that are ready."),
    help=message(
        "List the workloads of the catalogue: size, tokens of a sample, memory of one, and how its figures are known."
    ),
    epilog="Examples: solver-cli workload list ; solver-cli workload list --format json",
)
@folders
@_format
def list_(form: str, **options: Any) -> int:
    """List the workloads."""
    workloads = library_from(options).workloads
    from solver.report import workload as report

    if form == "json":
        from solver.report.json_form import dumps

        click.echo(dumps(report.list_object(workloads)))
    elif form == "markdown":
        click.echo(report.list_markdown(workloads), nl=False)
    else:
        report.print_list(workloads, console())
    return 0


@command.command(
    "show",
    cls=GroupedCommand,
    short_help=message("One workload: every figure, both ends, how it is known."),
    help=message(
        "Show a workload of the catalogue, or one of a file: what it trains, every figure with its low and high "
        "end and how it is known (measured, calibrated, estimated, assumed), host RAM, and the samples that cards "
        "hold."
    ),
    epilog="Examples: solver-cli workload show guide-6b ; solver-cli workload show llama-7b --seq 4096 ; "
    "solver-cli workload show my.yaml --format json",
)
@click.argument("name", metavar="ID|FILE", type=Choosable("ID", "workload"))
@click.option(
    "--seq",
    "seq_len",
    cls=GroupedOption,
    section=message("Training"),
    type=Whole("N"),
    help=message("Tokens of a sample."),
)
@folders
@_format
def show(name: str, seq_len: int | None, form: str, **options: Any) -> int:
    """Show one workload."""
    library = library_from(options)
    work = workload_named(name, library)
    if seq_len is not None:
        work = _changed(work, {"seq_len": seq_len})
    tell_workload(work, library, form)
    return 0


def _changed(work: Workload, fields: dict[str, Any]) -> Workload:
    """A workload with some fields replaced; what follows from its shape follows again."""
    from solver.catalog.shaped import laid_over

    if work.model is None and "seq_len" in fields:
        allowed = say("cannot be changed: the workload has no model from which its figures would follow")
        raise InvalidProblem.of("--seq", fields["seq_len"], allowed)
    try:
        return made_workload(laid_over(work, fields), {"seq_len": "--seq"})
    except InvalidProblem as error:
        raise InvalidProblem(
            Violation("--seq" if v.field == "seq_len" else v.field, v.value, v.allowed) for v in error.violations
        ) from None


command.add_command(from_model)
command.add_command(calibrate)
