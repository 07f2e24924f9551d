"""The options that make a question, in groups, and which of its fields each one gives.

Modify this module when a question gets another option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from solver.cli.params import ITEM, Choosable, FileName, GroupedOption, Money, Number, Offload, Price, Whole
from solver.domain.errors import InvalidProblem, Violation
from solver.domain.goal_names import GOALS
from solver.domain.language import message

F = TypeVar("F", bound=Callable[..., Any])

LIMITS = {
    "budget": "budget_cny",
    "max_cards": "max_cards",
    "min_batch": "min_batch",
    "max_epoch_days": "max_epoch_days",
    "power_limit": "power_limit_w",
    "require_nvlink": "require_nvlink",
    "allow_used": "allow_used",
}

SITE = {
    "socket_amps": "socket_amps",
    "socket_volts": "socket_volts",
    "derating": "derating",
    "room_cooling_w": "room_cooling_w",
}

WORKLOAD = {
    "samples": "samples",
    "epochs": "epochs",
    "reserve_gb": "reserve_gb",
    "seq_len": "seq_len",
    "zero_stage": "zero_stage",
    "offload": "offload",
    "gradient_accumulation": "gradient_accumulation",
}

FLAGS = {
    **{f"limits.{field}": "--" + option.replace("_", "-") for option, field in LIMITS.items()},
    **{f"site.{field}": "--" + option.replace("_", "-") for option, field in SITE.items()},
    **{f"workload.{field}": "--" + option.replace("_", "-") for option, field in WORKLOAD.items()},
    "confidence": "--confidence",
    "workload": "--workload",
    "limits.include": "--include",
    "limits.exclude": "--exclude",
    "prices": "--price",
    "goal": "--goal",
}

_OPTIONS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    (
        message("Money"),
        ("--budget",),
        {"type": Money(), "help": message("All the money there is, in CNY: 300000 or 30万.")},
    ),
    (
        message("Money"),
        ("--price", "prices"),
        {
            "type": Price(),
            "multiple": True,
            "help": message("Replace every offer of a card or platform (new, unlimited)."),
        },
    ),
    (
        message("Money"),
        ("--quotes",),
        {
            "type": FileName(),
            "metavar": "FILE",
            "multiple": True,
            "help": message("A vendor's quote, CSV or XLSX: replaces the offers of the cards it names; repeatable."),
        },
    ),
    (
        message("Money"),
        ("--allow-used/--new-only",),
        {"is_flag": True, "default": None, "help": message("Used offers may be bought too.  [default: new only]")},
    ),
    (
        message("Machine"),
        ("--goal",),
        {"type": Choosable("goal"), "metavar": "|".join(GOALS), "help": message("What is best.  [default: batch]")},
    ),
    (
        message("Machine"),
        ("--max-cards",),
        {"type": Whole("N"), "help": message("Most cards in the machine.  [default: 4]")},
    ),
    (message("Machine"), ("--power-limit",), {"type": Whole("W"), "help": message("Fix the power limit per card.")}),
    (
        message("Machine"),
        ("--include",),
        {"type": ITEM, "metavar": "ID", "multiple": True, "help": message("Choose only among these; repeatable.")},
    ),
    (
        message("Machine"),
        ("--exclude",),
        {"type": ITEM, "metavar": "ID", "multiple": True, "help": message("Leave these out; repeatable.")},
    ),
    (
        message("Machine"),
        ("--require-nvlink/--without-nvlink",),
        {"is_flag": True, "default": None, "help": message("Every card has an NVLink partner.  [default: need not]")},
    ),
    (
        message("Machine"),
        ("--catalog",),
        {
            "type": FileName("DIR"),
            "metavar": "DIR",
            "multiple": True,
            "help": message("A folder of your own entries: added to the catalogue, the same id replaces; repeatable."),
        },
    ),
    (message("Site"), ("--socket-amps",), {"type": Number("A"), "help": message("The wall socket.  [default: 10]")}),
    (message("Site"), ("--socket-volts",), {"type": Number("V"), "help": message("Its voltage.  [default: 220]")}),
    (
        message("Site"),
        ("--derating",),
        {"type": Number("SHARE"), "help": message("Share of the socket used for days.  [default: 1.0]")},
    ),
    (
        message("Site"),
        ("--room-cooling-w",),
        {"type": Whole("W"), "help": message("Heat the room's cooling removes (1 匹 = 2,324 W).")},
    ),
    (
        message("Training"),
        ("--workload",),
        {
            "type": Choosable("ID", "workload"),
            "metavar": "ID|FILE",
            "help": message("A training job of the catalogue, or of a file.  [default: guide-6b]"),
        },
    ),
    (
        message("Training"),
        ("--min-batch",),
        {"type": Whole("N"), "help": message("Smallest total batch that will do.")},
    ),
    (
        message("Training"),
        ("--max-epoch-days",),
        {"type": Number("DAYS"), "help": message("Longest expected epoch that will do.")},
    ),
    (
        message("Training"),
        ("--samples",),
        {"type": Whole("N"), "help": message("Samples per epoch.  [default: 25,000]")},
    ),
    (message("Training"), ("--epochs",), {"type": Whole("N"), "help": message("Epochs.  [default: 1]")}),
    (
        message("Training"),
        ("--reserve-gb",),
        {"type": Number("GB"), "help": message("Memory kept free per card.  [default: 1.5]")},
    ),
    (
        message("Training"),
        ("--seq-len",),
        {"type": Whole("N"), "help": message("Tokens of a sample, for workloads with a model's shape.")},
    ),
    (
        message("Training"),
        ("--zero-stage",),
        {"type": Whole("2|3"), "help": message("DeepSpeed ZeRO stage.  [default: 3]")},
    ),
    (
        message("Training"),
        ("--offload",),
        {"type": Offload(), "help": message("What is kept in host RAM.  [default: optimizer,param]")},
    ),
    (
        message("Training"),
        ("--gradient-accumulation",),
        {
            "type": Whole("N"),
            "help": message("Micro-steps in one optimizer step; the total batch is as many times larger."),
        },
    ),
    (
        message("Training"),
        ("--confidence",),
        {
            "type": Choosable("confidence"),
            "metavar": "low|expected|high",
            "help": message("End of the intervals planned on; high: the batch that surely fits.  [default: expected]"),
        },
    ),
    (
        message("Question file"),
        ("--problem",),
        {
            "type": FileName(),
            "metavar": "FILE",
            "help": message(
                "A whole question as YAML (- for standard input); options given beside it are laid over it."
            ),
        },
    ),
    (
        message("Question file"),
        ("--dump-problem",),
        {"is_flag": True, "help": message("Write the question being asked, as a file for --problem, and stop.")},
    ),
)


def question_options(function: F) -> F:
    """Add the options that make a question."""
    for section, names, settings in reversed(_OPTIONS):
        function = click.option(*names, cls=GroupedOption, section=section, **settings)(function)
    return function


@contextmanager
def naming_flags() -> Iterator[None]:
    """Name the option instead of the question's field in every fault found inside."""
    try:
        yield
    except InvalidProblem as error:
        raise type(error)(_as_flags(error)) from None


def _as_flags(error: InvalidProblem) -> list[Any]:
    named = []
    for fault in error.violations:
        path = next((p for p in FLAGS if fault.field == p or fault.field.startswith(p + ".")), None)
        if path is None:
            named.append(fault)
            continue
        item = fault.field.removeprefix("prices.") if path == "prices" else ""
        named.append(Violation(f"{FLAGS[path]} {item}".rstrip(), fault.value, fault.allowed))
    return named
