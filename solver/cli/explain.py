"""`solver-cli explain`: why this answer, what else, what would change it."""

from __future__ import annotations

from typing import Any

import click

from solver.cli.output import console, interruptible
from solver.cli.params import GroupedCommand, GroupedOption, Number, Whole, seconds
from solver.cli.question import naming_flags, problem_to_solve, question_options, remote_question
from solver.cli.remote import remote
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say

MOST_ALTERNATIVES = 1000


@click.command(
    "explain",
    cls=GroupedCommand,
    help=message(
        "Say why: limits in conflict and the cheapest ways out where nothing fits; where something does, what binds, "
        "how far prices and figures may move, what else there is, and what became of every card."
    ),
    epilog="Examples: solver-cli explain --budget 60000 --min-batch 12 ; solver-cli explain --budget 300000",
)
@question_options
@click.option(
    "--top", cls=GroupedOption, type=Whole("K"), default="5", help=message("How many alternatives.  [default: 5]")
)
@click.option("--format", "form", cls=GroupedOption, type=click.Choice(["table", "json", "markdown"]), default="table")
@click.option(
    "--time-limit",
    cls=GroupedOption,
    type=Number("SECONDS"),
    help=message("Stop after this long; keep what is proved."),
)
def command(top: int, form: str, time_limit: Any, **options: Any) -> int:
    """Explain an answer."""
    limit = seconds(time_limit)
    check_top(top)
    client = remote()
    if client is not None:
        question = remote_question(options)
        with naming_flags():
            found, interrupted = interruptible(
                lambda stop: client.explain(question, top=top, time_limit_s=limit, stop=stop)
            )
    else:
        problem = problem_to_solve(options)
        from solver.explain import ExplainOptions, explain

        found, interrupted = interruptible(
            lambda stop: explain(problem, ExplainOptions(top=top, time_limit_s=limit, stop=stop))
        )
    if form == "json":
        from solver.report.json_form import dumps, explanation_object

        click.echo(dumps(explanation_object(found)))
    elif form == "markdown":
        from solver.report.explained import footer, headline, markdown, sections_of

        click.echo(markdown(headline(found), sections_of(found), footer(found)))
    else:
        from solver.report.explained import print_explanation

        print_explanation(found, console())
    if interrupted:
        return 130
    return 0 if found.result.status in ("optimal", "infeasible") else 4


def check_top(top: int) -> None:
    """Refuse a number of alternatives that is out of range."""
    if not 1 <= top <= MOST_ALTERNATIVES:
        raise InvalidProblem.of(
            "--top", top, say("must be between 1 and {most_alternatives:,}", most_alternatives=MOST_ALTERNATIVES)
        )
