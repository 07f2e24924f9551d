"""A call of the server, with a context that is gone before the call has ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.servicer import Call


class _Context:
    """What gRPC gives a call; once the call is cut off, its peer can no longer be asked for."""

    def __init__(self) -> None:
        self.gone = False

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def time_remaining(self) -> None:
        return None

    def peer(self) -> str:
        assert not self.gone, "gRPC would end the process with SIGSEGV here"
        return "ipv4:127.0.0.1:1"


class _Metrics:
    def __getattr__(self, _name: str) -> Any:
        return self

    def __call__(self, *_: Any) -> Any:
        return self


class _Servicer:
    metrics = _Metrics()


def test_a_call_that_is_cut_off_asks_nothing_of_its_context() -> None:
    """Tests that the end of a cancelled call is noted without its peer being asked for then."""
    context = _Context()
    servicer: Any = _Servicer()
    call = Call(servicer, "Optimize", context)

    async def way(*_: Any) -> bytes:
        context.gone = True
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(call.answer(b"", None, way))
