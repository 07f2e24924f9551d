"""`solver-cli verify DIR`: is a saved answer what follows from its question? Plain arithmetic, no solver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from solver.cli.output import FORMAT_HELP
from solver.cli.params import FileName, GroupedCommand, GroupedOption
from solver.domain.language import language, message, say, say_many, speaking

if TYPE_CHECKING:
    from solver.report.saved.verify import Verdict

MOST_FAULTS = 20


@click.command(
    "verify",
    cls=GroupedCommand,
    help=message(
        "Check a saved answer by plain arithmetic, without the solver: every figure that is off is named. Exit 0: "
        "it holds; 3: something is off; 2: it cannot be read."
    ),
    epilog="Examples: solver-cli verify rig ; solver-cli verify rig --format json",
)
@click.argument("folder", type=FileName("DIR"), metavar="DIR")
@click.option(
    "--format",
    "form",
    cls=GroupedOption,
    type=click.Choice(["table", "json"]),
    default="table",
    help=FORMAT_HELP,
)
def command(folder: str, form: str) -> int:
    """Check a saved answer."""
    from solver.report.saved.verify import verify

    with speaking("en" if form == "json" else language()):  # programs are spoken to in one language
        verdict = verify(Path(folder))
    if form == "json":
        from solver.report.json_form import SCHEMA_VERSION, dumps

        click.echo(
            dumps(
                {
                    "schema_version": SCHEMA_VERSION,
                    "status": "off" if verdict.faults else "holds",
                    "answer": verdict.status,
                    "figures": verdict.figures,
                    "files": list(verdict.files),
                    "faults": [fault.model_dump() for fault in verdict.faults],
                    "notes": list(verdict.notes),
                    "not_proved": list(verdict.not_proved),
                }
            )
        )
    else:
        _print(verdict)
    return 3 if verdict.faults else 0


def _print(verdict: Verdict) -> None:
    faults = verdict.faults
    if faults:
        click.echo(say_many("off: {count} figure", "off: {count} figures", len(faults)))
        for fault in faults[:MOST_FAULTS]:
            click.echo(f"  {_one_line(str(fault))}")
        if len(faults) > MOST_FAULTS:
            click.echo(say("  and {count} more", count=len(faults) - MOST_FAULTS))
    else:
        files, figures = len(verdict.files), f"{verdict.figures:,}"
        click.echo(say("holds: {figures} figures in {files} files, each derived again", figures=figures, files=files))
    for note in verdict.notes:
        click.echo(say("note: {note}", note=_one_line(note)))
    click.echo(say("not proved here:"))
    for what in verdict.not_proved:
        click.echo(f"  {what}")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
