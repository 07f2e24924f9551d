"""Estimates against published measurements: the table in docs/model.md is computed, complete, and gives reasons."""

from __future__ import annotations

from pathlib import Path

from tests.published import TOLERATED, measurements, table

MODEL = Path(__file__).resolve().parents[1] / "docs" / "model.md"


def test_table_is_in_the_docs() -> None:
    """Tests that docs/model.md shows the table as it is computed now."""
    shown = MODEL.read_text("utf-8").partition("<!-- table: python -m tests.published -->\n")[2]
    assert shown.startswith(table())


def test_what_is_far_off_has_its_reason() -> None:
    """Tests that a row beyond 25 % says why, and no other row excuses itself."""
    for measurement in measurements():
        far = abs(measurement.error) > TOLERATED
        assert not far or measurement.reason, measurement.what


def test_where_estimates_hold() -> None:
    """Tests that what the docs promise holds: offloaded steps and memory of ZeRO-3 within 20 %, counts exact."""
    found = measurements()
    for measurement in found:
        if measurement.unit == "e9":
            assert measurement.error == 0
        if "optimizer offloaded, checkpointing" in measurement.what:
            assert abs(measurement.error) < 20
    steps = [m for m in found if m.unit == "s a step" and ("8 x" in m.what or "both offloaded" in m.what)]
    assert len(steps) == 3
    assert all(abs(m.error) < 20 for m in steps)
    inside = sum(m.inside for m in found)
    assert f"{inside} of the {len(found)} rows lie inside the interval" in " ".join(MODEL.read_text("utf-8").split())
