"""Timing: contenders take turns on the same questions in one process; medians, ranges and ratios come out."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal


@dataclass(frozen=True)
class Timing:
    """Milliseconds of every repeat of one contender; and of processor time, all threads, which a busy machine
    stretches less."""

    ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    at_least: bool = False
    """Whether the contender was stopped at a cap, so that its times are lower bounds."""

    @property
    def median(self) -> float:
        return statistics.median(self.ms)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_ms)

    @property
    def low(self) -> float:
        return min(self.ms)

    @property
    def high(self) -> float:
        return max(self.ms)

    def __str__(self) -> str:
        return f"{shown(self.median)} ({shown(self.low)} to {shown(self.high)})"


@dataclass(frozen=True)
class Aim:
    """What a figure should be at most, and what it is."""

    what: str
    figure: float
    at_most: float
    unit: str
    reason: str = ""
    """Why it is missed where it is; printed only then."""

    @property
    def verdict(self) -> Literal["met", "missed"]:
        return "met" if self.figure <= self.at_most else "missed"

    def __str__(self) -> str:
        said = f"{self.what}: {shown(self.figure)} {self.unit}, aim at most {shown(self.at_most)}: {self.verdict}"
        return f"{said} ({self.reason})" if self.reason and self.verdict == "missed" else said


def shown(value: float) -> str:
    """Three significant digits, without exponent."""
    if 0 < abs(value) < 0.1:
        return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def interleave(
    questions: Sequence[Any], contenders: Mapping[str, Callable[[Any], Any]], warm_up: int = 2
) -> tuple[dict[str, Timing], list[dict[str, Any]]]:
    """Give every question to every contender in turn; the first of them by turns, so that none always runs warm.

    Args:
        questions: the first `warm_up` of them are asked untimed, each of the others is one repeat.
        contenders: name -> function of a question.
        warm_up: how many untimed rounds.

    Returns:
        The timing of each contender, and for each timed question the answers by contender.
    """
    for question in questions[:warm_up]:
        for contender in contenders.values():
            contender(question)
    questions = questions[warm_up:]
    names = list(contenders)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    answers: list[dict[str, Any]] = []
    gc.collect()
    gc.disable()
    try:
        for turn, question in enumerate(questions):
            answers.append({})
            for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
                timed, answers[-1][name] = _timed(partial(contenders[name], question))
                spent[name].append(timed)
    finally:
        gc.enable()
    timings = {}
    for name, repeats in spent.items():
        wall, cpu = zip(*repeats, strict=True)
        timings[name] = Timing(wall, cpu)
    return timings, answers


def once(call: Callable[[], Any]) -> tuple[Timing, Any]:
    """Time a single call."""
    gc.collect()
    (wall, cpu), answer = _timed(call)
    return Timing((wall,), (cpu,)), answer


def _timed(call: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    started, worked = time.perf_counter(), time.process_time()
    answer = call()
    ended, rested = time.perf_counter(), time.process_time()
    return ((ended - started) * 1000, (rested - worked) * 1000), answer
