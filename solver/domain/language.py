"""The language people are spoken to in: text is written in English in the code and said in the reader's language.

`say("{count} cards", count=4)` looks the English text up in the message catalogue of the current language and fills in
the values afterwards, so a translation may order them as it likes. `message("...")` marks a text that is kept in a
table and said later. Programs are not spoken to: keys of JSON, fields of gRPC, ids and units stay as they are.
Modify this module to add a language or a way of saying something; docs/languages.md says how.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

LANGUAGES = ("en", "zh")
LOCALE = Path(__file__).parent.parent / "locale"
LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
_CONTEXT_ENDS = "\x04"
"""What stands between context and text in a compiled catalogue of gettext."""
_language: ContextVar[str] = ContextVar("language", default="en")


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("solver", LOCALE, [language])


def language() -> str:
    """The language in force here: one of `LANGUAGES`."""
    return _language.get()


def language_of(environment: Mapping[str, str]) -> str:
    """The language of a locale: that of the first variable that is set, as in C; English for any we do not speak."""
    locale = next((environment[name] for name in LOCALE_VARIABLES if environment.get(name)), "")
    spoken = locale.replace("-", "_").partition(".")[0].partition("_")[0].lower()
    return spoken if spoken in LANGUAGES else "en"


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak a language inside the block; other threads and tasks keep theirs.

    Raises:
        ValueError: not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def message(text: str) -> str:
    """The text as it is, marked for the catalogue: it stands in a table, or is help, and is said later by `say`."""
    return text


def message_as(context: str, text: str) -> str:
    """As `message`, for a text that means another thing elsewhere: 'used' as a column is not 'used' of a card."""
    return f"{context}{_CONTEXT_ENDS}{text}"


def message_many(one: str, many: str) -> tuple[str, str]:
    """Both texts as they are, marked for the catalogue as `say_many` says them."""
    return one, many


def say(message: str, /, **values: object) -> str:
    """The message in the language in force, with `{name}` fields filled in as `str.format` does."""
    said = message if _language.get() == "en" or not message else _catalogue(_language.get()).gettext(message)
    said = said.rpartition(_CONTEXT_ENDS)[2]
    return said.format(**values) if values else said


def say_many(one: str, many: str, /, count: int, **values: object) -> str:
    """`one` or `many`, as `count` asks in the language in force; `{count}` may stand in either."""
    if _language.get() == "en":
        said = one if count == 1 else many
    else:
        said = _catalogue(_language.get()).ngettext(one, many, count)
    return said.format(count=count, **values)


def paired(name: object, told: object) -> str:
    """A thing and what is said of it: 'a: b', in Chinese 'a：b'."""
    return say("{name}: {told}", name=name, told=told)


def strung(parts: Iterable[str]) -> str:
    """Several sayings in a row: 'a; b', in Chinese 'a；b'."""
    return say("; ").join(parts)


def listed(parts: Iterable[str]) -> str:
    """Several things in a row: 'a, b, c', in Chinese 'a、b、c'."""
    return say(", ").join(parts)
