"""Scenario files: YAML for people; CSV, XLSX and JSONL for thousands. Bytes -> `ScenarioFile`, nothing expanded yet.

What is wrong with the file as a whole is an error; what is wrong with one scenario stays with that scenario, by name,
file and line, and does not stop the others. The keys of a YAML file are the tables `TOP`, `SCENARIO` and `SWEEP`
below; schema.py describes the same to editors. Modify this module when a file may say more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from solver.catalog.question import overlay
from solver.catalog.question_file import read_question
from solver.catalog.reading import Mapping as Lines
from solver.catalog.reading import line_at, parse_yaml, read_file
from solver.domain.errors import InvalidProblem, Violation, nearest
from solver.sweep.draws import MOST_DRAWS, Draw, read_draw
from solver.sweep.expect import expectation
from solver.sweep.questions import checked_path
from solver.sweep.rows import Record, read_jsonl, read_table
from solver.sweep.values import Range, factor_of, read_cell, read_value

TOP = ("version", "name", "description", "base", "scenarios", "sweeps", "expect")
SCENARIO = ("name", "set", "scale", "expect", "note")
SWEEP = ("name", "set", "scale", "expect", "note", "grid", "zip", "random")
VERSION = 1
MOST_SCENARIOS = 100_000_000
ALL_PRICES = "prices"
"""A path of `scale` and of nothing else: every price there is."""
Axis = tuple[str, list[Any] | Range]
"""A path and its values."""
FORMATS = ("yaml", "csv", "xlsx", "jsonl")


@dataclass(frozen=True)
class Entry:
    """One scenario as it is written, with its line; `fault` says what is wrong with it."""

    name: str
    where: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    scale: Mapping[str, Decimal] = field(default_factory=dict)
    expect: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Sweep:
    """One sweep as it is written: what every scenario of it has, and along which axes they differ."""

    entry: Entry
    grid: tuple[Axis, ...] = ()
    zipped: tuple[Axis, ...] = ()
    draws: tuple[Draw, ...] = ()
    draw_count: int = 1
    seed: str = ""

    @property
    def paths(self) -> list[str]:
        """All paths that differ within it, in order."""
        return [path for path, _ in (*self.grid, *self.zipped)] + [draw.path for draw in self.draws]

    def __len__(self) -> int:
        """How many scenarios it has."""
        total = self.draw_count if self.draws else 1
        for _, values in self.grid:
            total *= len(values)
        return total * len(self.zipped[0][1]) if self.zipped else total


@dataclass(frozen=True)
class ScenarioFile:
    """A file of scenarios: the base question, what is written one by one, what is swept, in this order."""

    name: str
    form: str
    question: Mapping[str, Any]
    entries: tuple[Entry, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    is_table: bool = False
    base_places: tuple[tuple[str, Lines], ...] = ()
    """The texts the base question comes from, the one that has the last word first: file name, and lines."""

    def located(self, error: InvalidProblem) -> InvalidProblem:
        """A fault of the base question with its file and line, where one of its texts has that path."""
        faults = []
        for fault in error.violations:
            path = fault.field.split(".")
            for name, document in self.base_places:
                if path[0] in document:
                    faults.append(
                        Violation(f"{name}:{line_at(document, path)}: {fault.field}", fault.value, fault.allowed)
                    )
                    break
            else:
                faults.append(fault)
        return type(error)(faults)

    @property
    def total(self) -> int:
        """How many scenarios it stands for."""
        return len(self.entries) + sum(len(sweep) for sweep in self.sweeps)

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that any scenario changes, in the order of the file."""
        found: dict[str, None] = {}
        for entry in self.entries:
            found.update(dict.fromkeys((*entry.changes, *(p for p in entry.scale if p != ALL_PRICES))))
        for sweep in self.sweeps:
            scaled = (p for p in sweep.entry.scale if p != ALL_PRICES)
            found.update(dict.fromkeys((*sweep.entry.changes, *sweep.paths, *scaled)))
        return tuple(found)


@dataclass(frozen=True)
class Base:
    """The base question as plain data, and the texts it comes from: file name and lines, the last word first."""

    question: Mapping[str, Any]
    places: tuple[tuple[str, Lines], ...] = ()


def read(path: Path, base: Path | None = None) -> tuple[ScenarioFile, bytes]:
    """Read a scenario file, and for a table the base question beside it.

    Returns:
        The file, and its bytes as they were.

    Raises:
        InvalidProblem: unreadable, refused by the guards, or wrong as a whole.
    """
    data = read_file(path)
    return parse(data, path.name, path.parent, None if base is None else read_base(base)), data


def read_base(path: Path) -> Base:
    """A problem file as a base question."""
    document = read_question(str(path))
    return Base(_plain(document), ((path.name, document),))


def parse(data: bytes, name: str, folder: Path | None = None, base: Base | None = None) -> ScenarioFile:
    """Parse a scenario file; the ending of its name says what it is.

    Args:
        data: its bytes.
        name: its name, for messages and the form.
        folder: where a `base: {file: ...}` is looked for; None refuses one.
        base: the base question given beside the file, which then must not have one of its own.
    """
    return _parse(data, name, lambda own, where: _own_base(own, where, folder, base), base)


def parse_again(data: bytes, name: str, question: Mapping[str, Any]) -> ScenarioFile:
    """Parse the bytes of a file that was read before; `question` is what came of its base then."""
    base = Base(question)
    return _parse(data, name, lambda _own, _where: base, base)


_BaseOf = Callable[[Any, str], Base]


def _parse(data: bytes, name: str, base_of: _BaseOf, base: Base | None) -> ScenarioFile:
    ending = Path(name).suffix.lower().lstrip(".")
    form = {"yml": "yaml", "ndjson": "jsonl", "tsv": "csv"}.get(ending, ending)
    if form not in FORMATS:
        raise InvalidProblem.of(name, None, "must end in .yaml, .csv, .xlsx or .jsonl")
    if form == "yaml":
        return _from_yaml(parse_yaml(data, name), name, base_of, base)
    records = read_jsonl(data, name) if form == "jsonl" else read_table(data, name)
    if form == "jsonl" and records and set(records[0].fields) == {"base"}:
        base = base_of(records[0].fields["base"], records[0].where)
        records = records[1:]
    entries = _unique([_from_record(record, number, form) for number, record in enumerate(records, 1)])
    if not entries:
        raise InvalidProblem.of(name, None, "has no scenarios")
    base = base or Base({})
    return ScenarioFile(name, form, base.question, entries, is_table=True, base_places=base.places)


def _from_yaml(document: Any, name: str, base_of: _BaseOf, base: Base | None) -> ScenarioFile:
    if not isinstance(document, Lines):
        raise InvalidProblem.of(name, None, "must have scenarios: or sweeps:; see `whatif init`")
    _known_keys(document, TOP, name)
    if document.get("version", VERSION) != VERSION:
        raise InvalidProblem.of(f"{name}:{document.lines['version']}: version", document["version"], "must be 1")
    if document.get("base") is not None:
        base = base_of(document["base"], f"{name}:{document.lines['base']}")
    base = base or Base({})
    expect = _expectations(document.get("expect"), f"{name}:{document.lines.get('expect', 1)}")
    entries, sweeps = [], []
    for number, item in enumerate(_list(document, "scenarios", name), 1):
        entries.append(_entry(item, f"scenario-{number}", name, expect))
    for number, item in enumerate(_list(document, "sweeps", name), 1):
        sweeps.append(_sweep(item, f"sweep-{number}", name, expect))
    if not entries and not sweeps:
        raise InvalidProblem.of(name, None, "has no scenarios")
    names = [sweep.entry.name for sweep in sweeps]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise InvalidProblem.of(f"{name}: sweeps", twice, "is the name of two sweeps")
    found = ScenarioFile(name, "yaml", base.question, _unique(entries), tuple(sweeps), base_places=base.places)
    if found.total > MOST_SCENARIOS:
        raise InvalidProblem.of(name, found.total, f"must stand for at most {MOST_SCENARIOS:,} scenarios")
    return found


def _own_base(value: Any, where: str, folder: Path | None, other: Base | None) -> Base:
    if other is not None:
        raise InvalidProblem.of(where, None, "has a base of its own, and another was given")
    if not isinstance(value, Mapping):
        raise InvalidProblem.of(f"{where}: base", None, "must be a group of named fields")
    places = ((where.partition(":")[0], value),) if isinstance(value, Lines) else ()
    question = _plain(value)
    if "file" not in question:
        return Base(question, places)
    below = read_base(_inside(question.pop("file"), where, folder))
    return Base(overlay(below.question, question), (*places, *below.places))


def _inside(given: Any, where: str, folder: Path | None) -> Path:
    """The file beside the scenario file; none outside its folder, by no name and no link."""
    if not isinstance(given, str) or folder is None or Path(given).is_absolute():
        raise InvalidProblem.of(f"{where}: base.file", given, "must name a file in the folder of the scenario file")
    root, target = folder.resolve(), (folder / given).resolve()
    if not target.is_relative_to(root):
        raise InvalidProblem.of(f"{where}: base.file", given, "must lie in the folder of the scenario file")
    return target


def _plain(value: Any) -> Any:
    """Without line numbers, for JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


def _list(document: Lines, key: str, name: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidProblem.of(f"{name}:{document.lines[key]}: {key}", None, "must be a list")
    return value


def _known_keys(found: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in found:
        if key not in known:
            line = f":{found.lines[key]}" if isinstance(found, Lines) and ":" not in where else ""
            raise InvalidProblem(
                [Violation(f"{where}{line}: {str(key)[:60]}", "", "unknown key" + nearest(key, known))]
            )


def _expectations(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = value if isinstance(value, list) else [value]
    try:
        for text in texts:
            if not isinstance(text, str):
                raise InvalidProblem.of("expect", None, "must be a comparison such as total_batch >= 16")
            expectation(text)
    except InvalidProblem as error:
        raise _at(error, where) from None
    return tuple(texts)


def _at(error: InvalidProblem, where: str) -> InvalidProblem:
    return InvalidProblem(Violation(f"{where}: {v.field}", v.value, v.allowed) for v in error.violations)


def _entry(item: Any, default_name: str, file: str, expect: tuple[str, ...], known: Sequence[str] = SCENARIO) -> Entry:
    """A scenario of a YAML file; what is wrong with it becomes its fault."""
    where = f"{file}:{item.line}" if isinstance(item, Lines) else file
    name = default_name
    try:
        if not isinstance(item, Mapping):
            raise InvalidProblem.of(where, None, "must be a group with name, set, scale or expect")
        name = _named(item.get("name"), default_name)
        _known_keys(item, known, where)
        changes = _changes(item.get("set"), read_value)
        scale = _scales(item.get("scale"))
        own = _expectations(item.get("expect"), "")
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
        raise InvalidProblem.of("name", text[:40], "must have 1 to 200 printable characters")
    return text.strip()


def _changes(value: Any, read_one: Callable[[str, Any], Any]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidProblem.of("set", None, "must be a group of paths and values")
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
        raise InvalidProblem.of("scale", None, "must be a group of paths and factors")
    found = {}
    for path, each in _leaves(value):
        if path != ALL_PRICES:
            checked_path(path)
        found[path] = factor_of(each, path)
    return found


def _sweep(item: Any, default_name: str, file: str, expect: tuple[str, ...]) -> Sweep:
    entry = _entry(item, default_name, file, expect, SWEEP)
    if entry.fault:
        raise InvalidProblem([Violation(entry.where, "", entry.fault)])
    try:
        grid = _axes(item, "grid")
        zipped = _axes(item, "zip")
        if len({len(values) for _, values in zipped}) > 1:
            raise InvalidProblem.of("zip", None, "must have lists of one length")
        draws, count, seed = _random(item.get("random"))
        sweep = Sweep(entry, grid, zipped, draws, count, f"{seed}/{entry.name}")
        paths = [*sweep.paths, *entry.changes]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise InvalidProblem.of(twice, None, "is changed twice in this sweep")
        if not sweep.paths:
            raise InvalidProblem.of("sweep", None, "must have grid, zip or random")
    except InvalidProblem as error:
        raise _at(error, entry.where) from None
    return sweep


def _axes(item: Mapping[str, Any], key: str) -> tuple[Axis, ...]:
    value = item.get(key)
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not value:
        raise InvalidProblem.of(key, None, "must be a group of paths and lists or ranges")
    axes: list[Axis] = []
    for path, spec in value.items():
        checked_path(path)
        if isinstance(spec, Mapping):
            axes.append((path, Range(path, _plain(spec))))
        elif isinstance(spec, list) and spec:
            values = [read_value(path, each) for each in spec]
            if key == "grid" and len({repr(each) for each in values}) != len(values):
                raise InvalidProblem.of(f"{key}.{path}", None, "has a value twice")
            axes.append((path, values))
        else:
            raise InvalidProblem.of(
                f"{key}.{path}", None, "must be a list of values, or a range with from, to and step"
            )
    return tuple(axes)


def _random(value: Any) -> tuple[tuple[Draw, ...], int, str]:
    if value is None:
        return (), 1, ""
    if not isinstance(value, Mapping):
        raise InvalidProblem.of("random", None, "must have draws, seed and values")
    _known_keys(value, ("draws", "seed", "values"), "random")
    count, seed, values = value.get("draws"), value.get("seed"), value.get("values")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_DRAWS:
        raise InvalidProblem.of("random.draws", count, f"must be a whole number from 1 to {MOST_DRAWS:,}")
    if isinstance(seed, bool) or not isinstance(seed, (int, str)):
        raise InvalidProblem.of(
            "random.seed", None, "must be a whole number: without it nobody could draw the same again"
        )
    if not isinstance(values, Mapping) or not values:
        raise InvalidProblem.of("random.values", None, "must be a group of paths and distributions")
    draws = []
    for path, spec in values.items():
        checked_path(path)
        draws.append(read_draw(path, spec))
    return tuple(draws), count, str(seed)


def _from_record(record: Record, number: int, form: str) -> Entry:
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
        return Entry(name, record.where, changes, _scales(scales), _expectations(expect, ""))
    except InvalidProblem as error:
        fault = "; ".join(str(v).removeprefix(": ") for v in error.violations)
        return Entry(name, record.where, fault=fault)


def _unique(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """A name that stands twice is the fault of the second."""
    seen: dict[str, str] = {}
    made = []
    for entry in entries:
        first = seen.setdefault(entry.name, entry.where)
        if first != entry.where and not entry.fault:
            entry = Entry(entry.name, entry.where, fault=f"name: has been given already ({first})")
        made.append(entry)
    return tuple(made)
