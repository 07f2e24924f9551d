"""The library: all entries of the catalogue folder as records, the workloads by id, and price overlays.

Each file under the folder holds lists under `cards:`, `platforms:`, `workloads:`, `offers:`. Modify this module when
an entry of a new kind is needed; what an entry may say is decided in domain/records.py.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from solver.catalog.reading import Mapping, parse_yaml, read_text
from solver.domain.errors import InvalidProblem, UnknownName, Violation, from_validation_error, nearest, shown
from solver.domain.problem import Problem, problem_of
from solver.domain.records import Card, Catalog, Offer, Platform, Record, Workload

KINDS: dict[str, type[Record]] = {"cards": Card, "platforms": Platform, "workloads": Workload, "offers": Offer}
DEFAULT_WORKLOAD = "guide-6b"


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
            [Violation("workload", shown(workload_id), "no workload has this id" + nearest(workload_id, known))]
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
    """Read every *.yaml of a folder.

    Raises:
        InvalidProblem: all faults found, each with file and line.
    """
    entries: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    faults: list[Violation] = []
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InvalidProblem.of("catalog", str(folder), "no such folder, or no .yaml file in it")
    for file in files:
        try:
            document = parse_yaml(read_text(file), file.name)
        except InvalidProblem as error:
            faults.extend(error.violations)
            continue
        faults.extend(_collect(document, file.name, entries))
    if faults:
        raise InvalidProblem(faults)
    cards = sorted(entries["cards"], key=lambda card: str(card.id))
    platforms = sorted(entries["platforms"], key=lambda platform: str(platform.id))
    workloads = sorted(entries["workloads"], key=lambda workload: str(workload.id))
    try:
        catalog = Catalog(cards=tuple(cards), platforms=tuple(platforms), offers=tuple(entries["offers"]))
    except ValidationError as error:
        raise from_validation_error(error, "catalog") from None
    return Library(catalog, tuple(workloads))


def _collect(document: Any, name: str, entries: dict[str, list[Any]]) -> list[Violation]:
    if document is None:
        return []
    if not isinstance(document, Mapping):
        return [Violation(name, "", "must hold lists under " + ", ".join(KINDS))]
    faults: list[Violation] = []
    for kind, values in document.items():
        line = document.lines[kind]
        if kind not in KINDS:
            faults.append(Violation(f"{name}:{line}", "", f"unknown key {kind!r}" + nearest(kind, KINDS)))
            continue
        if not isinstance(values, list):
            faults.append(Violation(f"{name}:{line}", "", f"{kind} must be a list"))
            continue
        for value in values:
            record = KINDS[kind]
            try:
                entries[kind].append(record.model_validate(value))
            except ValidationError as error:
                start = value.line if isinstance(value, Mapping) else line
                label = f"{name}:{start}: {kind}"
                faults.extend(from_validation_error(error, label, {"": record.model_fields}).violations)
    return faults


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
                made[kind].append(record.model_validate(entry))
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
            Violation(field, shown(name), "no card or platform has this id" + nearest(name, known)) for name in unknown
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
