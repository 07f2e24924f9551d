"""Faults of a saved answer, and two documents held against each other figure by figure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from solver.domain.base import Record
from solver.domain.language import say


class Fault(Record):
    """A figure that is off: in which file, which one, what it is, and what follows from the question instead.

    `expected` is empty where a figure is refuted, but what it should be does not follow; `reason` then says why.
    """

    file: str
    figure: str
    found: str = ""
    expected: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """One line: file, figure, what it is, what it should be."""
        if self.reason:
            told = say("{found}: {reason}", found=self.found, reason=self.reason) if self.found else self.reason
        elif not self.expected:
            told = say("{found}, which does not belong there", found=self.found)
        elif not self.found:
            told = say("is missing; {expected} follows", expected=self.expected)
        else:
            told = say("{found}, but {expected} follows", found=self.found, expected=self.expected)
        return f"{self.file}: {self.figure}: {told}"


def compared(file: str, found: Any, expected: Any, path: str = "") -> Iterator[Fault]:
    """Every value of a JSON document that differs from what it should be, by its dotted path."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys((*expected, *found)):
            yield from _part(file, found, expected, key, f"{path}.{key}" if path else str(key))
    elif isinstance(found, list) and isinstance(expected, list):
        for at in range(max(len(found), len(expected))):
            yield from _part(file, dict(enumerate(found)), dict(enumerate(expected)), at, f"{path}.{at}")
    elif not _equal(found, expected):
        yield Fault(file=file, figure=path, found=shown(found), expected=shown(expected))


def _part(file: str, found: Any, expected: Any, key: Any, path: str) -> Iterator[Fault]:
    if key not in found:
        yield Fault(file=file, figure=path, expected=shown(expected[key]))
    elif key not in expected:
        yield Fault(file=file, figure=path, found=shown(found[key]))
    else:
        yield from compared(file, found[key], expected[key], path)


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    return bool(found == expected)


def shown(value: Any) -> str:
    """A JSON value in a message: its JSON text, not too long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def count_of(document: Any) -> int:
    """How many numbers there are in a JSON document."""
    if isinstance(document, dict):
        return sum(count_of(part) for part in document.values())
    if isinstance(document, list):
        return sum(count_of(part) for part in document)
    return int(isinstance(document, (int, float)) and not isinstance(document, bool))
