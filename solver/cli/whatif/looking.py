"""`whatif status`, `list`, `show`, `diff` and `cancel`: what became of runs, here or at a server."""

from __future__ import annotations

from typing import Any

import click

from solver.cli.output import console
from solver.cli.whatif.group import command
from solver.cli.whatif.options import FORMAT, PLAIN_FORMAT, STORE, option, store_path
from solver.cli.whatif.outputs import matrices_of, print_run
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say


def state_of(run: Any) -> str:
    """The state of a run; `stopped` where nobody is at one that was running."""
    from solver.sweep.run import is_alive

    return "stopped" if run.state == "running" and not is_alive(run) else str(run.state)


@command.command("status", help=message("How far RUN is (default: the latest), and how to go on."))
@click.argument("run_id", metavar="[RUN]", required=False)
@STORE
@PLAIN_FORMAT
def status_command(run_id: str | None, store: str | None, form: str) -> int:
    """How far RUN is (default: the latest), and how to go on."""
    from solver.cli.whatif import remote
    from solver.sweep.store import Store

    client = remote.server_of(click.get_current_context())
    if client is not None:
        return remote.status(client, run_id, form)
    with Store(store_path(store), must_exist=True) as opened:
        runs = opened.runs()
        if not runs:
            raise InvalidProblem.of("store", str(opened.path), say("has no runs yet"))
        run = runs[0] if run_id is None else opened.run(run_id)
        counts, state = opened.counts(run), state_of(run)
        if form == "json":
            from solver.report.json_form import dumps

            told = {"run": run.run_id, "state": state, "total": run.total, "done": counts.done}
            click.echo(
                dumps({**told, "failed": counts.failed, "infeasible": counts.infeasible, "broken": counts.broken})
            )
            return 0
        from solver.report.whatif import print_runs

        print_runs([(run, state, counts)], console())
        if counts.done < run.total and state != "running":
            click.echo(
                say("go on with: solver-cli whatif resume {run_id}{option}", run_id=run.run_id, option=opened.option)
            )
        return 0


@command.command("list", help=message("All runs of the store, or of a server, latest first."))
@STORE
@PLAIN_FORMAT
def list_command(store: str | None, form: str) -> int:
    """All runs of the store, or of a server, latest first."""
    from solver.cli.whatif import remote
    from solver.sweep.store import Store

    client = remote.server_of(click.get_current_context())
    if client is not None:
        return remote.list_runs(client, form)
    with Store(store_path(store), must_exist=True) as opened:
        runs = [(run, state_of(run), opened.counts(run)) for run in opened.runs()]
    if form == "json":
        from solver.report.json_form import dumps

        told = [
            {"run": run.run_id, "file": run.input_name, "state": state, "total": run.total, "done": counts.done}
            | {"failed": counts.failed, "created_at": run.created_at, "requested_by": run.requested_by}
            for run, state, counts in runs
        ]
        click.echo(dumps(told))
    else:
        from solver.report.whatif import print_runs

        print_runs(runs, console())
    return 0


@command.command(
    "show",
    help=message(
        "The summary of RUN, or everything stored of one SCENARIO. With --server what is ready is fetched first."
    ),
)
@click.argument("run_id", metavar="RUN")
@click.argument("scenario", required=False)
@option("--matrix", "column", metavar="COLUMN", help=message("Two-axis sweeps as a matrix of this column, or of rig."))
@STORE
@FORMAT
def show_command(run_id: str, scenario: str | None, column: str | None, store: str | None, form: str) -> int:
    """The summary of RUN, or everything stored of one SCENARIO. With --server what is ready is fetched first."""
    from solver.cli.whatif import remote
    from solver.sweep.store import Store

    client = remote.server_of(click.get_current_context())
    if client is not None:
        remote.fetch(client, run_id, store)
    with Store(store_path(store), must_exist=True) as opened:
        run = opened.run(run_id)
        if scenario is not None:
            return _show_one(opened, run, scenario, form)
        if column is not None:
            return _show_matrix(opened, run, column, form)
        print_run(opened, run, {"quiet": False, "form": form})
        return 0


@command.command(
    "cancel", help=message("End RUN at the server for good; answers there are stay. A run here is ended by Ctrl-C.")
)
@click.argument("run_id", metavar="RUN")
def cancel_command(run_id: str) -> int:
    """End RUN at the server for good; answers there are stay. A run here is ended by Ctrl-C."""
    from solver.cli.whatif import remote

    client = remote.server_of(click.get_current_context())
    if client is None:
        raise click.UsageError(
            say("cancel ends runs of a server: name it with --server; a run here is ended by Ctrl-C")
        )
    return remote.cancel(client, run_id)


def _show_one(store: Any, run: Any, name: str, form: str) -> int:
    row = next(store.results(run, "name = ?", (name,)), None)
    if row is None:
        raise InvalidProblem.of("scenario", name, say("run {run_id} has no result of this name", run_id=run.run_id))
    if form == "table":
        from solver.report.whatif import print_row

        print_row(row, console())
    else:
        import json

        from solver.report.json_form import dumps

        click.echo(dumps({**row, "changes": json.loads(row["changes"]), "answer": json.loads(row["answer"] or "null")}))
    return 0


def _show_matrix(store: Any, run: Any, column: str, form: str) -> int:
    from solver.domain.errors import nearest
    from solver.sweep.columns import KINDS
    from solver.sweep.export import matrix_lines
    from solver.sweep.summary import RIG

    if column != RIG and column not in KINDS:
        raise InvalidProblem.of("--matrix", column, say("no such column") + nearest(column, [RIG, *KINDS]))
    found = matrices_of(store, run, column)
    if not found:
        raise InvalidProblem.of("--matrix", column, say("the run has no sweep along exactly two axes"))
    for matrix in found:
        if form == "table":
            from solver.report.whatif import print_matrix

            print_matrix(matrix, console())
        else:
            from solver.report.json_form import dumps

            click.echo(dumps(matrix_lines(matrix)))
    return 0


@command.command(
    "diff",
    help=message("What changed from run A to run B: prices, limits, and the answers of scenarios of the same name."),
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@STORE
@PLAIN_FORMAT
def diff_command(before: str, after: str, store: str | None, form: str) -> int:
    """What changed from run A to run B: prices, limits, and the answers of scenarios of the same name."""
    from solver.sweep.compare import question_changes, scenario_changes
    from solver.sweep.store import Store

    with Store(store_path(store), must_exist=True) as opened:
        a, b = opened.run(before), opened.run(after)
        asked = question_changes(opened, a, b)
        if form == "json":
            from dataclasses import asdict

            from solver.report.json_form import dumps

            scenarios = [asdict(diff) for diff in scenario_changes(opened, a, b)]
            click.echo(dumps({"question": [asdict(change) for change in asked], "scenarios": scenarios}))
            return 0
        from solver.report.whatif import diff_line, print_changes

        print_changes(asked, console())
        differing = answers = 0
        for diff in scenario_changes(opened, a, b):
            differing += 1
            answers += bool(diff.answer)
            click.echo(diff_line(diff))
        click.echo(
            say(
                "{answers:,} scenarios have another answer, {differing:,} another question only",
                answers=answers,
                differing=differing - answers,
            )
        )
    return 0
