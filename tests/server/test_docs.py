"""docs/server.md names what there is: every call, setting, metric and reason."""

from __future__ import annotations

import re

import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from server import errors
from server.metrics import Metrics
from server.settings import Settings
from solver.api.v1 import optimizer_service_pb2 as api
from solver.api.v1 import run_service_pb2
from tests.server.running import ROOT

TEXT = (ROOT / "docs" / "server.md").read_text("utf-8")
SERVICES = (
    api.DESCRIPTOR.services_by_name["OptimizerService"],
    run_service_pb2.DESCRIPTOR.services_by_name["RunService"],
)
METHODS = [method.name for service in SERVICES for method in service.methods]


@pytest.mark.parametrize("name", [*METHODS, *Settings.model_fields])
def test_calls_and_settings_are_documented(name: str) -> None:
    """Tests that every call and every setting stands in the document."""
    assert f"`{name}`" in TEXT


def test_metrics_are_documented() -> None:
    """Tests that the document names the metrics that are served, and no others."""
    served = {metric.name for metric in Metrics().registry.collect()}
    named = {name.removesuffix("_total") for name in re.findall(r"`(solver_[a-z_]+)(?:\{[a-z,]+\})?`", TEXT)}
    assert named == served


def test_documented_defaults() -> None:
    """Tests the defaults that the table states as plain values."""
    stated = dict(re.findall(r"^\| `([a-z_]+)` \| `?([^|` ]+)`? \|", TEXT, re.MULTILINE))
    fields = Settings.model_fields
    wrong = {
        name: text
        for name, text in stated.items()
        if name in fields and str(fields[name].default).lower().removesuffix(".0") != text
    }
    assert len(stated) > 8
    assert not wrong


def test_reasons_are_documented() -> None:
    """Tests that the table of errors names the reasons by which a program tells two of one code apart."""
    refused = (errors.full(1, 0.1), errors.out_of_memory(1), errors.too_late(1), errors.no_runs(), errors.store_full())
    for status in (*refused, errors.too_many_runs("runs", 1)):
        detail = ErrorInfo()
        assert status.details[0].Unpack(detail)
        assert f"`{detail.reason}`" in TEXT


def test_tests_that_are_named_exist() -> None:
    """Tests that the table of what the tests show names functions that there are."""
    file, checked = "", 0
    for quoted in re.findall(r"`([^`]*::test_[a-z0-9_]+)`", TEXT):
        named, _, function = quoted.partition("::")
        file = named or file
        folders = (ROOT / "tests" / "server", ROOT / "tests", ROOT)
        path = next(folder / file for folder in folders if (folder / file).exists())
        assert f"\ndef {function}(" in path.read_text("utf-8"), quoted
        checked += 1
    assert checked > 60
