"""The language of the command line: from --lang, SOLVER_CLI_LANG or the locale; and help that is said when it is read.

Decorators run before anybody knows the reader's language, so options and commands keep their help in English and say it
each time Click asks for it. Click's own words (usage, errors, section titles) are in our catalogue too: `gettext`,
which Click calls, is pointed at it.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from solver.domain.errors import InvalidProblem
from solver.domain.language import LANGUAGES, LOCALE, language_of, message, message_many, say, speaking

VARIABLE = "SOLVER_CLI_LANG"


def chosen_language(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """The language, and the arguments without --lang, which may stand before or behind the command.

    Raises:
        InvalidProblem: a language that is not spoken here.
    """
    left: list[str] = []
    given: str | None = None
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if argument == "--":
            left += [argument, *waiting]
        elif name != "--lang":
            left.append(argument)
        elif equals:
            given = value
        else:
            given = next(waiting, None)
            if given is None:
                left.append(argument)  # Click says what is missing
    if given is not None:
        return _spoken("--lang", given), left
    if environment.get(VARIABLE):
        return _spoken(VARIABLE, environment[VARIABLE]), left
    return language_of(environment), left


def _spoken(field: str, value: str) -> str:
    if value not in LANGUAGES:
        raise InvalidProblem.of(field, value, say("must be one of {names}", names=", ".join(LANGUAGES)))
    return value


@contextmanager
def conversation(language: str) -> Iterator[None]:
    """Speak a language inside the block, and let Click speak it."""
    held = os.environ.get("LANGUAGE")
    domain = gettext.textdomain()
    gettext.bindtextdomain("solver", str(LOCALE))
    gettext.textdomain("solver")
    os.environ["LANGUAGE"] = language  # what Python's gettext asks first
    try:
        with speaking(language):
            yield
    finally:
        gettext.textdomain(domain)
        if held is None:
            os.environ.pop("LANGUAGE", None)
        else:
            os.environ["LANGUAGE"] = held


class _Said:
    """A text attribute that is kept in English and read in the language in force."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._kept = f"_{name}_in_english"

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        kept = getattr(instance, self._kept, None)
        return say(kept) if isinstance(kept, str) else kept

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance, self._kept, value)


class SpokenOption(click.Option):
    """An option whose help is said when it is shown."""

    help: Any = _Said()


class SpokenCommand(click.Command):
    """A command whose help is said when it is shown; its epilog is a list of examples, one a line."""

    help: Any = _Said()
    short_help: Any = _Said()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples, one a line."""
        write_examples(self.epilog, formatter)


class SpokenGroup(click.Group):
    """A group of such commands."""

    help: Any = _Said()
    short_help: Any = _Said()
    command_class = SpokenCommand

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples, one a line."""
        write_examples(self.epilog, formatter)


def write_examples(epilog: str | None, formatter: click.HelpFormatter) -> None:
    """Write an epilog such as 'Examples: one ; two' as a section, one example a line."""
    if epilog:
        kind, _, examples = epilog.partition(": ")
        with formatter.section(say(kind)):
            for example in examples.split(" ; "):
                formatter.write(f"{'':{formatter.current_indent}}{example.strip()}\n")


EXAMPLES = (message("Example"), message("Examples"))
CLICK = (
    message("Usage:"),
    message("Options"),
    message("Commands"),
    message("Positional arguments"),
    message("Show this message and exit."),
    message("Show the version and exit."),
    message("%(prog)s, version %(version)s"),
    message("Error: {message}"),
    message("Try '{command} {option}' for help."),
    message("Invalid value: {message}"),
    message("Invalid value for {param_hint}: {message}"),
    message("Missing command."),
    message("Missing argument"),
    message("Missing option"),
    message("Missing parameter"),
    message("Missing parameter: {param_name}"),
    message("No such option {name!r}."),
    message("No such command {name!r}."),
    message("Argument {name!r} takes {nargs} values."),
    message("Option {name!r} does not take a value."),
    message("Choose from:\n\t{choices}"),
    message("{value!r} is not a valid {number_type}."),
    message("{value} is not in the range {range}."),
    message("default: {default}"),
    message("unknown error"),
)
"""Click's own words, which it looks up in the catalogue that `conversation` points it at."""
CLICK_COUNTED = (
    message_many("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    message_many("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    message_many("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    message_many("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    message_many("Takes {nargs} values but 1 was given.", "Takes {nargs} values but {len} were given."),
)
