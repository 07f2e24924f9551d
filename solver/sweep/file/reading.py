"""Bytes -> `ScenarioFile`: which form it has, its top keys, and what is wrong with it as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from solver.catalog.reading import Mapping as Lines
from solver.catalog.reading import parse_yaml, read_file
from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.sweep.file.base import Base, own_base, read_base
from solver.sweep.file.scenarios import check_keys, entry_of, entry_of_record, expectations_of, unique
from solver.sweep.file.sweeps import sweep_of
from solver.sweep.file.written import ScenarioFile
from solver.sweep.rows import read_jsonl, read_table

TOP = ("version", "name", "description", "base", "scenarios", "sweeps", "expect")
VERSION = 1
MOST_SCENARIOS = 100_000_000
FORMATS = ("yaml", "csv", "xlsx", "jsonl")


def read(path: Path, base: Path | None = None) -> tuple[ScenarioFile, bytes]:
    """Read a scenario file, and for a table the base question beside it.

    Returns:
        The file, and its bytes as they were.

    Raises:
        InvalidProblem: unreadable, refused by the guards, or wrong as a whole.
    """
    data = read_file(path)
    return parse(data, path.name, path.parent, None if base is None else read_base(base)), data


def parse(data: bytes, name: str, folder: Path | None = None, base: Base | None = None) -> ScenarioFile:
    """Parse a scenario file; the ending of its name says what it is.

    Args:
        data: its bytes.
        name: its name, for messages and the form.
        folder: where a `base: {file: ...}` is looked for; None refuses one.
        base: the base question given beside the file, which then must not have one of its own.
    """
    return _parse(data, name, lambda own, where: own_base(own, where, folder, base), base)


def parse_again(data: bytes, name: str, question: Mapping[str, Any]) -> ScenarioFile:
    """Parse the bytes of a file that was read before; `question` is what came of its base then."""
    base = Base(question)
    return _parse(data, name, lambda _own, _where: base, base)


_BaseOf = Callable[[Any, str], Base]


def _parse(data: bytes, name: str, base_of: _BaseOf, base: Base | None) -> ScenarioFile:
    ending = Path(name).suffix.lower().lstrip(".")
    form = {"yml": "yaml", "ndjson": "jsonl", "tsv": "csv"}.get(ending, ending)
    if form not in FORMATS:
        raise InvalidProblem.of(name, None, say("must end in .yaml, .csv, .xlsx or .jsonl"))
    if form == "yaml":
        return _from_yaml(parse_yaml(data, name), name, base_of, base)
    records = read_jsonl(data, name) if form == "jsonl" else read_table(data, name)
    if form == "jsonl" and records and set(records[0].fields) == {"base"}:
        base = base_of(records[0].fields["base"], records[0].where)
        records = records[1:]
    entries = unique([entry_of_record(record, number, form) for number, record in enumerate(records, 1)])
    if not entries:
        raise InvalidProblem.of(name, None, say("has no scenarios"))
    base = base or Base({})
    return ScenarioFile(name, form, base.question, entries, is_table=True, base_places=base.places)


def _from_yaml(document: Any, name: str, base_of: _BaseOf, base: Base | None) -> ScenarioFile:
    if not isinstance(document, Lines):
        raise InvalidProblem.of(name, None, say("must have scenarios: or sweeps:; see `whatif init`"))
    check_keys(document, TOP, name)
    if document.get("version", VERSION) != VERSION:
        raise InvalidProblem.of(f"{name}:{document.lines['version']}: version", document["version"], say("must be 1"))
    if document.get("base") is not None:
        base = base_of(document["base"], f"{name}:{document.lines['base']}")
    base = base or Base({})
    expect = expectations_of(document.get("expect"), f"{name}:{document.lines.get('expect', 1)}")
    entries, sweeps = [], []
    for number, item in enumerate(_list(document, "scenarios", name), 1):
        entries.append(entry_of(item, f"scenario-{number}", name, expect))
    for number, item in enumerate(_list(document, "sweeps", name), 1):
        sweeps.append(sweep_of(item, f"sweep-{number}", name, expect))
    if not entries and not sweeps:
        raise InvalidProblem.of(name, None, say("has no scenarios"))
    names = [sweep.entry.name for sweep in sweeps]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise InvalidProblem.of(f"{name}: sweeps", twice, say("is the name of two sweeps"))
    found = ScenarioFile(name, "yaml", base.question, unique(entries), tuple(sweeps), base_places=base.places)
    if found.total > MOST_SCENARIOS:
        raise InvalidProblem.of(
            name, found.total, say("must stand for at most {most_scenarios:,} scenarios", most_scenarios=MOST_SCENARIOS)
        )
    return found


def _list(document: Lines, key: str, name: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidProblem.of(f"{name}:{document.lines[key]}: {key}", None, say("must be a list"))
    return value
