"""`solver-cli catalog`: what can be bought, at which price, and where every figure comes from. Loads no solver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from solver.cli.output import FORMAT_HELP, FORMATS, console
from solver.cli.params import Choosable, FileName, GroupedCommand, GroupedOption
from solver.cli.question import library_from, tell
from solver.cli.speech import SpokenGroup
from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.domain.language import listed, message, say, say_many

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    "catalog",
    cls=SpokenGroup,
    help=message("Cards, platforms, prices and workloads: the shipped ones, your own, and vendors' quotes."),
)
def command() -> None:
    """The group; its commands do the work."""


def _source_options(function: F) -> F:
    function = click.option("--format", "form", cls=GroupedOption, type=FORMATS, default="table", help=FORMAT_HELP)(
        function
    )
    quotes: dict[str, Any] = {"type": FileName(), "metavar": "FILE", "multiple": True}
    function = click.option(
        "--quotes",
        cls=GroupedOption,
        section=message("Money"),
        help=message("A vendor's quote, CSV or XLSX; repeatable."),
        **quotes,
    )(function)
    folder: dict[str, Any] = {"type": FileName("DIR"), "metavar": "DIR", "multiple": True}
    return click.option(
        "--catalog",
        cls=GroupedOption,
        section=message("Machine"),
        help=message("A folder of your own entries; repeatable."),
        **folder,
    )(function)


def _library(options: dict[str, Any]) -> Any:
    """The library, with folders and quotes laid over it."""
    library = library_from(options)
    if options.get("quotes"):
        from solver.catalog.library import Library
        from solver.catalog.quotes import read_quotes, with_quotes

        quotes = read_quotes(map(Path, options["quotes"]), library.catalog)
        tell(quotes.notes)
        library = Library(with_quotes(library.catalog, quotes), library.workloads)
    return library


@command.command(
    "list",
    cls=GroupedCommand,
    short_help=message("Cards and platforms with their prices."),
    help=message("List cards and platforms with price, its date and source, unverified figures, and availability."),
    epilog="Examples: solver-cli catalog list ; solver-cli catalog list --quotes 报价单.xlsx ; "
    "solver-cli catalog list --format json",
)
@_source_options
def list_(form: str, **options: Any) -> int:
    """List the catalogue."""
    library = _library(options)
    from solver.report import catalogue

    if form == "json":
        from solver.report.json_form import dumps

        click.echo(dumps(catalogue.list_object(library.catalog, library.workloads)))
    elif form == "markdown":
        click.echo(catalogue.list_markdown(library.catalog, library.workloads), nl=False)
    else:
        catalogue.print_list(library.catalog, library.workloads, console())
    return 0


@command.command(
    "show",
    cls=GroupedCommand,
    short_help=message("Everything known of one entry, with sources."),
    help=message(
        "Show everything known of a card, platform or workload: each figure with its source, and every offer."
    ),
    epilog="Examples: solver-cli catalog show rtx-a6000 ; solver-cli catalog show guide-6b --format markdown",
)
@click.argument("name", metavar="ID", type=Choosable("ID", "card", "platform", "workload"))
@_source_options
def show(name: str, form: str, **options: Any) -> int:
    """Show one entry."""
    library = _library(options)
    catalog = library.catalog
    workloads = {work.id: work for work in library.workloads}
    known = {**workloads, **catalog.platform_by_id, **catalog.card_by_id}
    if name not in known:
        allowed = say("no card, platform or workload has this id") + nearest(name, known)
        raise UnknownName([Violation("ID", shown(name), allowed)])
    entry, offers = known[name], catalog.offers_by_item.get(name, ())
    from solver.report import catalogue

    if form == "json":
        from solver.report.json_form import dumps

        click.echo(dumps(catalogue.show_object(entry, offers)))
    elif form == "markdown":
        click.echo(catalogue.entry_markdown(entry, offers), nl=False)
    else:
        catalogue.print_entry(entry, offers, console())
    return 0


@command.command(
    "validate",
    cls=GroupedCommand,
    short_help=message("All faults of your own files at once."),
    help=message(
        "Check your own files: folders of catalogue entries, vendors' quotes (.csv, .xlsx), question files (.yaml). "
        "All faults are listed at once, each with file and line; exit 2 if there is any."
    ),
    epilog="Examples: solver-cli catalog validate my-catalog/ ; "
    "solver-cli catalog validate my-catalog/ 报价单.xlsx question.yaml",
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=FileName())
def validate(paths: tuple[str, ...]) -> int:
    """Validate files; later ones may name what earlier folders add."""
    from solver.catalog import default_library

    library, faults = default_library(), 0
    for name in paths:
        try:
            library, told = _validated(name, library)
            click.echo(f"{name}: {told}")
        except InvalidProblem as error:
            faults += len(error.violations)
            for fault in error.violations:
                click.echo(" ".join(str(fault).split()))
    if faults:
        click.echo(say_many("Error: {count} fault found", "Error: {count} faults found", faults), err=True)
        return 2
    return 0


_KINDS = {
    "cards": message("{count} cards"),
    "platforms": message("{count} platforms"),
    "offers": message("{count} offers"),
    "workloads": message("{count} workloads"),
}


def _validated(name: str, library: Any) -> tuple[Any, str]:
    """The library with a valid folder laid over it, and what was found; a file changes nothing."""
    path = Path(name)
    if path.suffix.lower() in (".csv", ".tsv", ".txt", ".xlsx", ".xlsm"):
        from solver.catalog.quotes import read_quotes

        quotes = read_quotes([path], library.catalog)
        tell(quotes.notes)
        items = len({offer.item_id for offer in quotes.offers})
        return library, say("ok: offers: {offers}, for items: {items}", offers=len(quotes.offers), items=items)
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        from solver.catalog import resolve
        from solver.catalog.question_file import read_question, with_lines

        document = read_question(name)
        try:
            resolve(document, library)
        except InvalidProblem as error:
            raise with_lines(error, document, name) from None
        return library, say("ok: a question")
    from solver.catalog.library import read_entries, with_folder

    counted = listed(say(_KINDS[kind], count=len(found)) for kind, found in read_entries(path).items() if found)
    return with_folder(library, path), say("ok: {counted}", counted=counted)
