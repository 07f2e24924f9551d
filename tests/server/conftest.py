"""One server for all tests that do it no lasting harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running import Running, running


@pytest.fixture(scope="package")
def server() -> Iterator[Running]:
    """A server with one slot, one spare solver and a queue of two."""
    with running("--workers", "1", "--queue-length", "2", "--max-time-s", "20", "--max-search-workers", "2") as it:
        yield it
