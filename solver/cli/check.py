"""`solver-cli check`: is this rig, or this quote, sound? Plain arithmetic, no solver."""

from __future__ import annotations

import datetime
from typing import Any

import click

from solver.cli.output import FORMAT_HELP, FORMATS, console
from solver.cli.params import CARD_ID, PLATFORM_ID, GroupedCommand, GroupedOption, Whole
from solver.cli.question import naming_flags, problem_from, question_options, remote_question
from solver.cli.remote import remote
from solver.domain.language import message


@click.command(
    "check",
    cls=GroupedCommand,
    help=message(
        "Check a rig against every limit; exit 3 and name every broken one with its margin if it does not hold."
    ),
    epilog="Examples: solver-cli check --card rtx-4090-blower --count 4 --power-limit 450 ; "
    "solver-cli check --card rtx-a6000 --count 4 --budget 15万 --quotes 报价单.csv",
)
@click.option(
    "--card",
    cls=GroupedOption,
    section=message("Rig"),
    type=CARD_ID,
    required=True,
    metavar="ID",
    help=message("The card."),
)
@click.option(
    "--count",
    cls=GroupedOption,
    section=message("Rig"),
    type=Whole("N"),
    default="1",
    help=message("How many.  [default: 1]"),
)
@click.option(
    "--platform",
    cls=GroupedOption,
    section=message("Rig"),
    type=PLATFORM_ID,
    metavar="ID",
    default="guide-base",
    show_default=True,
    help=message("On what."),
)
@question_options
@click.option("--format", "form", cls=GroupedOption, type=FORMATS, default="table", help=FORMAT_HELP)
def command(card: str, count: int, platform: str, form: str, **options: Any) -> int:
    """Check a rig."""
    watts = options.pop("power_limit")
    today = datetime.date.today()
    client = remote()
    if client is not None:
        with naming_flags():
            report = client.check(remote_question(options), card, count, platform, watts, today)
    else:
        problem = problem_from(options)
        if watts is None:
            watts = problem.limits.power_limit_w  # of a question file
        from solver.check import check

        report = check(problem, card, count, platform, watts, today)
    if form == "json":
        from solver.report.json_form import check_object, dumps

        click.echo(dumps(check_object(report)))
    elif form == "markdown":
        from solver.report.markdown import check_markdown

        click.echo(check_markdown(report), nl=False)
    else:
        from solver.report.terminal import print_check

        print_check(report, console())
    return 0 if report.holds else 3
