"""`solver-cli frontier`: the exact trade-off curve of two figures."""

from __future__ import annotations

from typing import Any

import click

from solver.cli.output import console, interruptible
from solver.cli.params import GroupedCommand, GroupedOption, Money, Number, seconds
from solver.cli.question import naming_flags, problem_to_solve, question_options, remote_question
from solver.cli.remote import remote
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say

AGAINST = ("cost", "batch", "epoch", "watts", "value")


@click.command(
    "frontier",
    cls=GroupedCommand,
    help=message(
        "Draw the exact trade-off curve of the goal against the cost (or watts, batch, epoch, value): every plan that "
        "no other beats on both, each proved."
    ),
    epilog="Examples: solver-cli frontier --from 30000 --to 600000 ; solver-cli frontier --goal epoch --against watts",
)
@click.option(
    "--from",
    "least",
    cls=GroupedOption,
    section=message("Money"),
    type=Money(),
    help=message("Leave out cheaper plans."),
)
@click.option(
    "--to",
    "most",
    cls=GroupedOption,
    section=message("Money"),
    type=Money(),
    help=message("The largest budget looked at."),
)
@click.option(
    "--against",
    cls=GroupedOption,
    section=message("Machine"),
    type=click.Choice(AGAINST),
    help=message("What the goal is traded for.  [default: cost; for goal cost, batch]"),
)
@question_options
@click.option("--format", "form", cls=GroupedOption, type=click.Choice(["table", "json", "markdown"]), default="table")
@click.option("--time-limit", cls=GroupedOption, type=Number("SECONDS"), help=message("Stop after this long."))
def command(least: Any, most: Any, against: str | None, form: str, time_limit: Any, **options: Any) -> int:
    """Draw a trade-off curve."""
    limit = seconds(time_limit)
    if most is not None:
        if options["budget"] is not None:
            raise InvalidProblem.of("--to", most, say("is the budget: give --to or --budget, not both"))
        options["budget"] = most
    if least is not None and options["budget"] is not None and least > options["budget"]:
        raise InvalidProblem.of(
            "--from", least, say("must not be above the budget of {budget}", budget=options["budget"])
        )
    from solver.domain.problem import Problem

    client = remote()
    question = problem_to_solve(options) if client is None else remote_question(options)
    goal = question.goal if isinstance(question, Problem) else question.get("goal", "batch")
    if against is None:
        against = "batch" if goal == "cost" else "cost"
    if against == goal:
        raise InvalidProblem.of("--against", against, say("must differ from the goal"))
    axes: Any = ("cost", against) if goal == "cost" else (against, goal)
    if client is not None:
        with naming_flags():
            found, interrupted = interruptible(
                lambda stop: client.frontier(question, axes, least, time_limit_s=limit, stop=stop)
            )
    else:
        assert isinstance(question, Problem)
        problem = question
        from solver.batch import Patience
        from solver.frontier import frontier

        found, interrupted = interruptible(lambda stop: frontier(problem, axes, least, Patience.of(limit, stop)))
    if form == "json":
        from solver.report.json_form import dumps, frontier_object

        click.echo(dumps(frontier_object(found)))
    else:
        from solver.report.explained import frontier_sections, markdown, print_sections

        if form == "markdown":
            click.echo(markdown(say("Trade-off curve"), frontier_sections(found)))
        else:
            print_sections(frontier_sections(found), console())
    if interrupted:
        return 130
    if not found.complete:
        return 4
    return 0 if found.points else 3
