"""The options that make a question, shared by all commands that ask one, and the way from them to a `Problem`.

Grouped in --help by what a buyer thinks of: money, machine, site, training, output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from solver.cli.output import write_examples
from solver.domain.errors import InvalidProblem, Violation
from solver.domain.goal_names import GOALS
from solver.domain.language import say

if TYPE_CHECKING:  # the records cost 0.2 s, which --help and bad options need not wait for
    from solver.catalog import Library
    from solver.domain.problem import Problem
    from solver.domain.records import Workload

F = TypeVar("F", bound=Callable[..., Any])
MOST_NOTES = 20
OFFLOADS = {
    "none": "none",
    "optimizer": "optimizer",
    "optimizer,param": "optimizer_and_parameters",
    "optimizer,params": "optimizer_and_parameters",
    "param,optimizer": "optimizer_and_parameters",
    "optimizer,parameters": "optimizer_and_parameters",
    "optimizer_and_parameters": "optimizer_and_parameters",
}
"""Ways to say what is kept in host RAM -> the value of the record's field."""


class Money(click.ParamType[Decimal]):
    """An amount in CNY as people write it."""

    name = "CNY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ARG002
        """Return yuan, exact to the fen."""
        from solver.catalog.amounts import parse_cny

        return value if isinstance(value, Decimal) else parse_cny(str(value), _flag(param))


class Number(click.ParamType[Decimal]):
    """A decimal number, kept exact; the record says what range is allowed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ARG002
        """Return the number as a decimal."""
        text = str(value)
        try:
            number = Decimal(text) if len(text) <= 40 and text.isascii() and "_" not in text else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite():
            raise InvalidProblem.of(_flag(param), text, "must be a number")
        return number


class Whole(click.ParamType[int]):
    """A whole number; the record says what range is allowed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        """Return the number."""
        text = str(value)
        if not (text.lstrip("+-").isdecimal() and text.isascii() and len(text) <= 18):
            raise InvalidProblem.of(_flag(param), text, "must be a whole number")
        return int(text)


class Price(click.ParamType[tuple[str, Decimal]]):
    """ID=CNY."""

    name = "ID=CNY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Decimal]:  # noqa: ARG002
        """Return (id, yuan)."""
        if isinstance(value, tuple):
            return value
        from solver.catalog.amounts import parse_cny

        name, equals, amount = str(value).partition("=")
        if not equals or not name:
            raise InvalidProblem.of(_flag(param), str(value), "must be ID=CNY, such as a100-80gb-pcie=103500")
        return name.strip(), parse_cny(amount, f"{_flag(param)} {name.strip()}")


class Choosable(click.ParamType[str]):
    """An id of the catalogue, a goal or a confidence: any text, completed by the shell."""

    def __init__(self, name: str, *kinds: str) -> None:
        self.name = name
        self.kinds = kinds

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        """Offer the ids (of the shipped catalogue), or the words, that begin so."""
        from click.shell_completion import CompletionItem

        if not self.kinds:
            words = ("low", "expected", "high") if self.name == "confidence" else GOALS
            return [CompletionItem(word) for word in words if word.startswith(incomplete)]
        from solver.catalog import default_library

        library = default_library()
        entries: dict[str, Any] = {
            "card": library.catalog.cards,
            "platform": library.catalog.platforms,
            "workload": library.workloads,
        }
        known = [(entry.id, entry.name) for kind in self.kinds for entry in entries[kind]]
        return [CompletionItem(item, help=name) for item, name in known if item.startswith(incomplete)]


class FileName(click.ParamType[str]):
    """The name of a file or folder, completed by the shell; what is wrong with it, its reader says."""

    def __init__(self, name: str = "FILE") -> None:
        self.name = name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        """Leave it to the shell."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="dir" if self.name == "DIR" else "file")]


class Offload(click.ParamType[str]):
    """What is offloaded, as DeepSpeed's configuration names the parts."""

    name = "none|optimizer|optimizer,param"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the value of the record's field."""
        found = OFFLOADS.get(str(value).replace(" ", ""))
        if found is None:
            raise InvalidProblem.of(_flag(param), str(value)[:80], say("must be none, optimizer, or optimizer,param"))
        return found


CARD_ID = Choosable("ID", "card")
PLATFORM_ID = Choosable("ID", "platform")
_ITEM = Choosable("ID", "card", "platform")


def _flag(param: click.Parameter | None) -> str:
    return param.opts[0] if param is not None else "value"


# option -> where its value goes in the question
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
    ("Money", ("--budget",), {"type": Money(), "help": "All the money there is, in CNY: 300000 or 30万."}),
    (
        "Money",
        ("--price", "prices"),
        {"type": Price(), "multiple": True, "help": "Replace every offer of a card or platform (new, unlimited)."},
    ),
    (
        "Money",
        ("--quotes",),
        {
            "type": FileName(),
            "metavar": "FILE",
            "multiple": True,
            "help": "A vendor's quote, CSV or XLSX: replaces the offers of the cards it names; repeatable.",
        },
    ),
    (
        "Money",
        ("--allow-used/--new-only",),
        {"is_flag": True, "default": None, "help": "Used offers may be bought too.  [default: new only]"},
    ),
    (
        "Machine",
        ("--goal",),
        {"type": Choosable("goal"), "metavar": "|".join(GOALS), "help": "What is best.  [default: batch]"},
    ),
    ("Machine", ("--max-cards",), {"type": Whole("N"), "help": "Most cards in the machine.  [default: 4]"}),
    ("Machine", ("--power-limit",), {"type": Whole("W"), "help": "Fix the power limit per card."}),
    (
        "Machine",
        ("--include",),
        {"type": _ITEM, "metavar": "ID", "multiple": True, "help": "Choose only among these; repeatable."},
    ),
    (
        "Machine",
        ("--exclude",),
        {"type": _ITEM, "metavar": "ID", "multiple": True, "help": "Leave these out; repeatable."},
    ),
    (
        "Machine",
        ("--require-nvlink/--without-nvlink",),
        {"is_flag": True, "default": None, "help": "Every card has an NVLink partner.  [default: need not]"},
    ),
    (
        "Machine",
        ("--catalog",),
        {
            "type": FileName("DIR"),
            "metavar": "DIR",
            "multiple": True,
            "help": "A folder of your own entries: added to the catalogue, the same id replaces; repeatable.",
        },
    ),
    ("Site", ("--socket-amps",), {"type": Number("A"), "help": "The wall socket.  [default: 10]"}),
    ("Site", ("--socket-volts",), {"type": Number("V"), "help": "Its voltage.  [default: 220]"}),
    ("Site", ("--derating",), {"type": Number("SHARE"), "help": "Share of the socket used for days.  [default: 1.0]"}),
    ("Site", ("--room-cooling-w",), {"type": Whole("W"), "help": "Heat the room's cooling removes (1 匹 = 2,324 W)."}),
    (
        "Training",
        ("--workload",),
        {
            "type": Choosable("ID", "workload"),
            "metavar": "ID|FILE",
            "help": "A training job of the catalogue, or of a file.  [default: guide-6b]",
        },
    ),
    ("Training", ("--min-batch",), {"type": Whole("N"), "help": "Smallest total batch that will do."}),
    ("Training", ("--max-epoch-days",), {"type": Number("DAYS"), "help": "Longest expected epoch that will do."}),
    ("Training", ("--samples",), {"type": Whole("N"), "help": "Samples per epoch.  [default: 25,000]"}),
    ("Training", ("--epochs",), {"type": Whole("N"), "help": "Epochs.  [default: 1]"}),
    ("Training", ("--reserve-gb",), {"type": Number("GB"), "help": "Memory kept free per card.  [default: 1.5]"}),
    (
        "Training",
        ("--seq-len",),
        {"type": Whole("N"), "help": "Tokens of a sample, for workloads with a model's shape."},
    ),
    ("Training", ("--zero-stage",), {"type": Whole("2|3"), "help": "DeepSpeed ZeRO stage.  [default: 3]"}),
    (
        "Training",
        ("--offload",),
        {"type": Offload(), "help": "What is kept in host RAM.  [default: optimizer,param]"},
    ),
    (
        "Training",
        ("--gradient-accumulation",),
        {"type": Whole("N"), "help": "Micro-steps in one optimizer step; the total batch is as many times larger."},
    ),
    (
        "Training",
        ("--confidence",),
        {
            "type": Choosable("confidence"),
            "metavar": "low|expected|high",
            "help": "End of the intervals planned on; high: the batch that surely fits.  [default: expected]",
        },
    ),
    (
        "Question file",
        ("--problem",),
        {
            "type": FileName(),
            "metavar": "FILE",
            "help": "A whole question as YAML (- for standard input); options given beside it are laid over it.",
        },
    ),
    (
        "Question file",
        ("--dump-problem",),
        {"is_flag": True, "help": "Write the question being asked, as a file for --problem, and stop."},
    ),
)


class GroupedOption(click.Option):
    """An option that knows under which heading of --help it stands."""

    def __init__(self, *args: Any, section: str = "Output", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class GroupedCommand(click.Command):
    """A command whose --help groups its options by what a buyer thinks of."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "section", "Output"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples, one a line."""
        write_examples(self.epilog, formatter)


def seconds(time_limit: Decimal | None) -> float | None:
    """The value of --time-limit in seconds; None for no limit.

    Raises:
        InvalidProblem: it is out of range.
    """
    if time_limit is not None and not 0 <= time_limit <= 10**6:
        raise InvalidProblem.of("--time-limit", time_limit, "must be between 0 and 1,000,000 seconds")
    return None if time_limit is None else float(time_limit)


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
        click.echo(f"note: {note}", err=True)
    if len(notes) > MOST_NOTES:
        click.echo(f"note: and {len(notes) - MOST_NOTES} more lines left out", err=True)


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
            raise InvalidProblem.of("--price", name, "is given twice")
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
