"""`optimize --save DIR`: explain the answer, draw its trade-off curve, check everything again, and write the folder."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solver.cli.output import interruptible
from solver.cli.params import FileName, GroupedOption, Whole
from solver.domain.errors import Interrupted, InvalidProblem, SolverFailure
from solver.domain.language import language, message, say

if TYPE_CHECKING:
    from solver.client import Client
    from solver.domain.explanation import Alternative, Explanation, Frontier
    from solver.domain.plan import Result
    from solver.domain.problem import Problem

DEFAULT_TOP = 5
MOST_GLOBAL_BATCH = 10**9
Wait = float | None
Stop = threading.Event


def save_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a saved answer."""
    section = message("Saved answer")
    for names, settings in reversed(
        (
            (
                ("--save",),
                {
                    "type": FileName("DIR"),
                    "metavar": "DIR",
                    "help": message(
                        "Write a folder to act on: plan, reasons, order list, DeepSpeed config, power limits."
                    ),
                },
            ),
            (
                ("--global-batch",),
                {"type": Whole("N"), "help": message("Samples per training step wanted, by gradient accumulation.")},
            ),
            (("--force",), {"is_flag": True, "help": message("Replace what --save wrote into DIR before.")}),
        )
    ):
        function = click.option(*names, cls=GroupedOption, section=section, **settings)(function)
    return function


@dataclass(frozen=True)
class Saving:
    """Where an answer is saved, for which global batch, and the day against which its prices age."""

    folder: Path
    force: bool
    global_batch: int | None
    as_of: datetime.date


def saving_of(options: dict[str, Any]) -> Saving | None:
    """Take the options of a saved answer out of all options; None where nothing is to be saved.

    Raises:
        InvalidProblem: they do not go together, or the folder cannot be written.
    """
    save, force, global_batch = (options.pop(name) for name in ("save", "force", "global_batch"))
    if save is None:
        if force or global_batch is not None:
            flag = "--force" if force else "--global-batch"
            raise InvalidProblem.of(flag, None, say("goes with --save DIR"))
        return None
    if global_batch is not None and not 1 <= global_batch <= MOST_GLOBAL_BATCH:
        allowed = say("must be between 1 and {most:,}", most=MOST_GLOBAL_BATCH)
        raise InvalidProblem.of("--global-batch", global_batch, allowed)
    from solver.report.saved.layout import today
    from solver.report.saved.write import check_target

    folder = Path(save)
    check_target(folder, force)
    return Saving(folder, force, global_batch, today())


@dataclass(frozen=True)
class Reasons:
    """How an answer is explained and its curve drawn, here or by a server: (seconds left, stop) -> record."""

    explain: Callable[[Wait, Stop], Explanation]
    frontier: Callable[[Wait, Stop], Frontier]


def reasons_here(problem: Problem, top: int | None, as_of: datetime.date) -> Reasons:
    """Reasons found in this process."""
    from solver.batch import Patience
    from solver.explain import ExplainOptions, explain
    from solver.frontier import frontier

    return Reasons(
        lambda left, stop: explain(problem, ExplainOptions(top or DEFAULT_TOP, left, as_of, stop)),
        lambda left, stop: frontier(problem, _axes(problem), None, Patience.of(left, stop)),
    )


def reasons_there(client: Client, question: Any, problem: Problem, top: int | None, as_of: datetime.date) -> Reasons:
    """Reasons found by a server."""
    return Reasons(
        lambda left, stop: client.explain(question, top=top or DEFAULT_TOP, time_limit_s=left, today=as_of, stop=stop),
        lambda left, stop: client.frontier(question, _axes(problem), time_limit_s=left, stop=stop),
    )


def _axes(problem: Problem) -> Any:
    return ("cost", "batch" if problem.goal == "cost" else problem.goal)


def problem_there(client: Client, question: Any) -> Problem:
    """The whole problem that a question is on the server: laid over the server's own catalogue.

    Raises:
        InvalidProblem: the question is wrong.
    """
    from solver.catalog import resolve
    from solver.domain.problem import Problem as Whole

    return question if isinstance(question, Whole) else resolve(question, client.library())


def save(
    saving: Saving,
    problem: Problem,
    result: Result,
    reasons: Reasons,
    *,
    top: tuple[Alternative, ...] | None,
    top_asked: bool,
    until: float | None,
    interrupted: bool,
) -> bool:
    """Write the folder.

    Args:
        saving: where to.
        problem: the question.
        result: its answer; every file is made from it.
        reasons: how to explain it.
        top: the best plans of --top.
        top_asked: whether they were asked for.
        until: when to stop, of `time.monotonic`; None for no limit.
        interrupted: whether somebody has asked to stop already; then the answer is saved as it is.

    Returns:
        Whether somebody asked to stop.

    Raises:
        InvalidProblem: the folder cannot be written.
        SolverFailure: what was to be written does not survive its own check.
    """
    from solver.batch import TooManyPairs
    from solver.domain.explanation import Explanation
    from solver.domain.problem import catalog_digest
    from solver.report.saved import Saved
    from solver.report.saved.artefacts import artefacts
    from solver.report.saved.verify import verify_files
    from solver.report.saved.write import write

    hashes = result.fingerprint
    if (hashes.problem_sha256, hashes.catalog_sha256) != (problem.digest, catalog_digest(problem.catalog)):
        raise SolverFailure("the answer is to another question than the one that is saved")
    explanation = Explanation(result=result, complete=False)
    frontier = None
    if not interrupted and result.status in ("optimal", "infeasible"):
        try:
            found, interrupted = interruptible(lambda stop: reasons.explain(_left(until), stop))
            if (found.result.status, found.result.plan) == (result.status, result.plan):
                explanation = found.model_copy(update={"result": result})  # one answer, with one set of statistics
            elif found.complete:
                raise SolverFailure("the explanation is of another answer")
            if result.plan is not None and not interrupted:
                frontier, interrupted = interruptible(lambda stop: reasons.frontier(_left(until), stop))
        except Interrupted:
            interrupted = True
        except TooManyPairs as error:
            click.echo(say("note: saved without reasons: {error}", error=error), err=True)
    saved = Saved(
        problem=problem,
        result=result,
        explanation=explanation,
        frontier=frontier,
        top=top,
        top_asked=top_asked,
        as_of=saving.as_of,
        global_batch=saving.global_batch if result.plan is not None else None,
        language=language(),
    )
    files = artefacts(saved)
    verdict = verify_files(files)
    if verdict.faults:
        raise SolverFailure(f"what was to be saved does not survive its check: {verdict.faults[0]}")
    kept = write(files, saving.folder, saving.force)
    for name in kept:
        click.echo(say("note: kept what was not written by --save: {name}", name=name), err=True)
    click.echo(say("saved: {folder} ({count} files)", folder=saving.folder, count=len(files)), err=True)
    return interrupted


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())
