"""Who may call: bearer tokens from a file, compared in constant time. Health checks need none."""

from __future__ import annotations

import hashlib
import hmac
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from server.errors import unauthenticated
from server.metrics import Metrics
from solver.domain.errors import InvalidProblem

_OPEN = ("/grpc.health.v1.Health/",)
_SHORTEST = 16


def read_tokens(path: Path) -> tuple[str, ...]:
    """The tokens of a file: one a line, at least 16 visible ASCII characters; empty lines and # comments skipped.

    Raises:
        InvalidProblem: missing, readable by others than its owner, without a token, or a token too short.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InvalidProblem.of("token_file", str(path), "cannot be read") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidProblem.of("token_file", str(path), "must be readable by its owner only (chmod 600)")
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not tokens:
        raise InvalidProblem.of("token_file", str(path), "must hold at least one token")
    if any(len(token) < _SHORTEST or not token.isascii() or " " in token for token in tokens):
        raise InvalidProblem.of("token_file", str(path), f"every token must have at least {_SHORTEST} ASCII characters")
    return tokens


class TokenCheck(grpc.aio.ServerInterceptor):
    """Refuses calls without a known token before anything else looks at them."""

    def __init__(self, tokens: tuple[str, ...], metrics: Metrics) -> None:
        """Keep digests, so that the comparison takes the same time whatever the lengths."""
        self._known = [hashlib.sha256(token.encode()).digest() for token in tokens]
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Pass the call on, or answer UNAUTHENTICATED."""
        method = handler_call_details.method
        if method.startswith(_OPEN) or self._allowed(handler_call_details.invocation_metadata):
            return await continuation(handler_call_details)
        return grpc.unary_unary_rpc_method_handler(self._deny)

    def _allowed(self, metadata: Any) -> bool:
        given = [value for key, value in metadata or () if key == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or given[0][:7].lower() != "bearer ":
            return False
        digest = hashlib.sha256(given[0][7:].strip().encode()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._known]  # all of them, whichever is right
        return any(matches)

    async def _deny(self, request: Any, context: Any) -> None:
        self._metrics.requests.labels("any", "UNAUTHENTICATED").inc()
        status = unauthenticated()
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, status.message, details)
