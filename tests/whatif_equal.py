"""Answers every scenario of files twice, as a run does and one by one with `optimize`, and compares the rows.

`make whatif-equal` does it for all files in examples/; the tests for a sample of each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from solver.catalog import default_library
from solver.sweep.engine import answer_batch
from solver.sweep.expand import expand
from solver.sweep.file import read
from solver.sweep.library_text import text_of
from solver.sweep.questions import Questions
from solver.sweep.scenario import Batch, Row

EXAMPLES = Path(__file__).parents[1] / "examples"


def scenario_files() -> list[Path]:
    """The scenario files among the examples; quotes and problems are other things."""
    found = []
    for path in sorted(EXAMPLES.iterdir()):
        if path.suffix in (".yaml", ".csv", ".xlsx", ".jsonl"):
            text = path.read_text(encoding="utf-8") if path.suffix != ".xlsx" else ""
            if "scenarios:" in text or "sweeps:" in text or text.startswith("name,"):
                found.append(path)
    return found


def compared(path: Path, every: int = 1) -> Iterator[tuple[Row, Row]]:
    """Pairs of rows (as a run has it, solved alone) of every so-manyth scenario, without who answered and how fast."""
    file, _ = read(path)
    questions = Questions(default_library(), file.question)
    scenarios = itertools.islice(expand(file, questions), 0, None, every)
    library, question = text_of(default_library()), json.dumps(file.question)
    while taken := tuple(itertools.islice(scenarios, 200)):
        batch = Batch(library, question, taken)
        alone = Batch(library, question, taken, alone=True)
        for one, other in zip(answer_batch(batch), answer_batch(alone), strict=True):
            yield (
                one._replace(answered_by="", solve_ms=0.0),
                other._replace(answered_by="", solve_ms=0.0),
            )


def main() -> int:
    """Compare all scenarios of the files named, or of all examples."""
    parser = argparse.ArgumentParser(prog="python -m tests.whatif_equal")
    parser.add_argument("files", nargs="*", type=Path)
    wrong = 0
    for path in parser.parse_args().files or scenario_files():
        started, count, bad = time.perf_counter(), 0, 0
        for one, other in compared(path):
            count += 1
            if one != other:
                bad += 1
                print(f"{path.name}: {one.name}: {one} but alone {other}")
        wrong += bad
        print(f"{path.name}: {count:,} scenarios, {bad} differ from optimize, {time.perf_counter() - started:.1f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
