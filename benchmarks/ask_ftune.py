"""Asks ftuneai for full fine-tuning answers and prints them as JSON.

Runs in the peers' environment and imports nothing of ours. Arguments: model, GPU, budget in USD, tokens.
"""

import json
import sys
import time

from ftuneai import BudgetOptimizer, Estimator


def main() -> None:
    """Ask for one, two and four cards; then what full fine-tuning takes on each of four, by kind of sharding."""
    model, gpu, budget, seq_len = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    found, spent = {}, []
    for _ in range(3):
        began = time.perf_counter()
        for count in (1, 2, 4):
            answers = BudgetOptimizer.optimize(
                model, dataset_size=25_000, epochs=1, budget=budget, gpu=gpu, num_gpus=count, seq_length=seq_len
            )
            full = [answer for answer in answers if answer.method == "full"]
            found[count] = {
                "full": {"memory_gb": full[0].estimated_memory_gb} if full else None,
                "others": len(answers) - len(full),
            }
        spent.append((time.perf_counter() - began) * 1000)
    sharded = {}
    for sharding in ("none", "zero_2", "zero_3"):
        estimate = Estimator(
            model, method="full", batch_size=1, seq_length=seq_len, sharding=sharding, num_gpus=4, flash_attention=True
        )
        sharded[sharding] = estimate.estimate_memory().total_gb
    json.dump({"found": found, "ms": spent, "full_gb": sharded}, sys.stdout)


main()
