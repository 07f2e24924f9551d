"""The catalogues a server offers, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from solver.catalog import Library, default_library
from solver.catalog.library import read_library
from solver.wire import DEFAULT_CATALOG


def libraries(catalogs: Mapping[str, str]) -> dict[str, Library]:
    """Read the catalogue folders; the shipped catalogue stands in for a default that is not given.

    Raises:
        InvalidProblem: a catalogue cannot be read.
    """
    found = {name: read_library(Path(folder)) for name, folder in catalogs.items()}
    return found if DEFAULT_CATALOG in found else {DEFAULT_CATALOG: default_library(), **found}
