"""The library: all entries of the catalogue folder as records, the workloads by id, and price overlays.

Each file under the folder holds lists under `cards:`, `platforms:`, `workloads:`, `offers:`. Modify this module when
an entry of a new kind is needed; what an entry may say is decided in domain/catalog.py and domain/workload.py.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from solver.catalog.reading import Mapping, line_at, parse_yaml, read_file
from solver.catalog.shaped import filled
from solver.domain.base import Record, known_keys
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.errors import (
    InvalidProblem,
    UnknownName,
    Violation,
    from_validation_error,
    nearest,
    os_reason,
    shown,
)
from solver.domain.language import listed, say
from solver.domain.problem import Problem, problem_of
from solver.domain.workload import Workload

KINDS: dict[str, type[Record]] = {"cards": Card, "platforms": Platform, "workloads": Workload, "offers": Offer}
DEFAULT_WORKLOAD = "guide-6b"
MAX_FILES = 200


@dataclass(frozen=True)
class Library:
    """A catalogue and the workloads that go with it."""

    catalog: Catalog
    workloads: tuple[Workload, ...]

    def workload(self, workload_id: str) -> Workload:
        """The workload of that id.

        Raises:
            UnknownName: there is none; the message offers the nearest names.
        """
        for workload in self.workloads:
            if workload.id == workload_id:
                return workload
        known = [workload.id for workload in self.workloads]
        raise UnknownName(
            [Violation("workload", shown(workload_id), say("no workload has this id") + nearest(workload_id, known))]
        )


def shipped_folder() -> Path:
    """The folder of the shipped catalogue: inside the installed package, or the repository's own."""
    packaged = Path(__file__).resolve().parents[1] / "_catalog"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "catalog"


@lru_cache(maxsize=1)
def default_library() -> Library:
    """The shipped catalogue, read once per process."""
    return read_library(shipped_folder())


def read_library(folder: Path) -> Library:
    """Read every *.yaml of a folder as a whole catalogue.

    Raises:
        InvalidProblem: all faults found, each with file and line.
    """
    return _assembled(read_entries(folder), None)


def with_folder(library: Library, folder: Path) -> Library:
    """Lay a folder of one's own over a library: entries are added, the same id replaces.

    Offers replace all offers of the cards and platforms they name.

    Raises:
        InvalidProblem: no such folder, no entry in it, or any fault in it; all faults, each with file and line.
    """
    return _assembled(read_entries(folder), library)


@dataclass(frozen=True)
class Entry:
    """One entry of a folder: its record and where it stands (`file.yaml:12`)."""

    record: Any
    place: str


def read_entries(folder: Path) -> dict[str, list[Entry]]:
    """All entries of every *.yaml and *.yml of a folder, by kind.

    Raises:
        InvalidProblem: no such folder, no entry in it, or any fault in it; all faults, each with file and line.
    """
    files = _files_of(folder)
    entries: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    faults: list[Violation] = []
    for file in files:
        try:
            document = parse_yaml(read_file(file), file.name)
        except InvalidProblem as error:
            faults.extend(error.violations)
            continue
        faults.extend(collect(document, file.name, entries))
    if not faults and not any(entries.values()):
        raise InvalidProblem.of(
            "catalog", str(folder), say("holds no entry; lists under {kinds} are needed", kinds=_kinds())
        )
    faults.extend(_doubled(entries))
    if faults:
        raise InvalidProblem(sorted(faults, key=_place))
    return entries


def _place(fault: Violation) -> tuple[str, int]:
    file, _, rest = fault.field.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdecimal() else 0


def _kinds() -> str:
    return listed(KINDS)


def _files_of(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    except FileNotFoundError:
        raise InvalidProblem.of("catalog", str(folder), say("no such folder")) from None
    except NotADirectoryError:
        raise InvalidProblem.of("catalog", str(folder), say("is a file, a folder is needed")) from None
    except OSError as error:
        raise InvalidProblem.of(
            "catalog", str(folder), say("cannot be read: {reason}", reason=os_reason(error))
        ) from None
    except ValueError:  # a NUL in it
        raise InvalidProblem.of("catalog", str(folder), say("is not the name of a folder")) from None
    if not files:
        raise InvalidProblem.of("catalog", str(folder), say("holds no .yaml file"))
    if len(files) > MAX_FILES:
        raise InvalidProblem.of("catalog", str(folder), say("holds more than {most} .yaml files", most=MAX_FILES))
    return files


def collect(document: Any, name: str, entries: dict[str, list[Entry]]) -> list[Violation]:
    """Add the entries of a parsed file to those found before, and return the faults of all others."""
    if document is None:
        return []
    if not isinstance(document, Mapping):
        return [Violation(f"{name}:1", "", say("must hold lists under {kinds}", kinds=_kinds()))]
    faults: list[Violation] = []
    for kind, values in document.items():
        line = document.lines[kind]
        if kind not in KINDS:
            faults.append(
                Violation(f"{name}:{line}", "", say("unknown key {kind}", kind=shown(kind)) + nearest(kind, KINDS))
            )
        elif values is None:
            continue
        elif not isinstance(values, list):
            faults.append(Violation(f"{name}:{line}", "", say("{kind} must be a list", kind=kind)))
        else:
            for position, value in enumerate(values):
                faults.extend(_one(kind, position, value, name, line, entries[kind]))
    return faults


def _one(kind: str, position: int, value: Any, name: str, line: int, found: list[Entry]) -> list[Violation]:
    record = KINDS[kind]
    start = value.line if isinstance(value, Mapping) else line
    try:
        found.append(Entry(_validated(record, value), f"{name}:{start}"))
    except (ValidationError, InvalidProblem) as error:
        held = value.get("id", value.get("item_id")) if isinstance(value, Mapping) else None
        label = f"{kind}[{held if isinstance(held, str) and len(held) <= 80 else position}]"
        return [
            Violation(
                f"{name}:{line_at(value, path.split('.')) or start}: {label}.{path}".rstrip("."), v.value, v.allowed
            )
            for v in _told(error, record).violations
            for path in ("" if v.field == "problem" else v.field,)
        ]
    return []


def _validated(record: type[Record], value: Any) -> Record:
    return record.model_validate(filled(value) if record is Workload and isinstance(value, Map) else value)


def _told(error: ValidationError | InvalidProblem, record: type[Record]) -> InvalidProblem:
    return error if isinstance(error, InvalidProblem) else from_validation_error(error, "", known_keys(record))


def _doubled(entries: dict[str, list[Entry]]) -> list[Violation]:
    """An id that stands twice, within a kind or as card and platform."""
    faults = []
    for kinds in (("cards", "platforms"), ("workloads",)):
        first: dict[str, Entry] = {}
        for entry in (entry for kind in kinds for entry in entries[kind]):
            held = first.setdefault(entry.record.id, entry)
            if held is not entry:
                faults.append(
                    Violation(
                        entry.place, "", say("id {id} stands at {place} already", id=entry.record.id, place=held.place)
                    )
                )
    return faults


def _assembled(entries: dict[str, list[Entry]], base: Library | None) -> Library:
    records: dict[str, tuple[Any, ...]] = {kind: tuple(e.record for e in found) for kind, found in entries.items()}
    empty = Catalog(cards=(), platforms=(), offers=())
    held = base.catalog if base is not None else empty
    cards = {**held.card_by_id, **{card.id: card for card in records["cards"]}}
    platforms = {**held.platform_by_id, **{platform.id: platform for platform in records["platforms"]}}
    workloads = {work.id: work for work in (*(base.workloads if base is not None else ()), *records["workloads"])}
    known = [*cards, *platforms]
    faults = [
        Violation(entry.place, shown(entry.record.item_id), say("no card or platform has this id") + nearest(i, known))
        for entry in entries["offers"]
        for i in (entry.record.item_id,)
        if i not in cards and i not in platforms
    ]
    faults += [
        Violation(entry.place, "", say("id {id} is that of a card of the catalogue already", id=entry.record.id))
        for entry in entries["platforms"]
        if entry.record.id in held.card_by_id
    ]
    faults += [
        Violation(entry.place, "", say("id {id} is that of a platform of the catalogue already", id=entry.record.id))
        for entry in entries["cards"]
        if entry.record.id in held.platform_by_id
    ]
    if faults:
        raise InvalidProblem(faults)
    named = {offer.item_id for offer in records["offers"]}
    kept = tuple(offer for offer in held.offers if offer.item_id not in named)
    try:
        catalog = Catalog(
            cards=tuple(cards.values()), platforms=tuple(platforms.values()), offers=(*kept, *records["offers"])
        )
    except ValidationError as error:
        raise from_validation_error(error, "catalog") from None
    return Library(catalog, tuple(workloads[i] for i in sorted(workloads)))


def library_from(entries: Map[str, Any], field: str, workloads: tuple[Workload, ...] = ()) -> Library:
    """A library out of plain data, for a catalogue that comes with a question.

    Args:
        entries: lists under cards, platforms, offers and workloads.
        field: dotted path put before every fault.
        workloads: taken where `entries` holds none.

    Raises:
        InvalidProblem: the first faulty entry of each kind, or ids given twice.
    """
    made: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    faults: list[Violation] = []
    for kind, record in KINDS.items():
        for index, entry in enumerate(entries.get(kind) or ()):
            try:
                made[kind].append(_validated(record, entry))
            except InvalidProblem as error:
                place = f"{field}.{kind}.{index}"
                faults.extend(Violation(f"{place}.{v.field}", v.value, v.allowed) for v in error.violations)
                break
            except ValidationError as error:
                known = {"": record.model_fields}
                faults.extend(from_validation_error(error, f"{field}.{kind}.{index}", known).violations)
                break
    if faults:
        raise InvalidProblem(faults)
    try:
        catalog = Catalog(cards=tuple(made["cards"]), platforms=tuple(made["platforms"]), offers=tuple(made["offers"]))
    except ValidationError as error:
        raise from_validation_error(error, field) from None
    return Library(catalog, tuple(made["workloads"]) or workloads)


def default_problem(library: Library | None = None, **fields: Any) -> Problem:
    """A question on the library's catalogue and default workload; `fields` as of `Problem`.

    Raises:
        InvalidProblem: a field is unknown or out of its range.
    """
    library = library or default_library()
    return problem_of({"workload": library.workload(DEFAULT_WORKLOAD), "catalog": library.catalog, **fields})


def with_prices(catalog: Catalog, prices: Map[str, Decimal], field: str = "prices") -> Catalog:
    """Replace every offer of the named cards and platforms by one new, unlimited offer at that price in CNY.

    Raises:
        UnknownName: no card or platform has this id.
        InvalidProblem: a price is not an amount in CNY with at most two decimals.
    """
    if not prices:
        return catalog
    known = [*catalog.card_by_id, *catalog.platform_by_id]
    unknown = [name for name in prices if name not in catalog.card_by_id and name not in catalog.platform_by_id]
    if unknown:
        raise UnknownName(
            Violation(field, shown(name), say("no card or platform has this id") + nearest(name, known))
            for name in unknown
        )
    made = []
    for name, price in sorted(
        prices.items()
    ):  # the order of a mapping means nothing, and must not change a fingerprint
        try:
            made.append(
                Offer(item_id=name, unit_price_cny=price, vendor="", source="given with the question", basis="quote")
            )
        except ValidationError as error:
            raise InvalidProblem(
                Violation(f"{field}.{name}", v.value, v.allowed) for v in from_validation_error(error).violations
            ) from None
    kept = tuple(offer for offer in catalog.offers if offer.item_id not in prices)
    return Catalog(cards=catalog.cards, platforms=catalog.platforms, offers=(*kept, *made))
