"""Guarded YAML: nothing is built before the event stream has been checked, and numbers mean what they look like.

Refused in one line each: aliases and anchors, tags, duplicate keys, nesting beyond 32, scalars beyond 10,000
characters, files beyond 16 MiB. Scalars follow YAML 1.2's core schema: `NO` and `1:30` stay text, `3e5` is a number.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from solver.domain.errors import InvalidProblem

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 32
MAX_SCALAR_CHARS = 10_000
MAX_EVENTS = 2_000_000

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_LONGEST_NUMBER = 40


class Mapping(dict[str, Any]):
    """A mapping that remembers the line of each of its keys (from 1)."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


def read_text(path: Path) -> bytes:
    """Read a file of at most 16 MiB.

    Raises:
        InvalidProblem: missing, a folder, unreadable or too large.
    """
    try:
        if path.is_dir():
            raise InvalidProblem.of(str(path), None, "is a folder, a file is needed")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidProblem.of(str(path), None, f"cannot be read: {error.strerror or 'no such file'}") from None
    except ValueError:
        raise InvalidProblem.of(str(path)[:60], None, "is not a file name") from None
    if len(data) > MAX_BYTES:
        raise InvalidProblem.of(str(path), None, f"is larger than {MAX_BYTES // 2**20} MiB")
    return data


def parse_yaml(data: bytes, name: str) -> Any:
    """Parse guarded YAML into mappings (with line numbers), lists and scalars.

    Raises:
        InvalidProblem: not YAML, or anything the guard refuses; the message has file and line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidProblem.of(name, None, f"is not UTF-8 text (byte {error.start})") from None
    try:
        return _build(text, name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        reason = getattr(error, "problem", None) or "cannot be parsed"
        raise InvalidProblem.of(where, None, f"is not YAML: {str(reason)[:100]}") from None


def _build(text: str, name: str) -> Any:
    loader = yaml.CLoader if hasattr(yaml, "CLoader") else yaml.Loader
    root: list[Any] = []
    stack: list[tuple[Any, str | None]] = [(root, None)]  # container, and the key that waits for its value

    def fault(event: Any, reason: str) -> InvalidProblem:
        return InvalidProblem.of(f"{name}:{event.start_mark.line + 1}", None, reason)

    def put(event: Any, value: Any, is_key_candidate: bool) -> None:
        container, key = stack[-1]
        if isinstance(container, Mapping):
            if key is None:
                if not is_key_candidate:
                    raise fault(event, "a key must be plain text")
                if value in container:
                    raise fault(event, f"key {value[:60]!r} is given twice")
                container.lines[value] = event.start_mark.line + 1
                stack[-1] = (container, value)
            else:
                container[key] = value
                stack[-1] = (container, None)
        else:
            container.append(value)

    for number, event in enumerate(yaml.parse(text, Loader=loader)):
        if number > MAX_EVENTS:
            raise fault(event, f"has more than {MAX_EVENTS:,} parts")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise fault(event, "anchors and aliases (&, *) are not allowed")
        if isinstance(event, yaml.ScalarEvent):
            if event.tag is not None:
                raise fault(event, "tags (!) are not allowed")
            if len(event.value) > MAX_SCALAR_CHARS:
                raise fault(event, f"a value is longer than {MAX_SCALAR_CHARS:,} characters")
            container, key = stack[-1]
            if isinstance(container, Mapping) and key is None:
                put(event, event.value, True)
            else:
                put(event, _scalar(event.value, event.implicit[0], lambda reason, e=event: fault(e, reason)), False)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if event.tag is not None:
                raise fault(event, "tags (!) are not allowed")
            if len(stack) > MAX_DEPTH:
                raise fault(event, f"is nested deeper than {MAX_DEPTH} levels")
            line = event.start_mark.line + 1 if event.start_mark else 0
            opened: Any = Mapping(line) if isinstance(event, yaml.MappingStartEvent) else []
            put(event, opened, False)
            stack.append((opened, None))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            stack.pop()
        elif isinstance(event, yaml.DocumentStartEvent) and root:
            raise fault(event, "has more than one document")
    return root[0] if root else None


def _scalar(text: str, plain: bool, fault: Any) -> Any:
    if not plain:
        return text
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if len(text) <= _LONGEST_NUMBER:
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            value = float(text)
            if value in (float("inf"), float("-inf")):
                raise fault(f"number {text} is too large")
            return value
    elif _INT.match(text) or _FLOAT.match(text):
        raise fault(f"a number has more than {_LONGEST_NUMBER} characters")
    return text
