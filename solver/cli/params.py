"""What options take: types of values with one clear error each, and options told in groups.

Modify this module when an option takes a new kind of value.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from solver.cli.speech import SpokenCommand, SpokenOption
from solver.domain.errors import InvalidProblem
from solver.domain.goal_names import GOALS
from solver.domain.language import message, say

if TYPE_CHECKING:  # the records cost 0.2 s, which --help and bad options need not wait for
    pass


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

        return value if isinstance(value, Decimal) else parse_cny(str(value), flag_of(param))


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
            raise InvalidProblem.of(flag_of(param), text, say("must be a number"))
        return number


class Whole(click.ParamType[int]):
    """A whole number; the record says what range is allowed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        """Return the number."""
        text = str(value)
        if not (text.lstrip("+-").isdecimal() and text.isascii() and len(text) <= 18):
            raise InvalidProblem.of(flag_of(param), text, say("must be a whole number"))
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
            raise InvalidProblem.of(flag_of(param), str(value), say("must be ID=CNY, such as a100-80gb-pcie=103500"))
        return name.strip(), parse_cny(amount, f"{flag_of(param)} {name.strip()}")


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
            raise InvalidProblem.of(flag_of(param), str(value)[:80], say("must be none, optimizer, or optimizer,param"))
        return found


CARD_ID = Choosable("ID", "card")


PLATFORM_ID = Choosable("ID", "platform")


ITEM = Choosable("ID", "card", "platform")


def flag_of(param: click.Parameter | None) -> str:
    """How a parameter is given: `--budget`; what has no option of its own is called value."""
    return param.opts[0] if param is not None else "value"


OUTPUT = message("Output")


class GroupedOption(SpokenOption):
    """An option that knows under which heading of --help it stands."""

    def __init__(self, *args: Any, section: str = OUTPUT, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class GroupedCommand(SpokenCommand):
    """A command whose --help groups its options by what a buyer thinks of."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "section", OUTPUT), []).append(record)
        for name, records in groups.items():
            with formatter.section(say(name)):
                formatter.write_dl(records)


def seconds(time_limit: Decimal | None) -> float | None:
    """The value of --time-limit in seconds; None for no limit.

    Raises:
        InvalidProblem: it is out of range.
    """
    if time_limit is not None and not 0 <= time_limit <= 10**6:
        raise InvalidProblem.of("--time-limit", time_limit, say("must be between 0 and 1,000,000 seconds"))
    return None if time_limit is None else float(time_limit)
