"""`solver-cli --server HOST:PORT whatif ...`: the same runs, driven by a server; the same output, from your own store.

A run is followed into the run store here, so that what is printed and written is what a run of one's own would give.
Ctrl-C leaves the run going at the server.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from solver.cli.interruption import EXIT_INTERRUPTED, noted
from solver.cli.output import console
from solver.cli.remote import Server, remote
from solver.cli.whatif.options import EXIT_BROKEN, EXIT_FAILED, library_of_options, store_path
from solver.cli.whatif.outputs import Talk, print_run, write_outputs
from solver.domain.errors import InvalidProblem, ServerUnavailable
from solver.domain.language import say

if TYPE_CHECKING:
    from solver.client import Client
    from solver.sweep.file import ScenarioFile
    from solver.sweep.follow import RunStatus

EXIT_UNAVAILABLE = 7
_FIRST_S = 5.0
"""How long the first word of a server is waited for, beyond the client's own retries."""
_LOCAL = ("jobs", "executor", "fail_fast", "scheduler", "tls_ca", "tls_cert", "tls_key")
"""Options that say how to solve here."""


def server_of(ctx: click.Context) -> Client | None:
    """The client of the server that was named; None where there is none.

    Raises:
        UsageError: an option of this command says how to solve here.
    """
    client = remote()
    if client is None:
        return None
    for name in _LOCAL:
        if name in ctx.params and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                say("{option} does not go with --server: the server decides how to solve", option=option)
            )
    return client


def run(client: Client, file: str, run_id: str | None, base: str | None, options: dict[str, Any]) -> int:
    """Submit FILE and follow the run."""
    from solver.sweep.file import read

    limit = options["time_limit"]
    scenarios, data = read(Path(file), None if base is None else Path(base))
    library = library_of_options(options) if options["catalog"] or options["quotes"] else None
    request_id = uuid.uuid4().hex  # the same for every try: no try begins a second run

    def submit() -> RunStatus:
        return client.submit_scenarios(
            scenarios.name,
            data,
            request_id=request_id,
            run_id=run_id,
            base=dict(scenarios.question) if scenarios.question or library is not None else None,
            library=library,
            time_limit_s=None if limit is None else float(limit),
            frontiers=False if options["no_frontier"] else None,
        )

    try:
        status = _patient(submit, options["patience"])
    except InvalidProblem as error:
        raise _located(scenarios, error) from None
    return _follow(client, status.run_id, status.total, options)


def resume(client: Client, run_id: str, options: dict[str, Any]) -> int:
    """Come back to a run: fetch what is missing, then print and write as `run` does."""
    return _follow(client, run_id, None, options)


def _follow(client: Client, run_id: str, total: int | None, options: dict[str, Any]) -> int:
    from solver.sweep.follow import follow, mirrored
    from solver.sweep.store import Store

    quiet = options["quiet"]
    if not quiet and total is not None:
        click.echo(
            say("run {run_id}: {total:,} scenarios at {address}", run_id=run_id, total=total, address=_address()),
            err=True,
        )
    status: RunStatus | None = None
    stopped, code = "", 0
    with Store(store_path(options["store"])) as store:
        talk = Talk(quiet or options["form"] != "table")
        try:
            # Noted, not raised: struck in the middle of a call, gRPC would wait for ever for it when it closes.
            with noted() as stopping, talk:
                own = _patient(lambda: mirrored(store, client, run_id), options["patience"])
                status = follow(store, own, client, talk.report, options["patience"], stopping=stopping)
        except KeyboardInterrupt:
            stopped, code = say("interrupted here; the run goes on at the server"), EXIT_INTERRUPTED
        except ServerUnavailable as error:
            stopped, code = say("{error}; the run goes on when the server does", error=error), EXIT_UNAVAILABLE
        if stopped:
            click.echo(
                say("{stopped}\n{ways_back}", stopped=stopped, ways_back=_ways_back(run_id, options["store"])), err=True
            )
            return code
        assert status is not None
        write_outputs(store, own, options)
        print_run(store, own, options)
        counts = store.counts(own)
    if status.state != "finished":
        told = say("it was cancelled")
        if status.state == "failed":
            told = say("the server gave it up: {error}", error=status.error)
        click.echo(
            say(
                "run {run_id} has {done:,} of {total:,} answers: {told}",
                run_id=run_id,
                done=counts.done,
                total=status.total,
                told=told,
            ),
            err=True,
        )
        return EXIT_FAILED
    return EXIT_FAILED if counts.failed else EXIT_BROKEN if counts.broken else 0


def status(client: Client, run_id: str | None, form: str) -> int:
    """How far a run of the server is."""
    if run_id is None:
        found = next(client.list_runs(), None)
        if found is None:
            raise InvalidProblem.of("server", _address(), say("has no runs yet"))
    else:
        found = client.get_run(run_id)
    if form == "json":
        from solver.report.json_form import dumps

        told = {"run": found.run_id, "state": found.state, "total": found.total, "done": found.done}
        click.echo(dumps({**told, "failed": found.failed, "infeasible": found.infeasible, "broken": found.broken}))
        return 0
    _print_runs([found])
    if found.error:
        click.echo(say("given up: {error}", error=found.error))
    click.echo(_ways_back(found.run_id, None, found.state == "running"))
    return 0


def list_runs(client: Client, form: str) -> int:
    """All runs of the server, latest first."""
    runs = list(client.list_runs())
    if form == "json":
        from solver.report.json_form import dumps

        told = [
            {"run": run.run_id, "file": run.file_name, "state": run.state, "total": run.total, "done": run.done}
            | {"failed": run.failed, "created_at": run.created_at, "requested_by": run.requested_by}
            for run in runs
        ]
        click.echo(dumps(told))
    else:
        _print_runs(runs)
    return 0


def fetch(client: Client, run_id: str, store: str | None) -> None:
    """Fetch what is ready of a run into the store here."""
    from solver.sweep.follow import follow, mirrored
    from solver.sweep.store import Store

    with Store(store_path(store)) as opened:
        follow(opened, mirrored(opened, client, run_id), client, wait=False)


def cancel(client: Client, run_id: str) -> int:
    """End a run of the server for good."""
    found = client.cancel_run(run_id)
    if found.state == "cancelled":
        click.echo(
            say(
                "cancelled {run_id}: {done:,} of {total:,} scenarios have an answer, and keep it",
                run_id=run_id,
                done=found.done,
                total=found.total,
            )
        )
    else:
        click.echo(
            say(
                "{run_id} is over already: {state}, {done:,} of {total:,} scenarios",
                run_id=run_id,
                state=found.state,
                done=found.done,
                total=found.total,
            )
        )
    return 0


def _print_runs(runs: list[RunStatus]) -> None:
    from solver.report.whatif import print_runs

    print_runs([(run.as_run(), run.state, run.counts) for run in runs], console())


def _patient(call: Callable[[], Any], patience_s: float) -> Any:
    """Try again while the server is away; not for long, as the address may be wrong."""
    until, pause_s = time.monotonic() + min(patience_s, _FIRST_S), 0.2
    while True:
        try:
            return call()
        except ServerUnavailable as error:
            if time.monotonic() + pause_s > until or not error.passing:
                raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 3.0)


def _located(file: ScenarioFile, error: InvalidProblem) -> InvalidProblem:
    """The server's faults of the base question with their line here, as a run here would tell them."""
    from solver.domain.errors import Violation

    inside = [v for v in error.violations if v.field.startswith("base.")]
    if len(inside) < len(error.violations):
        return error
    return file.located(type(error)(Violation(v.field.removeprefix("base."), v.value, v.allowed) for v in inside))


def _address() -> str:
    server = click.get_current_context().find_root().obj
    return server.address if isinstance(server, Server) else ""


def _ways_back(run_id: str, store: str | None, running: bool = True) -> str:
    """How to come back to a run, and how to end it."""
    begin = f"solver-cli --server {_address()} whatif"
    given = f" --store {store}" if store else ""
    if not running:
        return say("fetch its results with: {command}", command=f"{begin} resume {run_id}{given}")
    back = say("come back with: {command}", command=f"{begin} resume {run_id}{given}")
    return back + "\n" + say("end it with:    {command}", command=f"{begin} cancel {run_id}")
