"""Whole numbers as arrays: the types of all columns, and how far 64 bits go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
INT64_SAFE = 2**62
"""What stays below this fits 64 bits, and so does the sum of two."""


def ints(values: Any) -> Ints:
    """An int64 array of any iterable of whole numbers."""
    return np.array(list(values), dtype=np.int64)


def ranks(names: Sequence[str]) -> Ints:
    """The position of each name in alphabetical order."""
    found = np.empty(len(names), dtype=np.int64)
    found[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return found
