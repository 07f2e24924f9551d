"""The plugin by which every Dask worker is given the catalogue once. Apart, because it cannot be made without Dask."""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from solver.sweep.cluster_worker import take_library


class GiveLibrary(WorkerPlugin):  # type: ignore[misc]
    """Keeps a catalogue on each worker, also on those that join later."""

    def __init__(self, digest: str, library: bytes) -> None:
        self.digest, self.library = digest, library

    def setup(self, worker: Any) -> None:  # noqa: ARG002
        """Called by Dask when a worker begins."""
        take_library(self.digest, self.library)
