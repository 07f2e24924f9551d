"""`solver-cli workload calibrate`: a workload fitted to a log of measured steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solver.cli.output import FORMAT_HELP, console
from solver.cli.params import Choosable, FileName, GroupedCommand, GroupedOption
from solver.cli.question import library_from
from solver.cli.workload_parts import folders, made_workload, option, save, workload_named, written
from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.domain.language import message, say

if TYPE_CHECKING:
    from solver.catalog import Library
    from solver.domain.workload import Workload
    from solver.estimate.measured import Part, Row


@click.command(
    "calibrate",
    cls=GroupedCommand,
    short_help=message("A workload fitted to measured steps."),
    help=message(
        "Fit a workload to a log of measured steps, CSV or XLSX with any of the columns micro_batch, "
        "accumulation, gpus, seconds (of an optimizer step), gpu_mib (nvidia-smi at the peak), host_gb, card, use "
        "(fit, range or no) and source, in any number of rows. Fixed and per-sample time and memory get intervals "
        "of 95 %; what the rows cannot tell is kept from the base and named. Rows with 'range' in the column use "
        "are left out of the fit; the interval then is that of all pairs of rows."
    ),
    epilog="Examples: solver-cli workload calibrate steps.csv --base my.yaml --card rtx-a6000 -o calibrated.yaml ; "
    "solver-cli workload calibrate examples/guide-steps.csv",
)
@click.argument("steps", metavar="STEPS.CSV", type=FileName())
@click.option(
    "--base",
    cls=GroupedOption,
    section=message("Training"),
    type=Choosable("ID|FILE", "workload"),
    metavar="ID|FILE",
    default="guide-6b",
    help=message("The workload whose other figures are kept.  [default: guide-6b]"),
)
@click.option(
    "--card",
    cls=GroupedOption,
    section=message("Machine"),
    type=Choosable("ID", "card"),
    metavar="ID",
    help=message("The card the rows were measured on.  [default: the base's reference card]"),
)
@option(
    "--id",
    message("Output"),
    str,
    message("Id of the workload.  [default: that of the base with -calibrated]"),
    metavar="ID",
)
@folders
@click.option(
    "--format", "form", cls=GroupedOption, type=click.Choice(["table", "json"]), default="table", help=FORMAT_HELP
)
@click.option("-o", "--output", cls=GroupedOption, type=FileName(), metavar="FILE", help=message("Write it there."))
def command(steps: str, base: str, card: str | None, output: str | None, form: str, **options: Any) -> int:
    """Fit a workload to measured steps."""
    library = library_from(options)
    work, parts = _calibrated(steps, workload_named(base, library), card, options["id"], library)
    if output is not None:
        from solver.catalog.workload_file import workload_text

        save(workload_text(work), output)
    from solver.report import calibration as report

    if form == "json":
        from solver.report.json_form import dumps

        click.echo(dumps(report.calibration_object(parts, work)))
    else:
        report.print_calibration(parts, work, console())
    if output is not None:
        written(output)
    return 0


def _card(rows: Sequence[Row], card: str | None, base: Workload) -> str | None:
    """The card the times were measured on, as the option or the rows say; None for the base's reference card."""
    said = sorted({row.card for row in rows if row.card and row.seconds is not None and row.used != "no"})
    if len(said) > 1:
        raise InvalidProblem.of(
            "card", ", ".join(said), say("steps of one card only can be fitted; put 'no' into column use")
        )
    if card is not None and said and said != [card]:
        raise InvalidProblem.of("--card", card, say("but the rows say {card}", card=said[0]))
    found = card or (said[0] if said else None)
    if found is None and "reference_card_id" in base.estimated:
        told = say(
            "note: nothing says on which card the steps were measured; taken for {card}: --card ID",
            card=base.reference_card_id,
        )
        click.echo(told, err=True)
    return found


def _check_memory(rows: Sequence[Row], card_id: str, library: Library) -> None:
    """No driver reports more memory than the card has: such a row is a slip, or is of another card."""
    from solver.domain.units import plain_number

    for row in rows:
        card = library.catalog.card_by_id.get(row.card or card_id)
        if card is None or row.used == "no" or row.gpu_mib is None or row.gpu_mib <= card.vram_mib:
            continue
        allowed = say(
            "must be at most {most} MiB, the memory of {card}; another card: the column card, or --card",
            most=f"{card.vram_mib:,}",
            card=card.id,
        )
        raise InvalidProblem.of(f"{row.place} gpu_mib", plain_number(row.gpu_mib), allowed)


def _calibrated(
    steps: str, base: Workload, card: str | None, named: str | None, library: Library
) -> tuple[Workload, tuple[Part, ...]]:
    """The calibrated workload, and what became of each kind of measurement."""
    from solver.catalog.step_file import read_steps
    from solver.estimate.calibrate import calibrated

    rows, unread = read_steps(Path(steps))
    if unread:
        click.echo(say("note: columns not read: {columns}", columns=", ".join(unread[:10]))[:300], err=True)
    timed = any(row.seconds is not None and row.used == "fit" for row in rows)
    measured_on = _card(rows, card, base) if timed else None
    reference = None
    if measured_on is not None:
        known = library.catalog.card_by_id
        if measured_on not in known:
            allowed = say("no card has this id") + nearest(measured_on, known)
            raise UnknownName([Violation("--card", shown(measured_on), allowed)])
        reference = (measured_on, known[measured_on].bf16_dense_tflops)
    name = Path(steps).name
    _check_memory(rows, card or ("" if "reference_card_id" in base.estimated else base.reference_card_id), library)
    found = calibrated(base, rows, name, reference)
    if not found.fitted:
        reasons = say("; ").join(note for part in found.parts for note in part.notes) or say(
            "no row is there to be fitted"
        )
        raise InvalidProblem.of(name, None, reasons)
    identity = {"id": named or f"{base.id}-calibrated"[:80], "name": f"{base.name[:150]}, calibrated with {name}"[:200]}
    return made_workload({**found.fields, **identity}, {"id": "--id"}), found.parts
