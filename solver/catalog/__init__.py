"""Files -> validated records: the shipped catalogue, a buyer's own folder, vendor quotes, whole questions.

Floor 1: knows YAML, CSV and XLSX, never the solver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from solver.catalog.library import Library, default_library, default_problem, with_prices
    from solver.catalog.question import overlaid, question_of, resolve

_HOMES = {
    **dict.fromkeys(("Library", "default_library", "default_problem", "with_prices"), "solver.catalog.library"),
    **dict.fromkeys(("overlaid", "question_of", "resolve"), "solver.catalog.question"),
}

__all__ = ["Library", "default_library", "default_problem", "overlaid", "question_of", "resolve", "with_prices"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: a mistyped amount is refused by amounts.py, which needs none of the records (0.2 s)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
