"""The two kinds of error: the caller's (`InvalidProblem`) and ours (`SolverFailure`); and, of clients, a server that
does not answer (`ServerUnavailable`).

An infeasible question is neither: it is an answer. Modify this module only to add a way in which a caller or
we ourselves can be wrong; front ends map these classes to exit codes and gRPC codes in one table each.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from solver.domain.language import listed, message, say

if TYPE_CHECKING:  # only the name is needed; the command line's --help and usage errors start without pydantic
    from pydantic import ValidationError

_SHOWN_VALUE_CHARS = 60


@dataclass(frozen=True)
class Violation:
    """One fault of an input: which field (dotted path), what was given, and what is allowed."""

    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """Return the fault as one line: field, value, what is allowed."""
        given = f" = {self.value}" if self.value else ""
        return say("{what}: {allowed}", what=f"{self.field}{given}", allowed=self.allowed)


class InvalidProblem(ValueError):
    """The caller's input is wrong; `violations` names every fault found."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        """Keep the faults; the message is all of them on one line."""
        self.violations = tuple(violations)
        super().__init__("; ".join(str(v) for v in self.violations))

    def __reduce__(self) -> tuple[type[InvalidProblem], tuple[tuple[Violation, ...]]]:
        """Survive the way between processes: made again from its faults, not from its message."""
        return type(self), (self.violations,)

    @classmethod
    def of(cls, field: str, value: object, allowed: str) -> InvalidProblem:
        """Build the error for a single faulty field."""
        return cls([Violation(field, shown(value), allowed)])


class UnknownName(InvalidProblem):
    """A card, platform, workload or catalogue of that id does not exist; the message offers the nearest names."""


class SolverFailure(RuntimeError):
    """Our own fault: the solver broke, or an answer did not survive its re-check. Never shown to a remote client."""


class ServerUnavailable(RuntimeError):
    """The server that was asked cannot be reached, is full, does not let us in, or did not answer in time.

    `passing` is whether asking again later may help.
    """

    def __init__(self, message: str, passing: bool = True) -> None:
        """Keep the message, and whether to ask again."""
        super().__init__(message)
        self.passing = passing


class Interrupted(Exception):
    """A call to a server was given up because its caller said so."""


def shown(value: object) -> str:
    """Return `value` as it is quoted in an error line: one line, at most 60 characters."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else repr(value) if not hasattr(value, "as_tuple") else str(value)
    text = "".join(c if c.isprintable() else "?" for c in text)
    if isinstance(value, str):
        text = f'"{text}"'
    return text if len(text) <= _SHOWN_VALUE_CHARS else text[: _SHOWN_VALUE_CHARS - 3] + "..."


def os_reason(error: OSError) -> str:
    """Why the operating system refused, in the reader's language where it is one of the usual reasons."""
    return say(OS_REASONS.get(error.errno or 0) or error.strerror or NO_SUCH_FILE)


NO_SUCH_FILE = message("no such file")
OS_REASONS = {
    errno.EACCES: message("Permission denied"),
    errno.EEXIST: message("File exists"),
    errno.EISDIR: message("Is a directory"),
    errno.ELOOP: message("Too many levels of symbolic links"),
    errno.ENAMETOOLONG: message("File name too long"),
    errno.ENOENT: message("No such file or directory"),
    errno.ENOSPC: message("No space left on device"),
    errno.ENOTDIR: message("Not a directory"),
    errno.EROFS: message("Read-only file system"),
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean a, b?)' for the known names nearest to `name`, or the empty string."""
    import difflib  # 2 ms, which most commands need not wait for

    found = difflib.get_close_matches(name[:80], list(known), n=3, cutoff=0.5)
    return say(" (did you mean {names}?)", names=listed(found)) if found else ""


_PHRASES: Mapping[str, str] = {
    "missing": message("is required"),
    "int_type": message("must be a whole number"),
    "int_from_float": message("must be a whole number"),
    "int_parsing": message("must be a whole number"),
    "bool_type": message("must be true or false"),
    "string_type": message("must be text"),
    "string_too_long": message("must have at most {max_length} characters"),
    "string_too_short": message("must have at least {min_length} characters"),
    "greater_than_equal": message("must be at least {ge}"),
    "greater_than": message("must be above {gt}"),
    "less_than": message("must be below {lt}"),
    "less_than_equal": message("must be at most {le}"),
    "literal_error": message("must be one of {expected}"),
    "model_type": message("must be a group of named fields"),
    "model_attributes_type": message("must be a group of named fields"),
    "dict_type": message("must be a group of named fields"),
    "tuple_type": message("must be a list"),
    "list_type": message("must be a list"),
    "too_short": message("must have at least {min_length} entries"),
    "too_long": message("must have at most {max_length} entries"),
    "string_pattern_mismatch": message("must be lower-case letters, digits and '-', '.', '_' (as in rtx-a6000)"),
    "date_type": message("must be a date such as 2023-07-01"),
    "date_from_datetime_parsing": message("must be a date such as 2023-07-01"),
    "date_parsing": message("must be a date such as 2023-07-01"),
    "date_from_datetime_inexact": message("must be a date such as 2023-07-01"),
    "recursion_loop": message("must not contain itself"),
}


def from_validation_error(
    error: ValidationError, prefix: str = "", known: Mapping[str, Iterable[str]] | None = None
) -> InvalidProblem:
    """Turn pydantic's error into ours: dotted paths, the value given, what is allowed; the nearest known key.

    Args:
        error: what pydantic raised.
        prefix: dotted path put before every field.
        known: for each dotted parent path (without `prefix` and list positions), the keys that exist there; used for
            unknown keys. `records.known_keys` makes it.
    """
    violations = []
    for item in error.errors(include_url=False):
        parts = [_plain_part(part) for part in item["loc"]]
        path = ".".join(parts)
        field = ".".join(part for part in (prefix, path) if part) or "problem"
        kind = item["type"]
        context: dict[str, Any] = dict(item.get("ctx", {}))
        if kind == "extra_forbidden":
            parent = ".".join(str(part) for part in item["loc"][:-1] if not isinstance(part, int))
            options = tuple((known or {}).get(parent, ()))
            violations.append(Violation(field, "", say("unknown field") + nearest(parts[-1], options)))
            continue
        if kind == "value_error":
            allowed = str(context.get("error", item["msg"]))
        elif kind == "string_pattern_mismatch" and "pattern" in context and "{4}" in context["pattern"]:
            allowed = say("must be a date such as 2023, 2023-07 or 2023-07-01, as text")
        elif kind in _PHRASES:
            allowed = say(_PHRASES[kind], **_context(context))
        else:
            allowed = item["msg"][:1].lower() + item["msg"][1:]
        value = item.get("input")
        plain = isinstance(value, (str, int, float, bool)) or hasattr(value, "as_tuple")
        violations.append(Violation(field, shown(value) if plain and kind != "missing" else "", allowed))
    return InvalidProblem(violations)


def _context(context: Mapping[str, Any]) -> dict[str, Any]:
    """The values of pydantic's message; the choices it joins as in English are joined as the reader would."""
    expected = context.get("expected")
    if not isinstance(expected, str):
        return dict(context)
    *first, last = expected.replace(" or ", ", ").split(", ")
    return {**context, "expected": say("{names} or {last}", names=listed(first), last=last) if first else last}


def _plain_part(part: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(part)[:80])
