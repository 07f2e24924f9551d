"""A library as JSON text and back: what travels to workers and what the store keeps by its hash.

Reading it back gives an equal library, so an old answer can be solved again on the prices of its day.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from pydantic import TypeAdapter

from solver.catalog import Library
from solver.domain.catalog import Catalog
from solver.domain.workload import Workload

_WORKLOADS = TypeAdapter(tuple[Workload, ...])


def text_of(library: Library) -> bytes:
    """Canonical JSON of a library: equal libraries give equal bytes."""
    data = {
        "catalog": library.catalog.model_dump(mode="json", exclude_none=True),
        "workloads": [workload.model_dump(mode="json", exclude_none=True) for workload in library.workloads],
    }
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def library_of(text: bytes) -> Library:
    """The library that `text_of` wrote."""
    return _library_of(sha256(text), _Text(text))


def sha256(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


class _Text:
    """Bytes past the cache's key: the hash beside them decides."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=4)
def _library_of(_digest: str, text: _Text) -> Library:
    data = json.loads(text.data)
    return Library(
        Catalog.model_validate(data["catalog"]),
        _WORKLOADS.validate_python(tuple(data["workloads"])),
    )
