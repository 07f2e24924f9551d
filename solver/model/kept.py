"""What is kept from one question to the next: the last few things made from the same records, found by identity.

Modify this module when the figures of rigs come to hang on another field of a question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from solver.domain.problem import CONFIDENCES, Problem

T = TypeVar("T")


class Kept(Generic[T]):
    """The last few things made from frozen records, found again by identity.

    An entry holds its records, so an id cannot be given to another record while the entry is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[Any, ...], tuple[tuple[Any, ...], T]] = {}
        self._lock = threading.Lock()

    def of(self, records: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What `make` made for these records (whole numbers and None count by value)."""
        key = tuple(part if isinstance(part, int) or part is None else id(part) for part in records)
        held = self._held.get(key)
        if held is None:
            held = (records, make())
            with self._lock:
                while len(self._held) >= self._most:
                    self._held.pop(next(iter(self._held)))
                self._held[key] = held
        return held[1]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()


def reckoned_by(problem: Problem) -> tuple[Any, ...]:
    """What of a question, its catalogue aside, decides the figures of its rigs: part of the key of what is kept."""
    return problem.workload, CONFIDENCES.index(problem.confidence), problem.limits.power_limit_w
