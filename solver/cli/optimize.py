"""`solver-cli optimize`: ask, solve, print."""

from __future__ import annotations

from typing import Any

import click

from solver.cli.output import FORMAT_HELP, FORMATS, console, interruptible
from solver.cli.question import GroupedCommand, GroupedOption, Number, problem_from, question_options
from solver.domain.errors import InvalidProblem

EXIT_CODES = {"optimal": 0, "infeasible": 3, "no_answer": 4, "feasible": 5}


@click.command(
    "optimize",
    cls=GroupedCommand,
    help="Find the best rig within your limits and prove that nothing better exists.",
    epilog="Examples: solver-cli optimize --budget 30万 ; solver-cli optimize --min-batch 24 --goal cost ; "
    "solver-cli optimize --budget 30万 --quotes 报价单.xlsx --allow-used ; "
    "solver-cli optimize --budget 150000 --goal epoch --format json ; "
    "solver-cli optimize --budget 200000 --dump-problem > question.yaml ; "
    "solver-cli optimize --problem question.yaml --max-cards 2",
)
@question_options
@click.option("--format", "form", cls=GroupedOption, type=FORMATS, default="table", help=FORMAT_HELP)
@click.option("--time-limit", cls=GroupedOption, type=Number("SECONDS"), help="Stop searching after this long.")
@click.option("--no-prune", cls=GroupedOption, is_flag=True, help="Hand every pair to the solver; slower, same answer.")
def command(form: str, time_limit: Any, no_prune: bool, **options: Any) -> int:
    """Find the best rig."""
    if time_limit is not None and not 0 <= time_limit <= 10**6:
        raise InvalidProblem.of("--time-limit", time_limit, "must be between 0 and 1,000,000 seconds")
    problem = problem_from(options)
    from solver.solve import Options, optimize

    limit = None if time_limit is None else float(time_limit)
    result, interrupted = interruptible(
        lambda stop: optimize(problem, Options(time_limit_s=limit, prune=not no_prune, stop=stop))
    )
    if form == "json":
        from solver.report.json_form import dumps, result_object

        click.echo(dumps(result_object(result)))
    elif form == "markdown":
        from solver.report.markdown import result_markdown

        click.echo(result_markdown(result), nl=False)
    else:
        from solver.report.terminal import print_result

        print_result(result, console())
    return 130 if interrupted else EXIT_CODES[result.status]
