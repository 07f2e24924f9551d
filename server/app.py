"""Puts the server together, runs it until SIGTERM or SIGINT, and lets running calls end before it goes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from server.admission import Admission
from server.auth import TokenCheck, read_tokens
from server.catalogs import libraries
from server.frames import Config
from server.logs import NOTICE, log, start_logging
from server.metrics import Metrics
from server.pool import SolverPool
from server.runs.config import RunsConfig
from server.runs.link import RunLink
from server.runs.service import RUN_SERVICE, RunServicer
from server.servicer import SERVICE, Servicer
from server.settings import Settings, is_loopback, unknown_variables
from solver import __version__
from solver.domain.errors import InvalidProblem

_STOP_S = 0.5


async def serve(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        InvalidProblem: a certificate, token file or catalogue cannot be read, or the address is taken.
    """
    told = _signals()
    tokens = () if settings.token_file is None else read_tokens(settings.token_file)
    start_logging(settings.log_format == "json", settings.log_level, tokens)
    catalogs = {name: str(folder) for name, folder in settings.catalogs.items()}
    libraries(catalogs)  # a faulty catalogue is told here, in one line, not by a solver process that does not start
    metrics = Metrics()
    kept = _kept_runs(settings)
    config = Config(
        catalogs, settings.memory_limit_mib, settings.max_catalog_entries, settings.max_search_workers,
        None if kept is None else asdict(kept),
    )  # fmt: skip
    pool = SolverPool(config, settings.workers + settings.spare_workers, metrics)
    admission = Admission(settings.workers, settings.queue_length, metrics, settings.spare_workers)
    servicer = Servicer(pool, admission, metrics, settings.max_time_s)
    link = None if kept is None else RunLink(kept, pool, admission, metrics)
    runs = RunServicer(servicer, link, settings.max_watchers)
    health = health_aio.HealthServicer()
    server = grpc.aio.server(interceptors=[TokenCheck(tokens, metrics)] if tokens else [], options=_options(settings))
    server.add_generic_rpc_handlers((servicer.handler(), runs.handler()))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if settings.reflection:
        names = (SERVICE.full_name, RUN_SERVICE.full_name, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
    port = _bind(server, settings)
    metrics_port: int | None = None
    stop_metrics: Callable[[], None] | None = None
    try:
        await pool.start()
        if link is not None:
            await link.start()
        await server.start()
        if settings.metrics_listen is not None:
            metrics_port, stop_metrics = metrics.serve(settings.metrics_listen)
        for name in ("", SERVICE.full_name, *(() if link is None else (RUN_SERVICE.full_name,))):
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if unknown := unknown_variables(os.environ):
            log(logging.WARNING, "no such settings; these variables are ignored", variables=unknown)
        if settings.insecure and not is_loopback(settings.listen) and settings.tls_cert is None:
            log(logging.WARNING, "listening beyond loopback without TLS")
        gc.collect()
        gc.freeze()  # nothing of what there is now becomes garbage; looking through it would only delay calls
        host = settings.listen.rpartition(":")[0]
        log(
            NOTICE, "listening", address=f"{host}:{port}", tls=settings.tls_cert is not None, version=__version__,
            metrics_port=metrics_port,
        )  # fmt: skip
        await told.wait()
        log(NOTICE, "draining")
        servicer.draining = True
        await health.enter_graceful_shutdown()
        if link is not None:
            await link.close()
        try:
            async with asyncio.timeout(settings.drain_s):
                await servicer.idle()
        except TimeoutError:
            log(logging.WARNING, "calls still running are cancelled")
        await server.stop(_STOP_S)
    finally:
        if stop_metrics is not None:
            stop_metrics()
        if link is not None:
            await link.close()
        await pool.close()
    log(NOTICE, "stopped")


def _kept_runs(settings: Settings) -> RunsConfig | None:
    if settings.run_store is None:
        return None
    return RunsConfig(
        store=str(settings.run_store.absolute()),
        max_file_bytes=settings.max_run_file_mib * 2**20,
        max_scenarios=settings.max_run_scenarios,
        max_open=settings.max_open_runs,
        max_kept=settings.max_kept_runs,
        max_time_s=settings.max_time_s,
    )


def _options(settings: Settings) -> list[tuple[str, int]]:
    largest = settings.max_message_mib * 2**20
    return [
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not shared in silence
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
        # A guard far off; admission is what limits, because this would refuse health checks too.
        (
            "grpc.max_concurrent_streams",
            10 * (settings.workers + settings.queue_length) + settings.max_watchers + 100,
        ),
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    try:
        if settings.tls_cert is None or settings.tls_key is None:
            return server.add_insecure_port(settings.listen)
        authority = None if settings.tls_client_ca is None else _pem("tls_client_ca", settings.tls_client_ca)
        pair = (_pem("tls_key", settings.tls_key), _pem("tls_cert", settings.tls_cert))
        credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)
        return server.add_secure_port(settings.listen, credentials)
    except RuntimeError:
        raise InvalidProblem.of("listen", settings.listen, "cannot be listened on: is the port taken?") from None


def _pem(field: str, path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        raise InvalidProblem.of(field, str(path), "cannot be read") from None
    if b"-----BEGIN" not in data:
        raise InvalidProblem.of(field, str(path), "must be a PEM file")
    return data


def _signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; from here on they end the server no other way."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    return told
