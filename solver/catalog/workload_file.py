"""Workload files: one workload of one's own as YAML, read and written. The form is that of a catalogue file with a
single entry under `workloads:`, so that a folder given with --catalog takes it as well.

Modify this module when the file should look different, not when a workload gets a new field.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from solver.catalog.library import KINDS, Entry, collect
from solver.catalog.question_file import yaml_text
from solver.catalog.reading import Mapping, parse_yaml, read_file
from solver.catalog.shaped import own
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say
from solver.domain.units import plain_number
from solver.domain.workload import Workload

_HEAD = message("# A workload. Use it: solver-cli optimize --workload FILE. Look at it: solver-cli workload show FILE")


def read_workload(path: Path) -> Workload:
    """The one workload of a file.

    Raises:
        InvalidProblem: unreadable, not a workload file, or faults in it; all of them, each with its line.
    """
    document = parse_yaml(read_file(path), path.name)
    if not isinstance(document, Mapping) or list(document) != ["workloads"]:
        allowed = say("must hold a list of one workload under workloads, and nothing else")
        raise InvalidProblem.of(path.name, None, allowed)
    entries: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    faults = collect(document, path.name, entries)
    if faults:
        raise InvalidProblem(faults)
    found = entries["workloads"]
    if len(found) != 1:
        allowed = say("holds {count} workloads; one is needed", count=len(found))
        raise InvalidProblem.of(path.name, None, allowed)
    work: Workload = found[0].record
    return work


def workload_text(work: Workload) -> str:
    """A workload as a file that `read_workload` reads back exactly; what follows from its shape is left out."""
    dumped = work.model_dump(exclude_none=True, exclude_defaults=True)
    stated = own(work, None)
    entry = {name: _listed(value) for name, value in dumped.items() if name in stated}
    if work.estimated:  # only the spreads of figures that do not follow from the shape
        entry.pop("spreads", None)
        if stated["spreads"]:
            entry["spreads"] = _listed([spread.model_dump() for spread in stated["spreads"]])
    return say(_HEAD) + "\n" + yaml_text({"workloads": [entry]})


def _listed(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = plain_number(value)
        return number if value == Decimal(repr(number)) else value
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(part) for part in value]
    return value
