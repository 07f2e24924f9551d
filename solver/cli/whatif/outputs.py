"""What a run shows: progress while it goes, rows and summary when it is over, files of results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from solver.cli.output import console
from solver.domain.language import say


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
    found = matrices_of(store, run, "rig")
    for matrix in found:
        report.print_matrix(matrix, out)
    if not found or len(rows) < report.MOST_ROWS:
        report.print_rows(rows, summary["done"], out)
    report.print_summary(summary, out)
    click.echo(say("kept as run {run_id} in {path}", run_id=run.run_id, path=store.path), err=True)


def matrices_of(store: Any, run: Any, column: str) -> list[Any]:
    """The matrices of a run, cells of a column, where its file sweeps two axes."""
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
            click.echo(say("wrote {target}", target=target), err=True)
