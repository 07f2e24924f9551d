"""`solver-cli`, also `python -m solver`: the command line as a program, in which Ctrl-C counts from the first line on.

Imports nothing of ours before `run` has begun: what is left of the start, where Python itself answers Ctrl-C with a
traceback, is Python's own.
"""

from __future__ import annotations

import os
import signal


def run() -> None:
    """Run the command line and end the process; Ctrl-C while it is being loaded ends it with 130."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # or whoever started us has it ignored
    if heard:
        signal.signal(signal.SIGINT, _leave)
    from solver import cli

    cli.run(signal.default_int_handler if heard else None)


def _leave(*_: object) -> None:
    """Nothing has begun: end at once. An exception in the middle of an import may come out as any other."""
    os.write(2, b"Error: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    run()
