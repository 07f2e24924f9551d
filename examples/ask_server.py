"""Ask a solver server from Python: python examples/ask_server.py 127.0.0.1:50051 [BUDGET]."""

import sys

from solver.client import Client
from solver.domain.errors import InvalidProblem, ServerUnavailable
from solver.domain.plan import Incumbent


def main(server: str, budget_cny: float) -> int:
    """Print each plan as it is found, then the best, with its proof."""
    question = {"goal": "batch", "limits": {"budget_cny": budget_cny}, "prices": {"rtx-a6000": 27500}}
    try:
        with Client(server, timeout_s=30) as client:
            for event in client.stream_optimize(question):
                if isinstance(event, Incumbent):
                    print(f"after {event.elapsed_s:.3f} s: {event.objective:g}, and none is above {event.bound:g}")
                    continue
                print(f"{event.status}: {event.goal} {event.objective} {event.objective_unit}")
                if event.plan is not None:
                    print(f"{event.plan.card_count}x {event.plan.card_name}, {event.plan.cost_cny:,} CNY")
                    report = client.check(question, event.plan.card_id, event.plan.card_count, event.plan.platform_id)
                    print("holds at full power" if report.holds else "does not hold at full power")
    except InvalidProblem as error:
        print(f"the question is wrong: {error}", file=sys.stderr)
        return 2
    except ServerUnavailable as error:
        print(error, file=sys.stderr)
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 300_000))
