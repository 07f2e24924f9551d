"""`whatif run` and `whatif resume`: answer what is open of a run, here or at a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from solver.cli.interruption import EXIT_INTERRUPTED, noted, raised
from solver.cli.params import Number
from solver.cli.whatif.group import command
from solver.cli.whatif.looking import state_of
from solver.cli.whatif.options import (
    BASE,
    CATALOG,
    EXECUTOR,
    EXIT_BROKEN,
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    FAIL_FAST,
    FORMAT,
    JOBS,
    OUTPUT,
    PATIENCE,
    QUIET,
    QUOTES,
    RAW,
    SCHEDULER,
    STORE,
    TLS_CA,
    TLS_CERT,
    TLS_KEY,
    checked_patience,
    checked_targets,
    cluster_of,
    jobs_of,
    library_of_options,
    option,
    store_path,
)
from solver.cli.whatif.outputs import Talk, print_run, write_outputs
from solver.domain.errors import InvalidProblem, ServerUnavailable
from solver.domain.language import message, say


@command.command(
    "run",
    help=message("Run all scenarios of FILE (.yaml, .csv, .xlsx, .jsonl); with --server there, and fetch the answers."),
    epilog="Example: solver-cli whatif run scenarios.csv -o results.parquet --jobs 2",
)
@click.argument("file")
@BASE
@CATALOG
@QUOTES
@OUTPUT
@RAW
@JOBS
@EXECUTOR
@SCHEDULER
@TLS_CA
@TLS_CERT
@TLS_KEY
@option("--run-id", metavar="ID", help=message("A name for the run.  [default: file name and time]"))
@STORE
@FAIL_FAST
@option("--time-limit", type=Number("SECONDS"), help=message("Longest search for one scenario."))
@option("--no-frontier", is_flag=True, help=message("Solve also those that one exact frontier would answer."))
@PATIENCE
@QUIET
@FORMAT
def run_command(file: str, run_id: str | None, base: str | None, **options: Any) -> int:
    """Run all scenarios of FILE (.yaml, .csv, .xlsx, .jsonl); with --server there, and fetch the answers."""
    from solver.cli.whatif import remote
    from solver.sweep.file import read
    from solver.sweep.run import Settings, new_run_id, register
    from solver.sweep.store import Store

    limit = options["time_limit"]
    if limit is not None and not 0 < limit <= 10**6:
        raise InvalidProblem.of("--time-limit", limit, say("must be above 0, at most 1,000,000 seconds"))
    client = remote.server_of(click.get_current_context())
    if client is not None:
        checked_patience(options)
        checked_targets(options["outputs"])
        return remote.run(client, file, run_id, base, options)
    settings = Settings(
        jobs=jobs_of(options["jobs"]),
        **cluster_of(options),
        time_limit_s=None if limit is None else float(limit),
        frontiers=not options["no_frontier"],
        fail_fast=options["fail_fast"],
    )
    checked_targets(options["outputs"])
    scenarios, data = read(Path(file), None if base is None else Path(base))
    library = library_of_options(options)
    with Store(store_path(options["store"])) as store:
        run = register(store, run_id or new_run_id(scenarios.name), scenarios, data, library, settings)
        return _drive(store, run, settings, options)


@command.command(
    "resume",
    help=message(
        "Go on with RUN where it stopped; on a finished one only write the results again. With --server come back "
        "to a run there: fetch what is missing, follow it to its end."
    ),
)
@click.argument("run_id", metavar="RUN")
@OUTPUT
@RAW
@JOBS
@EXECUTOR
@SCHEDULER
@TLS_CA
@TLS_CERT
@TLS_KEY
@STORE
@FAIL_FAST
@PATIENCE
@QUIET
@FORMAT
def resume_command(run_id: str, **options: Any) -> int:
    """Go on with RUN where it stopped; on a finished one only write the results again.

    With --server come back to a run there: fetch what is missing, follow it to its end.
    """
    from solver.cli.whatif import remote
    from solver.sweep.run import Settings
    from solver.sweep.store import Store

    checked_targets(options["outputs"])
    client = remote.server_of(click.get_current_context())
    if client is not None:
        checked_patience(options)
        return remote.resume(client, run_id, options)
    settings = Settings(jobs=jobs_of(options["jobs"]), **cluster_of(options), fail_fast=options["fail_fast"])
    with Store(store_path(options["store"]), must_exist=True) as store:
        run = store.run(run_id)
        if state_of(run) == "running":
            click.echo(
                say("note: process {process} seems to be at it as well; no row is stored twice", process=run.process),
                err=True,
            )
        return _drive(store, run, settings, options)


def _drive(store: Any, run: Any, settings: Any, options: dict[str, Any]) -> int:
    """Run what is open, then write, print, and say how it went."""
    from solver.sweep.run import Failed, execute

    talk = Talk(options["quiet"] or options["form"] != "table")
    if not options["quiet"]:
        click.echo(say("run {run_id}: {total:,} scenarios", run_id=run.run_id, total=run.total), err=True)
    stopped: str | None = None
    code = 0
    if run.state != "finished" or store.counts(run).done < run.total:
        # In this process alone a scenario is one long call; elsewhere the run looks up every moment.
        hearing = raised() if settings.executor == "inline" else noted()
        with hearing as stopping, talk:
            try:
                execute(store, run, settings, talk.report, stopping=stopping or _never)
            except KeyboardInterrupt:
                stopped, code = say("interrupted"), EXIT_INTERRUPTED
            except Failed as error:
                stopped, code = say("stopped at the first failure: {error}", error=error), EXIT_FAILED
            except ServerUnavailable as error:
                stopped, code = str(error), EXIT_UNAVAILABLE
    counts = store.counts(run)
    if stopped is not None:
        click.echo(
            say(
                "{stopped}; {done:,} of {total:,} scenarios are stored, go on with: solver-cli whatif resume "
                "{run_id}{option}",
                stopped=stopped,
                done=counts.done,
                total=run.total,
                run_id=run.run_id,
                option=store.option,
            ),
            err=True,
        )
    if not (stopped and code in (EXIT_INTERRUPTED, EXIT_UNAVAILABLE)):
        write_outputs(store, run, options)
        print_run(store, run, options)
    if code:
        return code
    return EXIT_FAILED if counts.failed else EXIT_BROKEN if counts.broken else 0


def _never() -> bool:
    return False
