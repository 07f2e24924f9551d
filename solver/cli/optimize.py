"""`solver-cli optimize`: ask, solve, print."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import click

from solver.cli.explain import check_top
from solver.cli.output import FORMAT_HELP, FORMATS, console, interruptible
from solver.cli.question import (
    GroupedCommand,
    GroupedOption,
    Number,
    Whole,
    naming_flags,
    problem_from,
    question_options,
    remote_question,
    seconds,
)
from solver.cli.remote import remote
from solver.domain.language import message, say

if TYPE_CHECKING:
    from solver.domain.explanation import Alternative
    from solver.domain.problem import Problem

EXIT_CODES = {"optimal": 0, "infeasible": 3, "no_answer": 4, "feasible": 5}


@click.command(
    "optimize",
    cls=GroupedCommand,
    help=message("Find the best rig within your limits and prove that nothing better exists."),
    epilog="Examples: solver-cli optimize --budget 30万 ; solver-cli optimize --min-batch 24 --goal cost ; "
    "solver-cli optimize --budget 30万 --quotes 报价单.xlsx --allow-used ; "
    "solver-cli optimize --budget 150000 --goal epoch --format json ; "
    "solver-cli optimize --budget 200000 --dump-problem > question.yaml ; "
    "solver-cli optimize --problem question.yaml --max-cards 2",
)
@question_options
@click.option("--format", "form", cls=GroupedOption, type=FORMATS, default="table", help=FORMAT_HELP)
@click.option(
    "--time-limit", cls=GroupedOption, type=Number("SECONDS"), help=message("Stop searching after this long.")
)
@click.option(
    "--no-prune", cls=GroupedOption, is_flag=True, help=message("Hand every pair to the solver; slower, same answer.")
)
@click.option(
    "--top", cls=GroupedOption, type=Whole("K"), help=message("Also show the K best plans and what each loses by.")
)
def command(form: str, time_limit: Any, no_prune: bool, top: int | None, **options: Any) -> int:
    """Find the best rig."""
    limit = seconds(time_limit)
    if top is not None:
        check_top(top)
    client = remote()
    others: tuple[Alternative, ...] | None = None
    if client is not None:
        question = remote_question(options)
        with naming_flags():
            (result, others), interrupted = interruptible(
                lambda stop: client.best(question, top, time_limit_s=limit, prune=not no_prune, stop=stop)
            )
    else:
        problem = problem_from(options)
        from solver.solve import Options, optimize

        started = time.monotonic()
        result, interrupted = interruptible(
            lambda stop: optimize(problem, Options(time_limit_s=limit, prune=not no_prune, stop=stop))
        )
        if top is not None and result.status == "optimal" and not interrupted:
            left = None if limit is None else max(0.0, limit - (time.monotonic() - started))
            others, interrupted = interruptible(lambda stop: _top(problem, top, left, stop))
    if form == "json":
        from solver.report.json_form import alternatives_object, dumps, result_object

        extra = {} if top is None else {"alternatives": alternatives_object(others)}
        click.echo(dumps({**result_object(result), **extra}))
    elif form == "markdown":
        from solver.report.markdown import result_markdown

        click.echo(result_markdown(result), nl=False)
        if others:
            from solver.report.explained import alternatives_section, markdown

            click.echo("\n" + markdown(say("Alternatives"), [alternatives_section(others)]), nl=False)
    else:
        from solver.report.terminal import print_result

        print_result(result, console())
        if others:
            from solver.report.explained import alternatives_section, print_sections

            print_sections([alternatives_section(others)], console())
    if top is not None and others is None and result.status == "optimal":
        click.echo(say("the alternatives were not all proved in the time given"), err=True)
    return 130 if interrupted else EXIT_CODES[result.status]


def _top(problem: Problem, count: int, limit_s: float | None, stop: threading.Event) -> tuple[Alternative, ...] | None:
    """The best plans; None if they were not all proved in time."""
    from solver.batch import OutOfTime, Patience
    from solver.explain import top

    try:
        return top(problem, count, Patience.of(limit_s, stop))
    except OutOfTime:
        return None
