"""Measured steps -> a workload's figures: what the rows tell is fitted, what they cannot tell is kept from the base.

Modify this module when a calibrated workload should say something else about itself; the fits stand in fits.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from solver.domain.physics import scaling_milli
from solver.domain.shape import FIGURES
from solver.domain.workload import Workload
from solver.estimate.fits import host_of, memory_of, time_of
from solver.estimate.measured import Part, Row


@dataclass(frozen=True)
class Calibration:
    """Fields of the calibrated workload (for `Workload.model_validate`), and how they came about."""

    fields: dict[str, Any]
    parts: tuple[Part, ...]

    @property
    def fitted(self) -> bool:
        """Whether any figure could be fitted at all."""
        return any(part.figures for part in self.parts)


def calibrated(base: Workload, rows: Sequence[Row], name: str, card: tuple[str, Decimal] | None = None) -> Calibration:
    """Fit what the rows tell of a workload; all else is the base's.

    Args:
        base: whose figures are kept where the rows cannot tell them.
        rows: as measured, in any number; columns may be absent.
        name: of the log, for the source of the fitted figures.
        card: (id, dense TFLOPS) of the card the rows were measured on; None: the base's reference card.

    Returns:
        The fields of the new workload with the source of every figure, residuals, and what could not be told.
    """
    used = [row for row in rows if row.used != "no"]
    parts = (time_of(base, used), memory_of(base, used), host_of(base, used))
    return Calibration(_fields(base, parts, name, card), parts)


def _fields(base: Workload, parts: Sequence[Part], name: str, card: tuple[str, Decimal] | None) -> dict[str, Any]:
    made: dict[str, Any] = {figure.name: figure.expected for part in parts for figure in part.figures.values()}
    spreads: list[dict[str, Any]] = [
        {"field": figure.name, "low": figure.low, "high": figure.high, "basis": "calibrated"}
        for part in parts
        for figure in part.figures.values()
    ]
    time = parts[0]
    if time.figures:
        made["measured_steps"] = ()
        if any(row.used == "range" for row in time.rows):
            made |= {"measured_steps": _steps(base, time), "optimizer_s": made.get("optimizer_s", base.optimizer_s)}
            spreads = [spread for spread in spreads if spread["field"] not in _TIMES]
        if card is not None:
            made |= {"reference_card_id": card[0], "reference_tflops": card[1]}
    if base.model is not None:
        length = f"Calibrated at {base.seq_len:,} tokens: the calibrated figures do not follow another length."
        made["notes"] = f"{length} {base.notes or ''}".strip()[:2000]
    spreads += [dict(spread) for spread in base.spreads if spread.field not in made]
    spreads.sort(key=lambda spread: FIGURES.index(spread["field"]))
    stale = {*made, "estimated", "spreads", "provenance"}
    return {
        **{key: value for key, value in dict(base).items() if key not in stale},
        **made,
        "spreads": tuple(spreads),
        "estimated": tuple(field for field in base.estimated if field not in made),
        "provenance": _provenance(base, made, parts, name),
    }


_TIMES = ("fixed_s", "optimizer_s", "per_sample_s")


def _steps(base: Workload, part: Part) -> tuple[dict[str, Any], ...]:
    """The rows as steps of one micro-step on one card: those with another f(n) are left out."""
    optimizer = part.figures["optimizer_s"].expected if "optimizer_s" in part.figures else base.optimizer_s
    steps = []
    for row in part.rows:
        if scaling_milli(base, row.cards) == 1000 and row.seconds is not None:
            seconds = (row.seconds - optimizer) / row.accumulation + optimizer
            steps.append({"micro_batch": row.micro_batch, "seconds": max(Decimal(0), round(seconds, 3))})
    return tuple(steps)


def _provenance(base: Workload, made: dict[str, Any], parts: Sequence[Part], name: str) -> tuple[Any, ...]:
    """The base's sources of what is kept, and the log as the source of what was fitted."""
    found: list[Any] = []
    for origin in base.provenance:
        left = [field for field in origin.fields if field not in made]
        if left:
            found.append({**dict(origin), "fields": tuple(left)})
    for part in parts:
        if not part.figures:
            continue
        fields = list(part.figures)
        if part.kind == "seconds":
            fields += [key for key in ("measured_steps", "reference_card_id", "reference_tflops") if made.get(key)]
            fields = [key for key in _TIMES if key in made and key not in fields] + fields
        said = list(dict.fromkeys(row.source for row in part.rows if row.source))
        told = f"least squares on {len(part.residuals)} rows of {name}" + (": " + "; ".join(said) if said else "")
        found.append({"fields": tuple(fields), "source": told[:2000], "basis": "calibrated"})
    return tuple(found)
