"""A connection to a solver server, and how a call is made on it: deadline, retries, request id, early stop."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1.optimizer_service_pb2_grpc import OptimizerServiceStub
from solver.api.v1.run_service_pb2_grpc import RunServiceStub
from solver.catalog import Library, default_library
from solver.client.failures import ELSEWHERE, failure
from solver.domain.errors import Interrupted, InvalidProblem
from solver.domain.language import say

DEFAULT_TIMEOUT_S = 90.0
_STOP_WITHIN_S = 3.0
"""How long a server may take to end a search that it was told to end; it needs half a second at most."""
_MESSAGE_BYTES = 64 * 2**20
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "solver.api.v1.OptimizerService"}, {"service": "solver.api.v1.RunService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Connection:
    """A connection to a solver server; the calls are made by the classes derived from it."""

    def __init__(
        self,
        server: str,
        *,
        tls: bool = False,
        tls_ca: Path | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        token: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        library: Library | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            server: HOST:PORT.
            tls: encrypt; implied by any of the files.
            tls_ca: certificates of the authorities trusted, PEM; those of gRPC if None.
            tls_cert: our certificate, PEM, for servers that ask for one.
            tls_key: its private key, PEM.
            token: bearer token.
            timeout_s: deadline of a call that does not name one; a search gets 95 % of it.
            library: the catalogue from which whole problems were made; the shipped one if None.

        Raises:
            InvalidProblem: a file cannot be read.
        """
        self._server, self._timeout_s, self._library = server, timeout_s, library or default_library()
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        self._same_catalog: bool | None = None
        options = [
            ("grpc.service_config", json.dumps(_RETRIES)),
            ("grpc.enable_retries", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),  # by default a second, in which all retries would fail
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ]
        if tls or tls_ca or tls_cert or tls_key:
            pems = [_read("tls_ca", tls_ca), _read("tls_key", tls_key), _read("tls_cert", tls_cert)]
            self._channel = grpc.secure_channel(server, grpc.ssl_channel_credentials(*pems), options)
        else:
            self._channel = grpc.insecure_channel(server, options)
        self._stub = OptimizerServiceStub(self._channel)
        self._runs = RunServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls still running are cancelled, and the server stops their searches."""
        self._channel.close()

    def _call(
        self,
        method: Callable[..., Any],
        request: Message,
        timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Any:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        for attempt in (1, 2):
            request_id = uuid.uuid4().hex
            metadata = (*self._metadata, ("x-request-id", request_id))
            call = method.future(request, timeout=timeout_s, metadata=metadata)  # type: ignore[attr-defined]
            if stop is not None:
                threading.Thread(target=self._stop_on, args=(stop, call, request_id), daemon=True).start()
            try:
                return call.result()
            except grpc.FutureCancelledError:
                raise Interrupted from None
            except grpc.RpcError as error:
                if stop is not None and stop.is_set() and error.code() in ELSEWHERE:
                    raise Interrupted from None
                # A server that shuts down may end a call so (grpc#41785); nobody here asked for it.
                if error.code() is not grpc.StatusCode.CANCELLED or attempt == 2:
                    raise self._failure(error) from None
            except KeyboardInterrupt:
                call.cancel()
                raise
        raise AssertionError("unreachable")

    def _stop_on(self, stop: threading.Event, call: Any, request_id: str) -> None:
        """Once `stop` is set, have the server end the search; give up if it cannot, or if no answer follows soon."""
        while not stop.wait(0.1):
            if call.done():
                return
        stopped = False
        with contextlib.suppress(grpc.RpcError, ValueError):  # also a server that knows no StopSearch, a closed channel
            asked = api.StopSearchRequest(request_id=request_id)
            stopped = self._stub.StopSearch(asked, timeout=_STOP_WITHIN_S, metadata=self._metadata).stopped
        until = time.monotonic() + (_STOP_WITHIN_S if stopped else 0.2)  # it may just have ended
        while not call.done() and time.monotonic() < until:
            time.sleep(0.02)
        call.cancel()

    def _failure(self, error: Any) -> Exception:
        return failure(error, self._server)


def _read(field: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        raise InvalidProblem.of(field, str(path), say("cannot be read")) from None
