"""Printing and waiting, shared by the commands: data on stdout, talk on stderr."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import click

from solver.domain.language import message, say

T = TypeVar("T")
FORMATS = click.Choice(["table", "json", "markdown"])
FORMAT_HELP = message("How to print.  [default: table]")


def console() -> Any:
    """A Rich console on stdout; plain text where stdout is not a terminal or NO_COLOR is set."""
    from rich.console import Console

    class Telling(Console):
        """Tells the caller that nobody reads on, where Rich would end the program: there may be a folder to save."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    made = Telling(highlight=False, soft_wrap=False, emoji=False, markup=False)
    if not made.is_terminal:
        made = Telling(highlight=False, emoji=False, markup=False, width=120, no_color=True, force_terminal=False)
    return made


def interruptible(work: Callable[[threading.Event], T]) -> tuple[T, bool]:
    """Run `work(stop)` in a thread so that Ctrl-C is heard; the first Ctrl-C sets `stop` and waits for what it has.

    Returns:
        What the work returned, and whether it was interrupted. A second Ctrl-C raises KeyboardInterrupt.
    """
    stop = threading.Event()
    done = threading.Event()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work(stop))
        except BaseException as error:  # handed to the caller below
            failure.append(error)
        finally:
            done.set()

    speaking = contextvars.copy_context()  # the thread speaks the language of the command
    interrupted = False
    try:
        threading.Thread(target=speaking.run, args=(run,), daemon=True).start()
        done.wait()
    except KeyboardInterrupt:
        interrupted = True
        stop.set()
        click.echo(say("stopping; Ctrl-C again to give up at once"), err=True)
        done.wait()
    if failure:
        raise failure[0]
    return outcome[0], interrupted
