"""What a worker of a Dask cluster does with a batch: hold versions and catalogue against the client's, then answer it.

Modify this module when answers come to depend on something more; the client's side is cluster.py.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import solver
from solver.sweep.library_text import sha256
from solver.sweep.scenario import Batch, Row

Versions = dict[str, str]

_libraries: dict[str, bytes] = {}
_one_at_a_time = threading.Lock()


class Mismatch(Exception):
    """A worker has other versions than the client."""


class Missing(Exception):
    """This worker has not been given the catalogue."""


@lru_cache(maxsize=1)
def versions() -> Versions:
    """What answers depend on besides question and catalogue: solver and OR-Tools by version, the model by its code."""
    digest = hashlib.sha256()
    root = Path(solver.__file__).parent
    for folder in ("domain", "catalog", "model", "sweep", "."):
        for path in sorted((root / folder).glob("*.py")):
            digest.update(f"{folder}/{path.name}\0".encode() + path.read_bytes())
    return {
        "solver": solver.__version__,
        "ortools": metadata.version("ortools"),
        "numpy": metadata.version("numpy"),
        "model": digest.hexdigest()[:12],
    }


def check_versions(client: Versions) -> None:
    """Hold the versions of this worker against the client's.

    Raises:
        Mismatch: naming each that differs, on both sides.
    """
    mine = versions()
    different = [f"{name} {client[name]} here, {mine.get(name)} there" for name in client if client[name] != mine[name]]
    if different:
        raise Mismatch("; ".join(different))


def take_library(digest: str, library: bytes) -> None:
    """Keep a catalogue on this worker; importing the engine now saves the first batch the wait."""
    import solver.sweep.engine  # noqa: F401

    _libraries[digest] = library


def answer_on_worker(
    answer: Callable[[Batch], list[Row]], batch: Batch, digest: str, client: Versions, timeout_s: float | None
) -> list[Row]:
    """What a worker does with a batch. One at a time: engines keep what they prepare, and are not made for threads.

    Raises:
        Mismatch: this worker would not answer as the client would.
    """
    check_versions(client)
    if batch.library:
        _libraries[digest] = batch.library
    library = _libraries.get(digest)
    if library is None:
        raise Missing(digest)
    if sha256(library) != digest:
        raise Mismatch(f"catalogue {digest[:12]} here, {sha256(library)[:12]} there")
    whole = Batch(library, batch.question, batch.scenarios, batch.time_limit_s, batch.alone)
    with _one_at_a_time:
        # Nobody can stop a call on a worker from outside: it ends itself, and its nanny begins a new one.
        guard = None if timeout_s is None else threading.Timer(timeout_s, os._exit, (1,))
        if guard is not None:
            guard.daemon = True
            guard.start()
        try:
            return answer(whole)
        finally:
            if guard is not None:
                guard.cancel()
