"""`solver-cli report`: a page to read, print and hand on, of a saved answer or of a run of what-if scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from solver.cli.params import FileName
from solver.cli.speech import SpokenCommand, SpokenOption
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say

if TYPE_CHECKING:
    from solver.report.document import Report


@click.command(
    "report",
    cls=SpokenCommand,
    help=message("Write a report of SOURCE: a folder that `optimize --save` wrote, or a run of `whatif` by its name."),
    epilog="Examples: solver-cli report plan-300k -o report.html ; "
    "solver-cli report plan-300k -o report.md --charts charts ; "
    "solver-cli report budget-sweep-20261125-101500 -o sweep.html --interactive",
)
@click.argument("source", metavar="SOURCE")
@click.option(
    "-o",
    "--output",
    "outputs",
    cls=SpokenOption,
    metavar="FILE",
    multiple=True,
    help=message("Where to: .html or .md; repeatable."),
)
@click.option(
    "--charts",
    cls=SpokenOption,
    type=FileName("DIR"),
    metavar="DIR",
    help=message("Also write each chart as an SVG file into DIR."),
)
@click.option(
    "--interactive",
    cls=SpokenOption,
    is_flag=True,
    help=message("Add a script to the page: words where one points, filters."),
)
@click.option(
    "--store",
    cls=SpokenOption,
    metavar="FILE",
    help=message("The run store.  [default: whatif.sqlite in your data directory]"),
)
@click.option("--quiet", "-q", cls=SpokenOption, is_flag=True, help=message("Say nothing but errors."))
def command(
    source: str, outputs: tuple[str, ...], charts: str | None, interactive: bool, store: str | None, quiet: bool
) -> int:
    """Write a report."""
    if not outputs and charts is None:
        raise InvalidProblem.of("--output", None, say("say where to, such as -o report.html, or --charts DIR"))
    from solver.report.document.files import checked_output, write_charts, write_report
    from solver.report.saved.layout import today

    paths = [checked_output(text) for text in outputs]
    report, written = _report(source, store), today().isoformat()
    made = []
    for path in paths:
        write_report(report, path, written, interactive)
        made.append(str(path))
    if charts is not None:
        made += map(str, write_charts(report, Path(charts)))
    if not quiet:
        for name in made:
            click.echo(say("wrote {name}", name=name), err=True)
    return 0


def _report(source: str, store: str | None) -> Report:
    """The report of a folder; where there is none of this name, of a run."""
    from solver.report.document import answer_report, run_report

    if Path(source).is_dir():
        from solver.report.saved import load

        return answer_report(load(Path(source)))
    from solver.sweep.store import Store, default_path

    path = default_path() if store is None else Path(store)
    if not path.is_file():
        raise InvalidProblem.of("SOURCE", source, say("is no folder, and there are no runs in {path}", path=path))
    from solver.sweep.run import file_of
    from solver.sweep.story import story_of

    with Store(path, must_exist=True) as opened:
        run = opened.run(source)
        return run_report(story_of(opened, run, file_of(opened, run)))
