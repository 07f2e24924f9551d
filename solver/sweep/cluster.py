"""Batches on a Dask cluster: worker processes on this machine or on others (the extra `[cluster]`).

The catalogue goes to every worker once, as a plugin the scheduler also hands to workers that join later; a batch then
carries its hash. Every batch also carries what the answers depend on: a worker with another solver, OR-Tools or model
refuses it, rather than answering differently. Nothing is kept in the cluster that the store of the client lacks.
Modify this module when batches travel in another way; how they are driven is executors.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from pathlib import Path
from typing import Any, NoReturn

from solver.domain.errors import InvalidProblem, ServerUnavailable
from solver.domain.language import say
from solver.sweep.cluster_worker import Mismatch, Missing, answer_on_worker, check_versions, versions
from solver.sweep.library_text import sha256
from solver.sweep.scenario import Batch

CONNECT_S = 15.0
"""How long a scheduler may take to be found, or found again, with at least one worker."""
ALONE_S = 60.0
"""A run waits so long for a worker to come back when all of them are gone."""
_LOOK_S = 5.0


class WorkerDied(Exception):
    """A worker process died, or was ended for taking too long, while it had this batch."""


class DaskExecutor(Executor):
    """Runs batches on a cluster of its own on this machine, or on one that is there.

    Args:
        workers: processes of a cluster of its own.
        scheduler: `tcp://host:port` or `tls://host:port` of one that is there; "" begins its own on loopback.
        tls_ca, tls_cert, tls_key: PEM files, needed for `tls://`.

    Raises:
        InvalidProblem: Dask is not installed, the address is none, or workers have other versions.
        ServerUnavailable: no scheduler there, or none of its workers.
    """

    kills_late = True
    """`submit` takes `timeout_s`, after which the worker ends itself."""
    blames_neighbours = True
    """The death of a worker counts against every batch that waited for it, so a suspect is tried alone."""

    def __init__(
        self, workers: int, scheduler: str = "", tls_ca: str = "", tls_cert: str = "", tls_key: str = ""
    ) -> None:
        check_cluster(scheduler, tls_ca, tls_cert, tls_key)
        self._jobs, self._scheduler, self._tls = workers, scheduler, (tls_ca, tls_cert, tls_key)
        self._cluster: Any = None
        self._sent: dict[str, bytes] = {}
        _hush()
        self._client = self._connected()

    def _connected(self) -> Any:
        import dask
        from distributed import Client, LocalCluster
        from distributed.security import Security

        try:
            if not self._scheduler:
                with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
                    self._cluster = LocalCluster(
                        n_workers=self._jobs,
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",
                        dashboard_address=None,
                        worker_dashboard_address=None,
                        # Without a dashboard there still is a server for its state, on port 8787 unless told otherwise.
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                        silence_logs=logging.CRITICAL,
                    )
                client = Client(self._cluster, set_as_default=False)
            else:
                ca, cert, key = self._tls
                security = None
                if self._scheduler.startswith("tls://"):
                    security = Security(
                        tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True
                    )
                client = Client(self._scheduler, timeout=CONNECT_S, security=security, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ServerUnavailable(
                say(
                    "no Dask scheduler answers at {address}: {error}",
                    address=self._scheduler or "loopback",
                    error=error,
                )
            ) from None
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            client.close()
            raise ServerUnavailable(
                say("the Dask scheduler at {address} has no workers", address=self._scheduler or "loopback")
            ) from None
        self._client, self._seen, self._looked = client, time.monotonic(), time.monotonic()
        try:
            self._prepare(client)
        except BaseException as error:
            client.close()
            if isinstance(error, Exception):
                _raise_told(error, self._scheduler)
            raise
        return client

    def _prepare(self, client: Any) -> None:
        """Have every worker checked and given the catalogues; a silent one is waited for until Dask has dropped it."""
        until = time.monotonic() + ALONE_S
        while True:
            try:
                client.run(check_versions, versions())
                for digest, library in self._sent.items():
                    self._give(digest, library)
            except OSError as error:
                if time.monotonic() > until or client.status != "running":
                    where = self._scheduler or "loopback"
                    reason = say("a worker of {address} does not answer: {error}", address=where, error=error)
                    raise ServerUnavailable(reason) from error
                time.sleep(1.0)
            else:
                return

    @property
    def workers(self) -> int:
        """Worker processes there are now."""
        return max(1, len(self._client.nthreads()))

    @property
    def broken(self) -> bool:
        """Whether the scheduler is gone, or all its workers have been for a minute."""
        if self._client.status != "running":
            return True
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            try:
                if self._client.nthreads():
                    self._seen = now
            except (OSError, RuntimeError, TimeoutError):
                return True
        return now - self._seen > ALONE_S

    def renew(self) -> None:
        """Look for the scheduler again; what was under way in it is sent anew.

        Raises:
            ServerUnavailable: it does not come back.
        """
        self._close()
        self._client = self._connected()

    def _give(self, digest: str, library: bytes) -> None:
        self._client.register_plugin(_plugin(digest, library), name=f"rig-catalogue-{digest[:16]}")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a batch, `fn(batch)`; `timeout_s` ends its worker after that time.

        Raises:
            RuntimeError: the scheduler is gone; a BrokenExecutor, a worker is silent: `renew` waits for it.
        """
        timeout_s = kwargs.pop("timeout_s", None)
        (batch,) = args
        digest = sha256(batch.library)
        try:
            if digest not in self._sent:
                self._give(digest, batch.library)
                self._sent[digest] = batch.library
        except Exception as error:
            if isinstance(error, OSError):
                raise BrokenExecutor("a worker does not answer") from error
            if self.broken:
                raise RuntimeError("the scheduler is gone") from error
            _raise_told(error, self._scheduler)
        future: Future[Any] = Future()
        self._send(future, fn, batch, digest, timeout_s, whole=False)
        return future

    def _send(
        self, future: Future[Any], fn: Any, batch: Batch, digest: str, timeout_s: float | None, whole: bool
    ) -> None:
        from distributed.scheduler import KilledWorker

        lean = batch if whole else Batch(b"", batch.question, batch.scenarios, batch.time_limit_s, batch.alone)
        held = self._client.submit(answer_on_worker, fn, lean, digest, versions(), timeout_s, pure=False)

        def done(held: Any) -> None:
            if held.status == "finished":
                try:
                    future.set_result(held.result(timeout=CONNECT_S))
                except Exception:  # the worker went with its result: nothing says this batch was at fault
                    future.set_exception(CancelledError())
                return
            error = held.exception(timeout=CONNECT_S) if held.status == "error" else None
            if error is None:
                future.set_exception(CancelledError())
            elif isinstance(error, KilledWorker):
                future.set_exception(WorkerDied(str(error)))
            elif isinstance(error, Missing) and not whole:
                self._send(future, fn, batch, digest, timeout_s, whole=True)
            else:
                future.set_exception(_told(error, self._scheduler))

        held.add_done_callback(done)

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # it may be gone already
            self._client.close(timeout=2)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=5)
            self._cluster = None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as the protocol has it
        """Leave the cluster, and end it if it is its own."""
        if self._scheduler and self._client.status == "running":
            for digest in self._sent:
                with contextlib.suppress(Exception):
                    self._client.unregister_worker_plugin(f"rig-catalogue-{digest[:16]}")
        self._close()


def _hush() -> None:
    """Keep Dask's own log, tracebacks of lost connections and all, off the screen: what matters is told in a line."""
    import distributed  # noqa: F401 - the import sets the levels of its loggers, so they are set after it

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("distributed.") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.CRITICAL)


def _plugin(digest: str, library: bytes) -> Any:
    from solver.sweep.cluster_plugin import GiveLibrary

    return GiveLibrary(digest, library)


def _told(error: BaseException, scheduler: str) -> BaseException:
    """An error of the cluster as one for people; anything else as it is."""
    where = scheduler or "loopback"
    if isinstance(error, Mismatch):
        return InvalidProblem.of("--scheduler", where, say("a worker differs from this program: {what}", what=error))
    if isinstance(error, ModuleNotFoundError):
        return InvalidProblem.of("--scheduler", where, say("its workers lack a package: {what}", what=error))
    return error


def _raise_told(error: Exception, scheduler: str) -> NoReturn:
    told = _told(error, scheduler)
    if told is error:
        raise error
    raise told from error


def check_cluster(scheduler: str, tls_ca: str, tls_cert: str, tls_key: str) -> None:
    """Ask all that can be asked before anything is begun.

    Raises:
        InvalidProblem: Dask is not installed, the address is none, or files for TLS are missing.
    """
    if importlib.util.find_spec("distributed") is None:
        raise InvalidProblem.of("--executor", "dask", say("needs Dask: pip install 'gpu-rig-solver[cluster]'"))
    kind, _, place = scheduler.partition("://")
    host, _, port = place.rpartition(":")
    if scheduler and (kind not in ("tcp", "tls") or not host or not port.isdecimal() or not 0 < int(port) < 65536):
        raise InvalidProblem.of("--scheduler", scheduler, say("must be tcp://host:port or tls://host:port"))
    files = {"--tls-ca": tls_ca, "--tls-cert": tls_cert, "--tls-key": tls_key}
    if kind != "tls":
        if any(files.values()):
            raise InvalidProblem.of("--scheduler", scheduler or None, say("takes TLS files only with tls://host:port"))
        return
    for name, path in files.items():
        if not path:
            raise InvalidProblem.of(name, None, say("is needed for tls://"))
        if not Path(path).is_file():
            raise InvalidProblem.of(name, path, say("no such file"))
