"""`solver-cli whatif`: files of scenarios, run, resumed, shown, compared.

Exit codes: 0 all answered (also where some are infeasible: that is a result), 3 an expectation does not hold or a
replay differs, 6 some scenarios failed, 2 bad input, 7 the scheduler of a
cluster is gone, 130 interrupted with everything finished kept.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from solver.cli.interruption import EXIT_INTERRUPTED, noted, raised
from solver.cli.output import console
from solver.cli.question import FileName, Number, Whole, library_from, tell
from solver.domain.errors import InvalidProblem, ServerUnavailable
from solver.domain.language import say

REMOTE = ("run", "resume", "status", "list", "show", "cancel")
"""What also a server does; the others work on files and stores here."""
EXIT_BROKEN, EXIT_FAILED, EXIT_UNAVAILABLE = 3, 6, 7


def _option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(*names, **settings)


_STORE = _option("--store", metavar="FILE", help="The run store.  [default: whatif.sqlite in your data directory]")
_OUTPUT = _option(
    "-o", "--output", "outputs", metavar="FILE", multiple=True, help="Write all results: .csv, .jsonl, .parquet, .xlsx."
)
_RAW = _option("--raw-csv", is_flag=True, help="Leave text in CSV as it is, also where a spreadsheet would run it.")
_JOBS = _option("--jobs", "-j", type=Whole("N"), help="Processes.  [default: one for each core]")
_EXECUTOR = _option(
    "--executor",
    type=click.Choice(["local", "inline", "dask"]),
    help="Where to solve.  [default: local; dask with --scheduler]",
)
_SCHEDULER = _option("--scheduler", metavar="ADDRESS", help="A Dask scheduler: tcp://host:port or tls://host:port.")
_TLS_CA = _option("--tls-ca", metavar="FILE", help="For tls://: who signed the cluster's certificates, PEM.")
_TLS_CERT = _option("--tls-cert", metavar="FILE", help="For tls://: your own certificate, PEM.")
_TLS_KEY = _option("--tls-key", metavar="FILE", help="For tls://: its key, PEM.")
_PATIENCE = _option(
    "--patience", type=Number("SECONDS"), default="120", help="With --server, how long it may be away.  [default: 120]"
)
_QUIET = _option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
_FORMAT = _option(
    "--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", help="How to print."
)
_PLAIN_FORMAT = _option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to print.")
_FAIL_FAST = _option("--fail-fast", is_flag=True, help="Stop at the first scenario that fails.")
_CATALOG = _option(
    "--catalog", type=FileName("DIR"), metavar="DIR", multiple=True, help="A folder of your own entries; repeatable."
)
_QUOTES = _option(
    "--quotes", type=FileName(), metavar="FILE", multiple=True, help="Vendors' quotes, CSV or XLSX; repeatable."
)
_BASE = _option("--base", metavar="FILE", help="A problem file that all scenarios change, for tables.")


@click.group(
    "whatif",
    help="Thousands of what-if questions from a file, every answer proved, none lost.",
    epilog="Example: solver-cli whatif run examples/budget-sweep.yaml",
)
def command() -> None:
    """What-if scenarios."""
    from solver.cli.remote import named_on_command_line

    asked = click.get_current_context().invoked_subcommand
    if asked not in REMOTE and named_on_command_line():
        raise click.UsageError(f"--server does not go with whatif {asked}; it goes with {', '.join(REMOTE)}")


@command.command("run", epilog="Example: solver-cli whatif run scenarios.csv -o results.parquet --jobs 2")
@click.argument("file")
@_BASE
@_CATALOG
@_QUOTES
@_OUTPUT
@_RAW
@_JOBS
@_EXECUTOR
@_SCHEDULER
@_TLS_CA
@_TLS_CERT
@_TLS_KEY
@_option("--run-id", metavar="ID", help="A name for the run.  [default: file name and time]")
@_STORE
@_FAIL_FAST
@_option("--time-limit", type=Number("SECONDS"), help="Longest search for one scenario.")
@_option("--no-frontier", is_flag=True, help="Solve also those that one exact frontier would answer.")
@_PATIENCE
@_QUIET
@_FORMAT
def run_command(file: str, run_id: str | None, base: str | None, **options: Any) -> int:
    """Run all scenarios of FILE (.yaml, .csv, .xlsx, .jsonl); with --server there, and fetch the answers."""
    from solver.cli import whatif_remote
    from solver.sweep.file import read
    from solver.sweep.run import Settings, new_run_id, register
    from solver.sweep.store import Store

    limit = options["time_limit"]
    if limit is not None and not 0 < limit <= 10**6:
        raise InvalidProblem.of("--time-limit", limit, "must be above 0, at most 1,000,000 seconds")
    client = whatif_remote.server_of(click.get_current_context())
    if client is not None:
        _checked_patience(options)
        _checked_targets(options["outputs"])
        return whatif_remote.run(client, file, run_id, base, options)
    settings = Settings(
        jobs=_jobs(options["jobs"]),
        **_where(options),
        time_limit_s=None if limit is None else float(limit),
        frontiers=not options["no_frontier"],
        fail_fast=options["fail_fast"],
    )
    _checked_targets(options["outputs"])
    scenarios, data = read(Path(file), None if base is None else Path(base))
    library = library_of_options(options)
    with Store(store_path(options["store"])) as store:
        run = register(store, run_id or new_run_id(scenarios.name), scenarios, data, library, settings)
        return _drive(store, run, settings, options)


@command.command("resume")
@click.argument("run_id", metavar="RUN")
@_OUTPUT
@_RAW
@_JOBS
@_EXECUTOR
@_SCHEDULER
@_TLS_CA
@_TLS_CERT
@_TLS_KEY
@_STORE
@_FAIL_FAST
@_PATIENCE
@_QUIET
@_FORMAT
def resume_command(run_id: str, **options: Any) -> int:
    """Go on with RUN where it stopped; on a finished one only write the results again.

    With --server come back to a run there: fetch what is missing, follow it to its end.
    """
    from solver.cli import whatif_remote
    from solver.sweep.run import Settings
    from solver.sweep.store import Store

    _checked_targets(options["outputs"])
    client = whatif_remote.server_of(click.get_current_context())
    if client is not None:
        _checked_patience(options)
        return whatif_remote.resume(client, run_id, options)
    settings = Settings(jobs=_jobs(options["jobs"]), **_where(options), fail_fast=options["fail_fast"])
    with Store(store_path(options["store"]), must_exist=True) as store:
        run = store.run(run_id)
        if _state(run) == "running":
            click.echo(f"note: process {run.process} seems to be at it as well; no row is stored twice", err=True)
        return _drive(store, run, settings, options)


def _drive(store: Any, run: Any, settings: Any, options: dict[str, Any]) -> int:
    """Run what is open, then write, print, and say how it went."""
    from solver.sweep.run import Failed, execute

    talk = Talk(options["quiet"] or options["form"] != "table")
    if not options["quiet"]:
        click.echo(f"run {run.run_id}: {run.total:,} scenarios", err=True)
    stopped: str | None = None
    code = 0
    if run.state != "finished" or store.counts(run).done < run.total:
        # In this process alone a scenario is one long call; elsewhere the run looks up every moment.
        hearing = raised() if settings.executor == "inline" else noted()
        with hearing as stopping, talk:
            try:
                execute(store, run, settings, talk.report, stopping=stopping or _never)
            except KeyboardInterrupt:
                stopped, code = "interrupted", EXIT_INTERRUPTED
            except Failed as error:
                stopped, code = f"stopped at the first failure: {error}", EXIT_FAILED
            except ServerUnavailable as error:
                stopped, code = str(error), EXIT_UNAVAILABLE
    counts = store.counts(run)
    if stopped is not None:
        click.echo(
            f"{stopped}; {counts.done:,} of {run.total:,} scenarios are stored, "
            f"go on with: solver-cli whatif resume {run.run_id}{store.option}",
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


class Talk:
    """Progress on standard error where somebody watches; nothing when piped."""

    def __init__(self, quiet: bool) -> None:
        self._live: Any = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), transient=True, refresh_per_second=4)

    def __enter__(self) -> Talk:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def report(self, progress: Any) -> None:
        """Show where it stands."""
        if self._live is None:
            return
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        from solver.report.whatif import progress_line

        grid = Table.grid(padding=(0, 1))
        grid.add_row(ProgressBar(progress.total, progress.done, width=30), progress_line(progress))
        self._live.update(grid)


def print_run(store: Any, run: Any, options: dict[str, Any]) -> None:
    """Rows or matrices and the summary of a run, as `--format` says."""
    if options["quiet"]:
        from solver.sweep.summary import first_failed

        for each in first_failed(store, run):
            click.echo(say("failed: {name}: {error}", name=each["name"], error=each["error"]), err=True)
        return
    if options["form"] == "jsonl":
        import json

        from solver.sweep.export import records

        for record in records(store, run):
            click.echo(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        return
    from solver.sweep.summary import summary_of

    summary = summary_of(store, run)
    if options["form"] == "json":
        from solver.report.json_form import dumps

        click.echo(dumps({"run": run.run_id, **summary}))
        return
    from solver.report import whatif as report

    out = console()
    rows = [row for row, _ in zip(store.results(run), range(report.MOST_ROWS), strict=False)]
    found = _matrices(store, run, "rig")
    for matrix in found:
        report.print_matrix(matrix, out)
    if not found or len(rows) < report.MOST_ROWS:
        report.print_rows(rows, summary["done"], out)
    report.print_summary(summary, out)
    click.echo(f"kept as run {run.run_id} in {store.path}", err=True)


def _matrices(store: Any, run: Any, column: str) -> list[Any]:
    from solver.sweep.run import file_of
    from solver.sweep.summary import matrices

    return matrices(store, run, file_of(store, run), column)


def write_outputs(store: Any, run: Any, options: dict[str, Any]) -> None:
    """Write all results to the files of `-o`."""
    if not options["outputs"]:
        return
    from solver.sweep.export import write
    from solver.sweep.run import file_of

    for target in options["outputs"]:
        write(store, run, file_of(store, run), Path(target), options["raw_csv"])
        if not options["quiet"]:
            click.echo(f"wrote {target}", err=True)


def _checked_targets(outputs: tuple[str, ...]) -> None:
    if outputs:
        from solver.sweep.export import checked_target

        for target in outputs:
            checked_target(target)


def library_of_options(options: dict[str, Any]) -> Any:
    """The shipped catalogue with your own folders and quotes laid over it; the run keeps it as it is now."""
    library = library_from(options)
    if not options["quotes"]:
        return library
    from dataclasses import replace

    from solver.catalog.quotes import read_quotes, with_quotes

    quotes = read_quotes(map(Path, options["quotes"]), library.catalog)
    tell(quotes.notes)
    return replace(library, catalog=with_quotes(library.catalog, quotes))


def _checked_patience(options: dict[str, Any]) -> None:
    if not 0 <= options["patience"] <= 10**6:
        raise InvalidProblem.of("--patience", options["patience"], "must be between 0 and 1,000,000 seconds")
    options["patience"] = float(options["patience"])


def _jobs(given: int | None) -> int:
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= given <= 1024:
        raise InvalidProblem.of("--jobs", given, "must be between 1 and 1,024")
    return given


def _where(options: dict[str, Any]) -> dict[str, Any]:
    """The executor, and for a cluster where it is; asked before anything is read or registered."""
    cluster = {name: options[name] or "" for name in ("scheduler", "tls_ca", "tls_cert", "tls_key")}
    executor = options["executor"] or ("dask" if cluster["scheduler"] else "local")
    if executor != "dask":
        for name, value in cluster.items():
            if value:
                raise InvalidProblem.of(f"--{name.replace('_', '-')}", value, "goes with --executor dask only")
        return {"executor": executor}
    from solver.sweep.cluster import check_cluster

    check_cluster(**cluster)
    return {"executor": executor, "cluster": cluster}


def store_path(given: str | None) -> Path:
    """The run store of `--store`, or the user's own."""
    from solver.sweep.store import default_path

    return default_path() if given is None else Path(given)


def _state(run: Any) -> str:
    from solver.sweep.run import is_alive

    return "stopped" if run.state == "running" and not is_alive(run) else str(run.state)


@command.command("status")
@click.argument("run_id", metavar="[RUN]", required=False)
@_STORE
@_PLAIN_FORMAT
def status_command(run_id: str | None, store: str | None, form: str) -> int:
    """How far RUN is (default: the latest), and how to go on."""
    from solver.cli import whatif_remote
    from solver.sweep.store import Store

    client = whatif_remote.server_of(click.get_current_context())
    if client is not None:
        return whatif_remote.status(client, run_id, form)
    with Store(store_path(store), must_exist=True) as opened:
        runs = opened.runs()
        if not runs:
            raise InvalidProblem.of("store", str(opened.path), "has no runs yet")
        run = runs[0] if run_id is None else opened.run(run_id)
        counts, state = opened.counts(run), _state(run)
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
            click.echo(f"go on with: solver-cli whatif resume {run.run_id}{opened.option}")
        return 0


@command.command("list")
@_STORE
@_PLAIN_FORMAT
def list_command(store: str | None, form: str) -> int:
    """All runs of the store, or of a server, latest first."""
    from solver.cli import whatif_remote
    from solver.sweep.store import Store

    client = whatif_remote.server_of(click.get_current_context())
    if client is not None:
        return whatif_remote.list_runs(client, form)
    with Store(store_path(store), must_exist=True) as opened:
        runs = [(run, _state(run), opened.counts(run)) for run in opened.runs()]
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


@command.command("show")
@click.argument("run_id", metavar="RUN")
@click.argument("scenario", required=False)
@_option("--matrix", "column", metavar="COLUMN", help="Two-axis sweeps as a matrix of this column, or of rig.")
@_STORE
@_FORMAT
def show_command(run_id: str, scenario: str | None, column: str | None, store: str | None, form: str) -> int:
    """The summary of RUN, or everything stored of one SCENARIO. With --server what is ready is fetched first."""
    from solver.cli import whatif_remote
    from solver.sweep.store import Store

    client = whatif_remote.server_of(click.get_current_context())
    if client is not None:
        whatif_remote.fetch(client, run_id, store)
    with Store(store_path(store), must_exist=True) as opened:
        run = opened.run(run_id)
        if scenario is not None:
            return _show_one(opened, run, scenario, form)
        if column is not None:
            return _show_matrix(opened, run, column, form)
        print_run(opened, run, {"quiet": False, "form": form})
        return 0


@command.command("cancel")
@click.argument("run_id", metavar="RUN")
def cancel_command(run_id: str) -> int:
    """End RUN at the server for good; answers there are stay. A run here is ended by Ctrl-C."""
    from solver.cli import whatif_remote

    client = whatif_remote.server_of(click.get_current_context())
    if client is None:
        raise click.UsageError("cancel ends runs of a server: name it with --server; a run here is ended by Ctrl-C")
    return whatif_remote.cancel(client, run_id)


def _show_one(store: Any, run: Any, name: str, form: str) -> int:
    row = next(store.results(run, "name = ?", (name,)), None)
    if row is None:
        raise InvalidProblem.of("scenario", name, f"run {run.run_id} has no result of this name")
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
        raise InvalidProblem.of("--matrix", column, "no such column" + nearest(column, [RIG, *KINDS]))
    found = _matrices(store, run, column)
    if not found:
        raise InvalidProblem.of("--matrix", column, "the run has no sweep along exactly two axes")
    for matrix in found:
        if form == "table":
            from solver.report.whatif import print_matrix

            print_matrix(matrix, console())
        else:
            from solver.report.json_form import dumps

            click.echo(dumps(matrix_lines(matrix)))
    return 0


@command.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@_STORE
@_PLAIN_FORMAT
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
        click.echo(f"{answers:,} scenarios have another answer, {differing - answers:,} another question only")
    return 0


@command.command("replay")
@click.argument("run_id", metavar="RUN")
@click.argument("scenario", required=False)
@_option("--every", type=Whole("N"), default="1", help="Only every N-th scenario.")
@_STORE
def replay_command(run_id: str, scenario: str | None, every: int, store: str | None) -> int:
    """Solve stored scenarios again, one by one, on the prices of their day, and compare: exit 3 if any differs."""
    if every < 1:
        raise InvalidProblem.of("--every", every, "must be at least 1")
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
        raise InvalidProblem.of("scenario", scenario, "there is no answer of this name to solve again")
    click.echo(f"{same:,} answers are the same to the last figure, {different:,} differ")
    return EXIT_BROKEN if different else 0


@command.command("prune")
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@_option("--older-than", type=Whole("DAYS"), help="All finished runs begun before so many days.")
@_STORE
def prune_command(run_ids: tuple[str, ...], older_than: int | None, store: str | None) -> int:
    """Delete runs with all their results, by name or by age."""
    from solver.sweep.store import Store

    if not run_ids and older_than is None:
        raise InvalidProblem.of("prune", None, "name the runs, or say --older-than DAYS")
    if older_than is not None and not 0 <= older_than <= 36_500:
        raise InvalidProblem.of("--older-than", older_than, "must be between 0 and 36,500 days")
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
            if _state(run) == "running":
                raise InvalidProblem.of("run", run.run_id, "is running; stop it first")
        for run in runs:
            opened.prune(run)
            click.echo(f"deleted {run.run_id}")
        if runs:
            opened.compact()
        else:
            click.echo("nothing to delete")
    return 0


@command.command("validate")
@click.argument("file")
@_BASE
@_CATALOG
@_QUOTES
@_option("--first", type=Whole("N"), default="100000", help="Expand and check at most so many scenarios.")
def validate_command(file: str, base: str | None, first: int, **options: Any) -> int:
    """Check FILE and every scenario in it without solving anything; exit 2 and name what is wrong."""
    from solver.sweep.expand import checked
    from solver.sweep.file import read
    from solver.sweep.questions import Questions

    scenarios, _ = read(Path(file), None if base is None else Path(base))
    try:
        questions = Questions(library_of_options(options), dict(scenarios.question))
    except InvalidProblem as error:
        raise scenarios.located(error) from None
    seen = bad = 0
    for name, fault in checked(scenarios, questions, first):
        seen += 1
        if fault:
            bad += 1
            if bad <= 50:
                click.echo(f"{name}: {fault}", err=True)
    more = f" (of {scenarios.total:,})" if seen < scenarios.total else ""
    click.echo(
        f"{scenarios.name}: {seen:,} scenarios{more}, {bad:,} bad; changes {', '.join(scenarios.paths) or 'nothing'}"
    )
    return 2 if bad else 0


@command.command("schema")
def schema_command() -> int:
    """Print the JSON Schema of scenario files, for editors."""
    from solver.report.json_form import dumps
    from solver.sweep.schema import schema

    click.echo(dumps(schema()))
    return 0


@command.command("init")
@click.argument("file", required=False)
def init_command(file: str | None) -> int:
    """Write a commented example to FILE, or print it."""
    from solver.sweep.schema import TEMPLATE

    if file is None:
        click.echo(TEMPLATE, nl=False)
        return 0
    try:
        with Path(file).open("x", encoding="utf-8") as target:
            target.write(TEMPLATE)
    except FileExistsError:
        raise InvalidProblem.of("file", file, "exists already, and is left as it is") from None
    except OSError as error:
        raise InvalidProblem.of("file", file, f"cannot be written: {error.strerror}") from None
    click.echo(f"wrote {file}; check it with: solver-cli whatif validate {file}", err=True)
    return 0
