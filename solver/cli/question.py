"""The options that make a question, shared by all commands that ask one, and the way from them to a `Problem`.

Grouped in --help by what a buyer thinks of: money, machine, site, training, output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import click

from solver.catalog.amounts import parse_cny
from solver.domain.errors import InvalidProblem, Violation
from solver.domain.problem import GOALS, Problem

F = TypeVar("F", bound=Callable[..., Any])


class Money(click.ParamType[Decimal]):
    """An amount in CNY as people write it."""

    name = "CNY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ARG002
        """Return yuan, exact to the fen."""
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
        name, equals, amount = str(value).partition("=")
        if not equals or not name:
            raise InvalidProblem.of(_flag(param), str(value), "must be ID=CNY, such as a100-80gb-pcie=103500")
        return name.strip(), parse_cny(amount, f"{_flag(param)} {name.strip()}")


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
_WORKLOAD = {"samples": "samples", "epochs": "epochs", "reserve_gb": "reserve_gb"}
FLAGS = {
    **{f"limits.{field}": "--" + option.replace("_", "-") for option, field in _LIMITS.items()},
    **{f"site.{field}": "--" + option.replace("_", "-") for option, field in _SITE.items()},
    **{f"workload.{field}": "--" + option.replace("_", "-") for option, field in _WORKLOAD.items()},
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
    ("Money", ("--allow-used",), {"is_flag": True, "default": None, "help": "Used offers may be bought too."}),
    (
        "Machine",
        ("--goal",),
        {"metavar": "|".join(GOALS), "help": "What is best.  [default: batch]"},
    ),
    ("Machine", ("--max-cards",), {"type": Whole("N"), "help": "Most cards in the machine.  [default: 4]"}),
    ("Machine", ("--power-limit",), {"type": Whole("W"), "help": "Fix the power limit per card."}),
    ("Machine", ("--include",), {"metavar": "ID", "multiple": True, "help": "Choose only among these; repeatable."}),
    ("Machine", ("--exclude",), {"metavar": "ID", "multiple": True, "help": "Leave these out; repeatable."}),
    ("Machine", ("--require-nvlink",), {"is_flag": True, "default": None, "help": "Every card has an NVLink partner."}),
    ("Site", ("--socket-amps",), {"type": Number("A"), "help": "The wall socket.  [default: 10]"}),
    ("Site", ("--socket-volts",), {"type": Number("V"), "help": "Its voltage.  [default: 220]"}),
    ("Site", ("--derating",), {"type": Number("SHARE"), "help": "Share of the socket used for days.  [default: 1.0]"}),
    ("Site", ("--room-cooling-w",), {"type": Whole("W"), "help": "Heat the room's cooling removes (1 匹 = 2,324 W)."}),
    ("Training", ("--min-batch",), {"type": Whole("N"), "help": "Smallest total batch that will do."}),
    ("Training", ("--max-epoch-days",), {"type": Number("DAYS"), "help": "Longest expected epoch that will do."}),
    ("Training", ("--samples",), {"type": Whole("N"), "help": "Samples per epoch.  [default: 25,000]"}),
    ("Training", ("--epochs",), {"type": Whole("N"), "help": "Epochs.  [default: 1]"}),
    ("Training", ("--reserve-gb",), {"type": Number("GB"), "help": "Memory kept free per card.  [default: 1.5]"}),
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


def question_options(function: F) -> F:
    """Add the options that make a question."""
    for section, names, settings in reversed(_OPTIONS):
        function = click.option(*names, cls=GroupedOption, section=section, **settings)(function)
    return function


def problem_from(options: Mapping[str, Any]) -> Problem:
    """The question the options ask, on the shipped catalogue.

    Raises:
        InvalidProblem: an option is out of its range; the message names the option.
    """
    from solver.catalog import default_library, resolve

    with naming_flags():
        return resolve(question_from(options), default_library())


@contextmanager
def naming_flags() -> Iterator[None]:
    """Name the option instead of the question's field in every fault found inside."""
    try:
        yield
    except InvalidProblem as error:
        raise type(error)(_as_flags(error)) from None


def question_from(options: Mapping[str, Any]) -> dict[str, Any]:
    """The question the options ask, as plain data: only what was given."""
    question: dict[str, Any] = {
        "goal": options.get("goal"),
        "limits": {**_given(options, _LIMITS), **_lists(options)},
        "site": _given(options, _SITE),
        "workload": _given(options, _WORKLOAD),
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
        flag = next((f for path, f in FLAGS.items() if fault.field == path or fault.field.startswith(path + ".")), None)
        named.append(fault if flag is None else Violation(flag, fault.value, fault.allowed))
    return named
