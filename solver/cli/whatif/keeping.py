"""`whatif replay` and `prune`: whether stored answers still hold, and what is no longer kept."""

from __future__ import annotations

import datetime

import click

from solver.cli.params import Whole
from solver.cli.whatif.group import command
from solver.cli.whatif.looking import state_of
from solver.cli.whatif.options import EXIT_BROKEN, STORE, option, store_path
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say


@command.command(
    "replay",
    help=message(
        "Solve stored scenarios again, one by one, on the prices of their day, and compare: exit 3 if any differs."
    ),
)
@click.argument("run_id", metavar="RUN")
@click.argument("scenario", required=False)
@option("--every", type=Whole("N"), default="1", help=message("Only every N-th scenario."))
@STORE
def replay_command(run_id: str, scenario: str | None, every: int, store: str | None) -> int:
    """Solve stored scenarios again, one by one, on the prices of their day, and compare: exit 3 if any differs."""
    if every < 1:
        raise InvalidProblem.of("--every", every, say("must be at least 1"))
    from solver.report.whatif import diff_line
    from solver.sweep.compare import ScenarioDiff, replay
    from solver.sweep.store import Store

    same = different = 0
    with Store(store_path(store), must_exist=True) as opened:
        for found in replay(opened, opened.run(run_id), every, scenario):
            if found.changes:
                different += 1
                click.echo(diff_line(ScenarioDiff(found.name, (), found.changes)))
            else:
                same += 1
    if not same + different:
        raise InvalidProblem.of("scenario", scenario, say("there is no answer of this name to solve again"))
    click.echo(
        say("{same:,} answers are the same to the last figure, {different:,} differ", same=same, different=different)
    )
    return EXIT_BROKEN if different else 0


@command.command("prune", help=message("Delete runs with all their results, by name or by age."))
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@option("--older-than", type=Whole("DAYS"), help=message("All finished runs begun before so many days."))
@STORE
def prune_command(run_ids: tuple[str, ...], older_than: int | None, store: str | None) -> int:
    """Delete runs with all their results, by name or by age."""
    from solver.sweep.store import Store

    if not run_ids and older_than is None:
        raise InvalidProblem.of("prune", None, say("name the runs, or say --older-than DAYS"))
    if older_than is not None and not 0 <= older_than <= 36_500:
        raise InvalidProblem.of("--older-than", older_than, say("must be between 0 and 36,500 days"))
    with Store(store_path(store), must_exist=True) as opened:
        runs = [opened.run(run_id) for run_id in dict.fromkeys(run_ids)]
        if older_than is not None:
            oldest = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=older_than)
            runs += [
                run
                for run in opened.runs()
                if run.state == "finished"
                and datetime.datetime.fromisoformat(run.created_at) < oldest
                and run.run_id not in run_ids
            ]
        for run in runs:
            if state_of(run) == "running":
                raise InvalidProblem.of("run", run.run_id, say("is running; stop it first"))
        for run in runs:
            opened.prune(run)
            click.echo(say("deleted {run_id}", run_id=run.run_id))
        if runs:
            opened.compact()
        else:
            click.echo(say("nothing to delete"))
    return 0
