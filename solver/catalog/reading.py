"""Guarded YAML: nothing is built before the event stream has been checked, and numbers mean what they look like.

Refused in one line each: aliases and anchors, tags, duplicate keys, nesting beyond 32, scalars beyond 10,000
characters, files beyond 16 MiB or 400,000 parts. Scalars follow YAML 1.2's core schema: `NO` and `1:30` stay text,
`3e5` is a number. The check sits on the events of the parser, because the C loader itself dies of deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from solver.domain.errors import InvalidProblem, os_reason, shown
from solver.domain.language import message, say

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 32
MAX_SCALAR_CHARS = 10_000
MAX_EVENTS = 400_000
"""Parts (values, keys, starts and ends of groups) of one file; about 4,000 cards. More go into several files."""

_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_LONGEST_NUMBER = 40


class Mapping(dict[str, Any]):
    """A mapping that remembers the line of each of its keys (from 1)."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


def read_file(path: Path) -> bytes:
    """Read a file of at most 16 MiB; never more than that of a device or a pipe.

    Raises:
        InvalidProblem: missing, a folder, unreadable or too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InvalidProblem.of(str(path), None, say("no such file")) from None
    except IsADirectoryError:
        raise InvalidProblem.of(str(path), None, say("is a folder, a file is needed")) from None
    except OSError as error:
        raise InvalidProblem.of(str(path), None, say("cannot be read: {reason}", reason=os_reason(error))) from None
    except ValueError:  # a NUL in it
        raise InvalidProblem.of(shown(str(path)), None, say("is not the name of a file")) from None
    if len(data) > MAX_BYTES:
        raise InvalidProblem.of(str(path), None, say("is larger than {most} MiB", most=MAX_BYTES // 2**20))
    return data


def parse_yaml(data: bytes, name: str) -> Any:
    """Parse guarded YAML into mappings (with line numbers), lists and scalars.

    Raises:
        InvalidProblem: not YAML, or anything the guard refuses; the message has file and line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidProblem.of(name, None, say("is not UTF-8 text (byte {at})", at=error.start)) from None
    try:
        return _build(text, name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or say("cannot be parsed")
        raise InvalidProblem.of(where, None, say("is not YAML: {reason}", reason=str(reason)[:100])) from None


def line_at(document: Any, path: Sequence[str]) -> int | None:
    """The line of the innermost part of `path` (keys and list positions) that the document has."""
    line: int | None = document.line if isinstance(document, Mapping) else None
    here = document
    for part in path:
        if isinstance(here, Mapping):
            if part not in here:
                break
            line, here = here.lines[part], here[part]
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            break
        if isinstance(here, Mapping) and here.line > (line or 0):
            line = here.line
    return line


def _build(text: str, name: str) -> Any:
    """Build the one document of a text from its events, checking each before anything is made of it."""
    root: list[Any] = []
    here: Any = root  # the container being filled
    key: str | None = None  # of a mapping: the key that waits for its value
    stack: list[tuple[Any, str | None]] = []
    scalar, mapping_start, sequence_start = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
    ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)

    def fault(event: Any, reason: str) -> InvalidProblem:
        return InvalidProblem.of(f"{name}:{event.start_mark.line + 1}", None, reason)

    events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
    for number, event in enumerate(events):
        if number > MAX_EVENTS:
            raise fault(event, say("has more than {most:,} parts; divide it into several files", most=MAX_EVENTS))
        kind = type(event)
        if kind is scalar or kind is mapping_start or kind is sequence_start:
            if event.anchor is not None:
                raise fault(event, say(_NO_ANCHORS))
            if event.tag is not None:
                raise fault(event, say("tags (!) are not allowed"))
            in_mapping = type(here) is Mapping
            value: Any
            if kind is scalar:
                value = event.value
                if len(value) > MAX_SCALAR_CHARS:
                    raise fault(event, say("a value is longer than {most:,} characters", most=MAX_SCALAR_CHARS))
                if in_mapping and key is None:
                    if value in here:
                        raise fault(event, say("key {key!r} is given twice", key=value[:60]))
                    here.lines[value] = event.start_mark.line + 1
                    key = value
                    continue
                if event.implicit[0]:
                    try:
                        value = _scalar(value)
                    except _NumberFault as reason:
                        raise fault(event, str(reason)) from None
            else:
                if in_mapping and key is None:
                    raise fault(event, say("a key must be plain text"))
                if len(stack) >= MAX_DEPTH:
                    raise fault(event, say("is nested deeper than {most} levels", most=MAX_DEPTH))
                value = Mapping(event.start_mark.line + 1) if kind is mapping_start else []
            if in_mapping:
                here[key] = value
                key = None
            else:
                here.append(value)
            if kind is not scalar:
                stack.append((here, key))
                here, key = value, None
        elif kind in ends:
            here, key = stack.pop()
        elif kind is yaml.AliasEvent:
            raise fault(event, say(_NO_ANCHORS))
        elif kind is yaml.DocumentStartEvent and root:
            raise fault(event, say("has more than one document"))
    return root[0] if root else None


_LOADER = yaml.CLoader if hasattr(yaml, "CLoader") else yaml.Loader
_NO_ANCHORS = message("anchors and aliases (&, *) are not allowed")
_MOST_PLAIN = 10**15
_NUMBER_START = frozenset("+-.0123456789")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _NumberFault(ValueError):
    """A number that cannot be held: the reason, without the place."""


def _scalar(text: str) -> Any:
    """The value of a plain scalar: null, true, false, a whole number, a number, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    whole = _INT.match(text)
    if whole is None and _FLOAT.match(text) is None:
        return text
    if len(text) > _LONGEST_NUMBER:
        raise _NumberFault(say("a number has more than {most} characters", most=_LONGEST_NUMBER))
    if whole is not None:
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _NumberFault(say("number {text} is too large", text=text))
    exact = Decimal(text)
    if "." not in text and value.is_integer() and abs(value) <= _MOST_PLAIN:
        return int(value)  # 3e5
    return value if exact == Decimal(repr(value)) else exact
