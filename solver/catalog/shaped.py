"""Workloads made from a model's shape: their figures are filled in before the record is validated.

A figure that follows from the shape is never laid over another question: it is left out and follows again. A figure
that somebody states stays as stated. Modify this module when layers of a workload should meet in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from solver.domain.errors import InvalidProblem, Violation, shown
from solver.domain.language import say
from solver.domain.shape import FIGURES
from solver.domain.workload import Workload


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a workload with all figures that follow from its shape; as they are where it has none.

    Raises:
        InvalidProblem: a faulty shape; or a figure listed in `estimated` has a value that does not follow from it.
    """
    if fields.get("model") is None:
        return dict(fields)
    from solver.estimate import completed

    made = completed(fields)
    listed = fields.get("estimated")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, (list, tuple)) else []
    stale = [
        Violation(
            name,
            shown(fields[name]),
            say("follows from the shape and would be {made}; take it out of estimated", made=made[name]),
        )
        for name in names
        if name in FIGURES and fields.get(name) is not None and not _same(fields[name], made.get(name))
    ]
    if stale:
        raise InvalidProblem(stale)
    return made


def laid_over(base: Workload, said: Mapping[str, Any]) -> dict[str, Any]:
    """Fields said of a workload, over those of the one of the same id; what follows from a shape is left out.

    Where `said` names a figure, the base's spread of it goes: it was that of another value.

    Raises:
        InvalidProblem: the base's figures were stated or measured, and `said` changes what they are of.
    """
    _check_measured_for(base, said)
    _check_stated_for(base, said)
    gone = set(base.estimated) | _names(said.get("estimated"))
    fields = {name: value for name, value in dict(base).items() if name not in gone and name != "estimated"}
    fields["spreads"] = tuple(
        spread
        for spread in base.spreads
        if spread.field not in gone and (spread.field not in said or said[spread.field] == getattr(base, spread.field))
    )
    return {**fields, **said}


_MEASURED_FOR = ("model", "seq_len", "checkpointing", "flash_attention", "zero_stage", "offload")
"""What fitted figures hold for; of a workload from a shape, others would follow and these would not."""


def _check_measured_for(base: Workload, said: Mapping[str, Any]) -> None:
    if base.model is None or not any(origin.basis == "calibrated" for origin in base.provenance):
        return
    for name in _MEASURED_FOR:
        held = getattr(base, name)
        given = said.get(name, held)
        if given != held and not (name == "model" and _same_shape(given, held)):
            fitted = {field for origin in base.provenance if origin.basis == "calibrated" for field in origin.fields}
            if not all(said.get(field) is not None for field in fitted & set(FIGURES)):
                allowed = say("the workload's figures are fitted to measured steps and do not follow: calibrate again")
                raise InvalidProblem.of(name, given if isinstance(given, (str, int)) else None, allowed)


def _check_stated_for(base: Workload, said: Mapping[str, Any]) -> None:
    """Without a shape nothing follows: another length or offload beside the same figures would be a wrong answer."""
    if base.model is not None or any(said.get(name) is not None for name in ("model", *FIGURES)):
        return
    for name in _MEASURED_FOR:
        given = said.get(name)
        if given is not None and given != getattr(base, name):
            allowed = say("cannot be changed: the workload has no model from which its figures would follow")
            raise InvalidProblem.of(name, given if isinstance(given, (str, int)) else None, allowed)


def _same_shape(given: Any, held: Any) -> bool:
    return isinstance(given, Mapping) and all(getattr(held, key, None) == value for key, value in given.items())


def own(work: Workload, base: Workload | None) -> dict[str, Any]:
    """The fields of a workload that do not follow from its shape, and which of the base's figures are to follow."""
    follows = set(work.estimated)
    if not follows:
        return {name: value for name, value in dict(work).items() if name != "estimated"}
    fields = {name: value for name, value in dict(work).items() if name not in follows and name != "estimated"}
    fields["spreads"] = tuple(s for s in work.spreads if s.field not in follows)
    taken = sorted(follows - set(base.estimated)) if base is not None else []
    return {**fields, "estimated": tuple(taken)} if taken else fields


def without_stated(below: Any, above: Any) -> Any:
    """The group below without the names in `estimated` that the group above gives values for."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)) or not below.get("estimated"):
        return below
    if not isinstance(below["estimated"], (list, tuple)) or above.get("estimated") is not None:
        return below
    return {**below, "estimated": [name for name in below["estimated"] if above.get(name) is None]}


def _names(value: Any) -> set[str]:
    return {name for name in value if isinstance(name, str)} if isinstance(value, (list, tuple)) else set()


def _same(given: Any, made: Any) -> bool:
    try:
        return bool(Decimal(str(given)) == Decimal(str(made)))
    except ArithmeticError:
        return False
