"""`solver-cli optimize`: ask, solve, print."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import click

from solver.cli.explain import check_top
from solver.cli.output import FORMAT_HELP, FORMATS, console, interruptible
from solver.cli.params import GroupedCommand, GroupedOption, Number, Whole, seconds
from solver.cli.question import naming_flags, problem_to_solve, question_options, remote_question
from solver.cli.remote import remote
from solver.cli.save import Saving, save_options, saving_of
from solver.domain.language import message, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from solver.client import Client
    from solver.domain.explanation import Alternative
    from solver.domain.plan import Result
    from solver.domain.problem import Confidence, Problem
    from solver.domain.rig import Outlook

EXIT_CODES = {"optimal": 0, "infeasible": 3, "no_answer": 4, "feasible": 5}


@click.command(
    "optimize",
    cls=GroupedCommand,
    help=message("Find the best rig within your limits and prove that nothing better exists."),
    epilog="Examples: solver-cli optimize --budget 30万 ; solver-cli optimize --min-batch 24 --goal cost ; "
    "solver-cli optimize --budget 30万 --quotes 报价单.xlsx --allow-used ; "
    "solver-cli optimize --budget 150000 --goal epoch --format json ; "
    "solver-cli optimize --budget 200000 --dump-problem > question.yaml ; "
    "solver-cli optimize --problem question.yaml --max-cards 2 ; "
    "solver-cli optimize --budget 30万 --save rig --global-batch 104",
)
@question_options
@save_options
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
    saving = saving_of(options)
    as_of = None if saving is None else saving.as_of
    client = remote()
    others: tuple[Alternative, ...] | None = None
    started = time.monotonic()
    if client is not None:
        question = remote_question(options)
        with naming_flags():
            (result, others), interrupted = interruptible(
                lambda stop: client.best(question, top, time_limit_s=limit, prune=not no_prune, today=as_of, stop=stop)
            )
    else:
        question = problem = problem_to_solve(options)
        from solver.solve import Options, optimize

        result, interrupted = interruptible(
            lambda stop: optimize(problem, Options(time_limit_s=limit, prune=not no_prune, today=as_of, stop=stop))
        )
        if top is not None and result.status == "optimal" and not interrupted:
            left = None if limit is None else max(0.0, limit - (time.monotonic() - started))
            others, interrupted = interruptible(lambda stop: _top(problem, top, left, stop))
    ends: tuple[Outlook, ...] = ()
    if not interrupted:
        until = None if limit is None else started + limit
        ask = asking(question, client, until, prune=not no_prune, as_of=as_of)
        ends, interrupted = interruptible(lambda stop: _ends(result, question, ask, stop))
    if saving is not None:
        whole = _check_batch(saving, question, result, client)
    unread: BrokenPipeError | None = None
    try:
        _print(form, result, ends, top, others)
    except BrokenPipeError as error:
        if saving is None:
            raise
        unread = error  # nobody reads on, but the folder was asked for
    if saving is not None:
        from solver.cli.save import reasons_here, reasons_there, save

        if client is None:
            reasons = reasons_here(whole, top, saving.as_of)
        else:
            reasons = reasons_there(client, question, whole, top, saving.as_of)
        interrupted = save(
            saving,
            whole,
            result,
            reasons,
            top=others,
            top_asked=top is not None,
            until=None if limit is None else started + limit,
            interrupted=interrupted,
        )
    if unread is not None:
        raise unread
    return 130 if interrupted else EXIT_CODES[result.status]


def _print(
    form: str,
    result: Result,
    ends: tuple[Outlook, ...],
    top: int | None,
    others: tuple[Alternative, ...] | None,
) -> None:
    """Print the answer in a form, with what is best at the ends of the intervals and the next best plans."""
    if form == "json":
        from solver.report.json_form import alternatives_object, dumps, result_object

        extra = {} if top is None else {"alternatives": alternatives_object(others)}
        told = {"outlook": [end.model_dump(mode="json") for end in ends]}
        click.echo(dumps({**result_object(result), **told, **extra}))
    elif form == "markdown":
        from solver.report.facts import outlook_facts
        from solver.report.markdown import result_markdown

        click.echo(result_markdown(result, outlook_facts(result.plan, ends)), nl=False)
        if others:
            from solver.report.explained import alternatives_section, markdown

            click.echo("\n" + markdown(say("Alternatives"), [alternatives_section(others)]), nl=False)
    else:
        from solver.report.facts import outlook_facts
        from solver.report.terminal import print_result

        print_result(result, console(), outlook_facts(result.plan, ends))
        if others:
            from solver.report.explained import alternatives_section, print_sections

            print_sections([alternatives_section(others)], console())
    if top is not None and others is None and result.status == "optimal":
        click.echo(say("the alternatives were not all proved in the time given"), err=True)


def asking(
    question: Problem | dict[str, Any], client: Client | None, until: float | None, *, prune: bool, as_of: Any
) -> Callable[[Confidence, threading.Event], Result | None]:
    """What solves the question planned on another end of the workload's intervals, here or on the server.

    It answers None once `until` has come (`time.monotonic`): the time limit is that of the whole command.
    """

    def ask(end: Confidence, stop: threading.Event) -> Result | None:
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return None
        if client is not None:
            there = {**question, "confidence": end} if isinstance(question, dict) else question.replaced(confidence=end)
            return client.optimize(there, time_limit_s=left, prune=prune, today=as_of, stop=stop)
        from solver.solve import Options, optimize

        assert not isinstance(question, dict)  # only what is asked of a server is not yet a whole question
        return optimize(
            question.replaced(confidence=end), Options(time_limit_s=left, prune=prune, today=as_of, stop=stop)
        )

    return ask


def _ends(
    result: Result,
    question: Problem | dict[str, Any],
    ask: Callable[[Confidence, threading.Event], Result | None],
    stop: threading.Event,
) -> tuple[Outlook, ...]:
    """Whether the recommendation is the same at the other ends of the workload's intervals."""
    from solver.outlook import outlook

    confidence = question.get("confidence", "expected") if isinstance(question, dict) else question.confidence
    return outlook(result, confidence, lambda end: ask(end, stop))


def _check_batch(saving: Saving, question: Any, result: Result, client: Client | None) -> Problem:
    """The whole question, and a word on a global batch that does not go with the plan before anything is printed."""
    from solver.cli.save import problem_there
    from solver.report.saved.training import accumulation

    problem: Problem = question if client is None else problem_there(client, question)
    if result.plan is not None:
        accumulation(problem, result.plan, saving.global_batch)
    return problem


def _top(problem: Problem, count: int, limit_s: float | None, stop: threading.Event) -> tuple[Alternative, ...] | None:
    """The best plans; None if they were not all proved in time."""
    from solver.batch import OutOfTime, Patience
    from solver.explain import top

    try:
        return top(problem, count, Patience.of(limit_s, stop))
    except OutOfTime:
        return None
