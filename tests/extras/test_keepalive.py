"""Keepalive, which takes its time."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.server.running import running

pytestmark = pytest.mark.extras


def test_pings_of_a_quiet_client() -> None:
    """Tests that pings every six seconds do not cost the connection, as they do after the third with gRPC's default."""
    settings = [
        ("grpc.keepalive_time_ms", 6000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    with running("--workers", "1") as server, grpc.insecure_channel(server.address, settings) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(service="solver.api.v1.OptimizerService"))
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        threading.Event().wait(26)
        assert watched.is_active(), watched.details()
        watched.cancel()
