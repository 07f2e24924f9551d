"""The options that make a question, shared by all commands that ask one, and the way from them to a `Problem`.

Grouped in --help by what a buyer thinks of: money, machine, site, training, output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from solver.domain.errors import InvalidProblem, Violation
from solver.domain.goal_names import GOALS
from solver.domain.language import message, say

if TYPE_CHECKING:  # the records cost 0.2 s, which --help and bad options need not wait for
    from solver.catalog import Library
    from solver.domain.problem import Problem
    from solver.domain.workload import Workload
from solver.cli.params import ITEM, Choosable, FileName, GroupedOption, Money, Number, Offload, Price, Whole

F = TypeVar("F", bound=Callable[..., Any])


MOST_NOTES = 20


_LIMITS = {
    "budget": "budget_cny",
    "max_cards": "max_cards",
    "min_batch": "min_batch",
    "max_epoch_days": "max_epoch_days",
    "power_limit": "power_limit_w",
    "require_nvlink": "require_nvlink",
    "allow_used": "allow_used",
}


_SITE = {
    "socket_amps": "socket_amps",
    "socket_volts": "socket_volts",
    "derating": "derating",
    "room_cooling_w": "room_cooling_w",
}


_WORKLOAD = {
    "samples": "samples",
    "epochs": "epochs",
    "reserve_gb": "reserve_gb",
    "seq_len": "seq_len",
    "zero_stage": "zero_stage",
    "offload": "offload",
    "gradient_accumulation": "gradient_accumulation",
}


FLAGS = {
    **{f"limits.{field}": "--" + option.replace("_", "-") for option, field in _LIMITS.items()},
    **{f"site.{field}": "--" + option.replace("_", "-") for option, field in _SITE.items()},
    **{f"workload.{field}": "--" + option.replace("_", "-") for option, field in _WORKLOAD.items()},
    "confidence": "--confidence",
    "workload": "--workload",
    "limits.include": "--include",
    "limits.exclude": "--exclude",
    "prices": "--price",
    "goal": "--goal",
}


_OPTIONS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    (
        message("Money"),
        ("--budget",),
        {"type": Money(), "help": message("All the money there is, in CNY: 300000 or 30万.")},
    ),
    (
        message("Money"),
        ("--price", "prices"),
        {
            "type": Price(),
            "multiple": True,
            "help": message("Replace every offer of a card or platform (new, unlimited)."),
        },
    ),
    (
        message("Money"),
        ("--quotes",),
        {
            "type": FileName(),
            "metavar": "FILE",
            "multiple": True,
            "help": message("A vendor's quote, CSV or XLSX: replaces the offers of the cards it names; repeatable."),
        },
    ),
    (
        message("Money"),
        ("--allow-used/--new-only",),
        {"is_flag": True, "default": None, "help": message("Used offers may be bought too.  [default: new only]")},
    ),
    (
        message("Machine"),
        ("--goal",),
        {"type": Choosable("goal"), "metavar": "|".join(GOALS), "help": message("What is best.  [default: batch]")},
    ),
    (
        message("Machine"),
        ("--max-cards",),
        {"type": Whole("N"), "help": message("Most cards in the machine.  [default: 4]")},
    ),
    (message("Machine"), ("--power-limit",), {"type": Whole("W"), "help": message("Fix the power limit per card.")}),
    (
        message("Machine"),
        ("--include",),
        {"type": ITEM, "metavar": "ID", "multiple": True, "help": message("Choose only among these; repeatable.")},
    ),
    (
        message("Machine"),
        ("--exclude",),
        {"type": ITEM, "metavar": "ID", "multiple": True, "help": message("Leave these out; repeatable.")},
    ),
    (
        message("Machine"),
        ("--require-nvlink/--without-nvlink",),
        {"is_flag": True, "default": None, "help": message("Every card has an NVLink partner.  [default: need not]")},
    ),
    (
        message("Machine"),
        ("--catalog",),
        {
            "type": FileName("DIR"),
            "metavar": "DIR",
            "multiple": True,
            "help": message("A folder of your own entries: added to the catalogue, the same id replaces; repeatable."),
        },
    ),
    (message("Site"), ("--socket-amps",), {"type": Number("A"), "help": message("The wall socket.  [default: 10]")}),
    (message("Site"), ("--socket-volts",), {"type": Number("V"), "help": message("Its voltage.  [default: 220]")}),
    (
        message("Site"),
        ("--derating",),
        {"type": Number("SHARE"), "help": message("Share of the socket used for days.  [default: 1.0]")},
    ),
    (
        message("Site"),
        ("--room-cooling-w",),
        {"type": Whole("W"), "help": message("Heat the room's cooling removes (1 匹 = 2,324 W).")},
    ),
    (
        message("Training"),
        ("--workload",),
        {
            "type": Choosable("ID", "workload"),
            "metavar": "ID|FILE",
            "help": message("A training job of the catalogue, or of a file.  [default: guide-6b]"),
        },
    ),
    (
        message("Training"),
        ("--min-batch",),
        {"type": Whole("N"), "help": message("Smallest total batch that will do.")},
    ),
    (
        message("Training"),
        ("--max-epoch-days",),
        {"type": Number("DAYS"), "help": message("Longest expected epoch that will do.")},
    ),
    (
        message("Training"),
        ("--samples",),
        {"type": Whole("N"), "help": message("Samples per epoch.  [default: 25,000]")},
    ),
    (message("Training"), ("--epochs",), {"type": Whole("N"), "help": message("Epochs.  [default: 1]")}),
    (
        message("Training"),
        ("--reserve-gb",),
        {"type": Number("GB"), "help": message("Memory kept free per card.  [default: 1.5]")},
    ),
    (
        message("Training"),
        ("--seq-len",),
        {"type": Whole("N"), "help": message("Tokens of a sample, for workloads with a model's shape.")},
    ),
    (
        message("Training"),
        ("--zero-stage",),
        {"type": Whole("2|3"), "help": message("DeepSpeed ZeRO stage.  [default: 3]")},
    ),
    (
        message("Training"),
        ("--offload",),
        {"type": Offload(), "help": message("What is kept in host RAM.  [default: optimizer,param]")},
    ),
    (
        message("Training"),
        ("--gradient-accumulation",),
        {
            "type": Whole("N"),
            "help": message("Micro-steps in one optimizer step; the total batch is as many times larger."),
        },
    ),
    (
        message("Training"),
        ("--confidence",),
        {
            "type": Choosable("confidence"),
            "metavar": "low|expected|high",
            "help": message("End of the intervals planned on; high: the batch that surely fits.  [default: expected]"),
        },
    ),
    (
        message("Question file"),
        ("--problem",),
        {
            "type": FileName(),
            "metavar": "FILE",
            "help": message(
                "A whole question as YAML (- for standard input); options given beside it are laid over it."
            ),
        },
    ),
    (
        message("Question file"),
        ("--dump-problem",),
        {"is_flag": True, "help": message("Write the question being asked, as a file for --problem, and stop.")},
    ),
)


def question_options(function: F) -> F:
    """Add the options that make a question."""
    for section, names, settings in reversed(_OPTIONS):
        function = click.option(*names, cls=GroupedOption, section=section, **settings)(function)
    return function


def problem_from(options: Mapping[str, Any]) -> Problem:
    """The question the options ask: over a question file if one is given, on the catalogue they make.

    With `dump_problem` among the options the question is written to standard output, and the command ends there.

    Raises:
        InvalidProblem: an option, or a line of a file, is wrong; the message names it.
    """
    from solver.catalog import default_library, question_of

    problem = _asked(options, library_from(options))
    if options.get("dump_problem"):
        from solver.catalog.question_file import question_text

        click.echo(question_text(question_of(problem, default_library())), nl=False)
        raise click.exceptions.Exit(0)
    return problem


def library_from(options: Mapping[str, Any]) -> Library:
    """The shipped catalogue with the folders of --catalog laid over it, in the order given, and a file of --workload.

    Raises:
        InvalidProblem: a folder, or the file, holds no valid entry, or a faulty one.
    """
    from solver.catalog import default_library
    from solver.catalog.library import Library, with_folder

    library = default_library()
    for folder in options.get("catalog") or ():
        library = with_folder(library, Path(folder))
    work = _workload_of_file(options)
    if work is not None:
        others = (held for held in library.workloads if held.id != work.id)
        library = Library(library.catalog, tuple(sorted((*others, work), key=lambda held: held.id)))
    return library


def names_a_file(name: str) -> bool:
    """Whether what is given for a workload is the name of a file, not an id."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def _workload_of_file(options: Mapping[str, Any]) -> Workload | None:
    """The workload of the file that --workload names; None where it names an id, or nothing."""
    name = options.get("workload")
    if not isinstance(name, str) or not names_a_file(name):
        return None
    from solver.catalog.workload_file import read_workload

    return read_workload(Path(name))


def _asked(options: Mapping[str, Any], library: Library) -> Problem:
    from solver.catalog import resolve
    from solver.catalog.question import overlay

    question: dict[str, Any] = {}
    below = None
    file = options.get("problem")
    if file is not None:
        from solver.catalog.question_file import read_question, with_lines

        document = read_question(file)
        try:
            below = resolve(document, library)
        except InvalidProblem as error:
            raise with_lines(error, document, file) from None
        question = dict(document)
    if options.get("quotes"):
        from solver.catalog.quotes import read_quotes

        quotes = read_quotes(map(Path, options["quotes"]), (library if below is None else below).catalog)
        tell(quotes.notes)
        question = overlay(question, {"offers": quotes.offers})
    with naming_flags():
        if options.get("workload") is not None:
            library.workload(_named(options)["id"])
        return resolve(overlay(question, question_from(options)), library)


def remote_question(options: Mapping[str, Any]) -> Problem | dict[str, Any]:
    """The question for a server: only what was asked, or, where files were given, the whole problem they make here.

    Raises:
        InvalidProblem: as `problem_from`.
    """
    files = ("problem", "quotes", "catalog", "dump_problem")
    if not any(options.get(name) for name in files) and not names_a_file(options.get("workload") or ""):
        return question_from(options)
    return problem_from(options)


@contextmanager
def naming_flags() -> Iterator[None]:
    """Name the option instead of the question's field in every fault found inside."""
    try:
        yield
    except InvalidProblem as error:
        raise type(error)(_as_flags(error)) from None


def tell(notes: Sequence[str]) -> None:
    """Say on standard error what of a file was left out."""
    for note in notes[:MOST_NOTES]:
        click.echo(say("note: {note}", note=note), err=True)
    if len(notes) > MOST_NOTES:
        click.echo(say("note: and {count} more lines left out", count=len(notes) - MOST_NOTES), err=True)


def question_from(options: Mapping[str, Any]) -> dict[str, Any]:
    """The question the options ask, as plain data: only what was given."""
    question: dict[str, Any] = {
        "goal": options.get("goal"),
        "confidence": options.get("confidence"),
        "limits": {**_given(options, _LIMITS), **_lists(options)},
        "site": _given(options, _SITE),
        "workload": {**_named(options), **_given(options, _WORKLOAD)},
        "prices": _prices(options.get("prices") or ()),
    }
    return {key: value for key, value in question.items() if value}


def _prices(given: tuple[tuple[str, Decimal], ...]) -> dict[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for name, amount in given:
        if name in prices:
            raise InvalidProblem.of("--price", name, say("is given twice"))
        prices[name] = amount
    return prices


def _named(options: Mapping[str, Any]) -> dict[str, str]:
    work = _workload_of_file(options)
    if work is not None:
        return {"id": work.id}
    return {"id": options["workload"]} if options.get("workload") is not None else {}


def _given(options: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    return {field: options[option] for option, field in fields.items() if options.get(option) is not None}


def _lists(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(part.strip() for value in options[name] for part in value.split(",") if part.strip())
        for name in ("include", "exclude")
        if options.get(name)
    }


def _as_flags(error: InvalidProblem) -> list[Any]:
    named = []
    for fault in error.violations:
        path = next((p for p in FLAGS if fault.field == p or fault.field.startswith(p + ".")), None)
        if path is None:
            named.append(fault)
            continue
        item = fault.field.removeprefix("prices.") if path == "prices" else ""
        named.append(Violation(f"{FLAGS[path]} {item}".rstrip(), fault.value, fault.allowed))
    return named
