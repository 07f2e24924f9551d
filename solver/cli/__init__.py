"""`solver-cli`: read, call, print. Click with lazy commands: `--help` and bad input never import the solver.

Exit codes: 0 a proven plan, 1 an unexpected error of ours, 2 bad input, 3 proved that no plan exists (or a quote breaks
a limit), 4 no answer in the time given, 5 a plan without proof, 7 the server is unavailable or full, 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import click

from solver import __version__
from solver.cli.remote import server_options
from solver.cli.speech import VARIABLE, SpokenGroup, SpokenOption, chosen_language, conversation
from solver.domain.errors import Interrupted, InvalidProblem, ServerUnavailable, SolverFailure
from solver.domain.language import LANGUAGES, language_of, message, say

MOST_FAULTS = 10
_COMMANDS: dict[str, tuple[str, str]] = {
    "optimize": ("solver.cli.optimize", message("Find the best rig and prove it.")),
    "explain": ("solver.cli.explain", message("Say why: conflicts, ways out, price ranges, alternatives.")),
    "frontier": ("solver.cli.frontier", message("Draw the exact trade-off curve of two figures.")),
    "whatif": ("solver.cli.whatif", message("Thousands of what-if questions from a file; resume, compare, replay.")),
    "report": ("solver.cli.report", message("Write a page to read, print and hand on: of a saved answer or of a run.")),
    "check": ("solver.cli.check", message("Check a rig or a vendor's quote against every limit.")),
    "verify": ("solver.cli.verify", message("Check a saved answer by plain arithmetic, without the solver.")),
    "catalog": ("solver.cli.catalog", message("List, show and validate cards, platforms, prices and workloads.")),
    "workload": (
        "solver.cli.workload",
        message("Training jobs: ready ones, from a model's shape, from measured steps."),
    ),
    "schema": ("solver.cli.schema", message("Print the JSON Schema of question files.")),
    "completion": ("solver.cli.completion", message("Print the completion script of a shell.")),
}


class _LazyGroup(SpokenGroup):
    """Imports a command's module when it is run; its line in --help stands in the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  Click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section(say("Commands")):
            formatter.write_dl([(name, say(text)) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=message(
        "Which GPU rig to buy: the best cards, count, power limit and platform within your limits, proved optimal."
    ),
    epilog="Examples: solver-cli optimize --budget 300000 --goal batch ; solver-cli COMMAND --help",
)
@click.version_option(__version__, prog_name="solver-cli", cls=SpokenOption, help=message("Show the version and exit."))
@click.option(
    "--lang",
    cls=SpokenOption,
    type=click.Choice(LANGUAGES),
    envvar=VARIABLE,
    expose_value=False,
    help=message("Speak this language; it may stand behind the command too.  [default: that of the locale]"),
)
@server_options
def cli() -> None:
    """The command line."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; every error is one line on stderr."""
    # Half of a cold start is imports. Collecting garbage among them finds none (20 ms), and neither do pydantic's
    # plug-ins, for which it reads the metadata of everything installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # NumPy starts its threads when imported; nothing here multiplies
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        language, given = chosen_language(given, os.environ)
    except InvalidProblem as error:
        with conversation(language_of(os.environ)):
            sys.exit(_fail(str(error), 2))
    with conversation(language):
        code = _answer(given)
    sys.exit(code if isinstance(code, int) else 0)


def _answer(arguments: list[str]) -> object:
    """Run a command line; what went wrong is said in one line on stderr, and is the exit code."""
    try:
        return cli.main(args=arguments, prog_name="solver-cli", standalone_mode=False)
    except InvalidProblem as error:
        return _fail(_told(error), 2)
    except (click.exceptions.Abort, KeyboardInterrupt, Interrupted):
        return _fail(say("interrupted"), 130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        return _fail(_ended(error.format_message()), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: not an error of ours
        return 1
    except ServerUnavailable as error:
        return _fail(str(error), 7)
    except SolverFailure as error:
        return _fail(say("internal: {error}", error=error), 1)
    except Exception as error:
        if _came_of_ctrl_c(error):
            return _fail(say("interrupted"), 130)
        if os.environ.get("SOLVER_DEBUG"):
            raise
        kind = type(error).__name__
        told = say("internal: {kind}; set SOLVER_DEBUG=1 for details, and please report it", kind=kind)
        return _fail(told, 1)


def run(on_ctrl_c: Callable[[int, FrameType | None], Any] | None = None) -> None:
    """Run the command line as a program of its own: `main`, then out at once.

    What is registered for the end is done and all is written; only the taking apart of the interpreter, a tenth of a
    cold `optimize`, is left to the operating system. Ctrl-C is 130 at any moment, also when all is printed.

    Args:
        on_ctrl_c: what is to hear Ctrl-C from the start of the work on, if something else does until then.
    """
    code = 1
    try:
        try:
            if on_ctrl_c is not None:
                signal.signal(signal.SIGINT, on_ctrl_c)
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        finally:
            _on_ctrl_c_leave()
    except KeyboardInterrupt:  # beside the work: in `main` before or after it, or right here
        _on_ctrl_c_leave()
        code = 130
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # whoever is still at work is waited for
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads on
        code = code or 1
    os._exit(code)


def _on_ctrl_c_leave() -> None:
    """From here on Ctrl-C ends the program at once, also where something that is to be waited for does not end."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def _came_of_ctrl_c(error: BaseException | None) -> bool:
    """Whether an exception was made of a KeyboardInterrupt, as by compiled modules interrupted while they load."""
    seen: list[BaseException] = []
    while error is not None and not any(error is one for one in seen):  # a chain may come back to where it has been
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def _told(error: InvalidProblem) -> str:
    """The faults on one line; of very many the first, and how many more there are."""
    faults = [str(fault) for fault in error.violations]
    if len(faults) > MOST_FAULTS:
        faults[MOST_FAULTS:] = [say("and {count} more", count=len(faults) - MOST_FAULTS)]
    return say("; ").join(faults)


def _ended(sentence: str) -> str:
    """A sentence of Click's, which puts its full stop there itself, ended as the reader's language ends one."""
    return say("{sentence}.", sentence=sentence[:-1]) if sentence.endswith(".") else sentence


def _fail(told: str, code: int) -> int:
    click.echo(say("Error: {message}", message=" ".join(told.split())), err=True)
    return code
