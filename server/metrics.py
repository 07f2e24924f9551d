"""What Prometheus is told. Names never change; labels hold only names that exist, never what a caller wrote."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """All metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        """Create them all at zero."""
        registry = self.registry = CollectorRegistry()
        self.requests = Counter("solver_requests", "Calls ended", ["method", "code"], registry=registry)
        self.request_seconds = Histogram(
            "solver_request_seconds",
            "From a call's arrival to its end",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram("solver_queue_seconds", "Wait for a solver", buckets=_SECONDS, registry=registry)
        self.solve_seconds = Histogram(
            "solver_solve_seconds", "Search, with building and re-checking", buckets=_SECONDS, registry=registry
        )
        self.first_incumbent_seconds = Histogram(
            "solver_first_incumbent_seconds", "From the search's start to its first plan", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.gap = Histogram(
            "solver_gap", "Gap left when the search stopped", buckets=(0, 0.001, 0.01, 0.05, 0.1, 0.5, 1),
            registry=registry,
        )  # fmt: skip
        self.deaths = Counter("solver_process_deaths", "Solver processes that died", ["cause"], registry=registry)
        self.retries = Counter("solver_retries", "Calls tried again after a death", registry=registry)
        self.run_batch_seconds = Histogram(
            "solver_run_batch_seconds", "A batch of a run, from its slot to its answer", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.run_process_starts = Counter(
            "solver_run_process_starts", "Starts of the process that drives runs", registry=registry
        )
        self.slots = Gauge("solver_slots", "Calls that can be answered at once", registry=registry)
        self.slots_in_use = Gauge("solver_slots_in_use", "Calls being answered", registry=registry)
        self.waiting = Gauge("solver_queue_length", "Calls waiting for a solver", registry=registry)
        self.processes = Gauge("solver_processes", "Warm solver processes", registry=registry)

    def observe(self, histogram: Histogram, value: float) -> None:
        """Record a value, unless there was nothing to measure."""
        if not math.isnan(value):
            histogram.observe(value)

    def serve(self, address: str) -> tuple[int, Callable[[], None]]:
        """Answer HTTP GET /metrics at HOST:PORT; returns the port and a function that stops it."""
        host, _, port = address.rpartition(":")
        server: WSGIServer
        thread: threading.Thread
        server, thread = start_http_server(int(port), host.strip("[]"), self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(1)

        return server.server_port, stop
