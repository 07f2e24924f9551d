"""Explanations and curves of many random problems against the oracle: `python -m tests.explain_run --cases 10000`.

Case i is drawn from seed + i, so `--cases 1 --seed N` repeats the case that a failure names. Exit 1 on a failure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback

from tests import test_explain, test_frontier

CHECKS = {
    "explain": test_explain.check,
    "staircase": test_frontier.check_staircase,
    "pareto": test_frontier.check_pareto,
}


def failures(seed: int) -> list[str]:
    """What went wrong with one case."""
    found = []
    for name, check in CHECKS.items():
        try:
            check(seed)
        except Exception:  # whatever it is, the case failed
            found.append(f"{name}, seed {seed}:\n{traceback.format_exc(limit=-3)}")
    return found


def main() -> int:
    """Run the cases on all cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    asked = parser.parse_args()
    started, wrong = time.perf_counter(), 0
    with multiprocessing.Pool(asked.jobs) as pool:
        seeds = range(asked.seed, asked.seed + asked.cases)
        for found in pool.imap_unordered(failures, seeds, chunksize=10):
            wrong += len(found)
            for line in found if wrong <= 10 else ():
                print(line)
    print(f"{asked.cases} cases, {wrong} failures, {time.perf_counter() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
