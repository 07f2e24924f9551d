"""`solver-cli optimize`: ask, solve, print."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import click

from solver.cli.output import console, interruptible
from solver.cli.question import (
    GroupedCommand,
    GroupedOption,
    Number,
    naming_flags,
    problem_from,
    question_from,
    question_options,
)
from solver.cli.remote import remote
from solver.domain.errors import InvalidProblem
from solver.domain.plan import Result

EXIT_CODES = {"optimal": 0, "infeasible": 3, "no_answer": 4, "feasible": 5}


@click.command(
    "optimize",
    cls=GroupedCommand,
    help="Find the best rig within your limits and prove that nothing better exists.",
    epilog="Examples: solver-cli optimize --budget 30万 ; solver-cli optimize --min-batch 24 --goal cost ; "
    "solver-cli optimize --budget 150000 --goal epoch --format json",
)
@question_options
@click.option("--format", "form", cls=GroupedOption, type=click.Choice(["table", "json"]), default="table")
@click.option("--time-limit", cls=GroupedOption, type=Number("SECONDS"), help="Stop searching after this long.")
@click.option("--no-prune", cls=GroupedOption, is_flag=True, help="Hand every pair to the solver; slower, same answer.")
def command(form: str, time_limit: Any, no_prune: bool, **options: Any) -> int:
    """Find the best rig."""
    if time_limit is not None and not 0 <= time_limit <= 10**6:
        raise InvalidProblem.of("--time-limit", time_limit, "must be between 0 and 1,000,000 seconds")
    limit = None if time_limit is None else float(time_limit)
    client = remote()
    work: Callable[[threading.Event], Result]
    if client is not None:
        question = question_from(options)

        def work(stop: threading.Event) -> Result:
            with naming_flags():
                return client.optimize(question, time_limit_s=limit, prune=not no_prune, stop=stop)

    else:
        problem = problem_from(options)
        from solver.solve import Options, optimize

        def work(stop: threading.Event) -> Result:
            return optimize(problem, Options(time_limit_s=limit, prune=not no_prune, stop=stop))

    result, interrupted = interruptible(work)
    if form == "json":
        from solver.report.json_form import dumps, result_object

        click.echo(dumps(result_object(result)))
    else:
        from solver.report.terminal import print_result

        print_result(result, console())
    return 130 if interrupted else EXIT_CODES[result.status]
