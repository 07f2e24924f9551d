"""One scenario as it is written, in YAML or as a line of a table: what it changes, and what is wrong with it.

Modify this module when a scenario may say more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from solver.catalog.reading import Mapping as Lines
from solver.domain.errors import InvalidProblem, Violation, nearest
from solver.domain.language import say
from solver.sweep.expect import expectation
from solver.sweep.file.written import ALL_PRICES, Entry
from solver.sweep.questions import checked_path
from solver.sweep.rows import Record
from solver.sweep.values import factor_of, read_cell, read_value

SCENARIO = ("name", "set", "scale", "expect", "note")


def check_keys(found: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse a key that is not known, and offer the nearest.

    Raises:
        InvalidProblem: at `where`, and its line if `where` has none and the keys have lines.
    """
    for key in found:
        if key not in known:
            line = f":{found.lines[key]}" if isinstance(found, Lines) and ":" not in where else ""
            raise InvalidProblem(
                [Violation(f"{where}{line}: {str(key)[:60]}", "", say("unknown key") + nearest(key, known))]
            )


def expectations_of(value: Any, where: str) -> tuple[str, ...]:
    """One comparison or a list of them, as texts that can be read.

    Raises:
        InvalidProblem: at `where`, one cannot.
    """
    if value is None:
        return ()
    texts = value if isinstance(value, list) else [value]
    try:
        for text in texts:
            if not isinstance(text, str):
                raise InvalidProblem.of("expect", None, say("must be a comparison such as total_batch >= 16"))
            expectation(text)
    except InvalidProblem as error:
        raise located_at(error, where) from None
    return tuple(texts)


def located_at(error: InvalidProblem, where: str) -> InvalidProblem:
    """The same faults, told with the place they stand at."""
    return InvalidProblem(Violation(f"{where}: {v.field}", v.value, v.allowed) for v in error.violations)


def entry_of(
    item: Any, default_name: str, file: str, expect: tuple[str, ...], known: Sequence[str] = SCENARIO
) -> Entry:
    """A scenario of a YAML file; what is wrong with it becomes its fault."""
    where = f"{file}:{item.line}" if isinstance(item, Lines) else file
    name = default_name
    try:
        if not isinstance(item, Mapping):
            raise InvalidProblem.of(where, None, say("must be a group with name, set, scale or expect"))
        name = _named(item.get("name"), default_name)
        check_keys(item, known, where)
        changes = _changes(item.get("set"), read_value)
        scale = _scales(item.get("scale"))
        own = expectations_of(item.get("expect"), "")
    except InvalidProblem as error:
        return Entry(
            name, where, fault="; ".join(str(v).removeprefix(f"{where}: ").removeprefix(": ") for v in error.violations)
        )
    return Entry(name, where, changes, scale, (*expect, *own))


def _named(value: Any, default: str) -> str:
    if value is None:
        return default
    text = str(value)
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise InvalidProblem.of("name", text[:40], say("must have 1 to 200 printable characters"))
    return text.strip()


def _changes(value: Any, read_one: Callable[[str, Any], Any]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidProblem.of("set", None, say("must be a group of paths and values"))
    changes = {}
    for path, each in _leaves(value):
        checked_path(path)
        changes[path] = read_one(path, each)
    return changes


def _leaves(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Paths and values; `limits: {budget_cny: 1}` says the same as `limits.budget_cny: 1`."""
    found = []
    for key, each in value.items():
        if isinstance(each, Mapping) and key in ("limits", "site", "workload", "prices"):
            found += [(f"{key}.{name}", inner) for name, inner in each.items()]
        else:
            found.append((str(key), each))
    return found


def _scales(value: Any) -> dict[str, Decimal]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidProblem.of("scale", None, say("must be a group of paths and factors"))
    found = {}
    for path, each in _leaves(value):
        if path != ALL_PRICES:
            checked_path(path)
        found[path] = factor_of(each, path)
    return found


def entry_of_record(record: Record, number: int, form: str) -> Entry:
    """A line of a table or of JSONL."""
    name = f"scenario-{number}"
    try:
        if record.fault:
            raise InvalidProblem([Violation("", "", record.fault)])
        fields = dict(record.fields)
        name = _named(fields.pop("name", None), name)
        expect = fields.pop("expect", None)
        fields.pop("note", None)
        if form != "jsonl" and isinstance(expect, str):
            expect = [text.strip() for text in expect.split(";") if text.strip()]
        nested = {**(fields.pop("set", None) or {})} if form == "jsonl" else {}
        scales = {**(fields.pop("scale", None) or {})} if form == "jsonl" else {}
        for key, value in fields.items():
            if key.startswith(("scale.", "scale:")):
                scales[key[6:]] = value
            else:
                nested[key.removeprefix("set.")] = value
        changes = _changes(nested, read_value if form == "jsonl" else read_cell)
        return Entry(name, record.where, changes, _scales(scales), expectations_of(expect, ""))
    except InvalidProblem as error:
        fault = "; ".join(str(v).removeprefix(": ") for v in error.violations)
        return Entry(name, record.where, fault=fault)


def unique(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """A name that stands twice is the fault of the second."""
    seen: dict[str, str] = {}
    made = []
    for entry in entries:
        first = seen.setdefault(entry.name, entry.where)
        if first != entry.where and not entry.fault:
            entry = Entry(
                entry.name, entry.where, fault="name: " + say("has been given already ({first})", first=first)
            )
        made.append(entry)
    return tuple(made)
