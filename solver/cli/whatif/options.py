"""Options that several commands of `whatif` have, and what is checked of them before anything is begun."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from solver.cli.params import FileName, Number, Whole
from solver.cli.question import library_from, tell
from solver.cli.speech import SpokenOption
from solver.domain.errors import InvalidProblem
from solver.domain.language import message, say

EXIT_BROKEN, EXIT_FAILED, EXIT_UNAVAILABLE = 3, 6, 7


def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """An option whose help is said when it is shown."""
    return click.option(*names, cls=SpokenOption, **settings)


STORE = option(
    "--store", metavar="FILE", help=message("The run store.  [default: whatif.sqlite in your data directory]")
)


OUTPUT = option(
    "-o",
    "--output",
    "outputs",
    metavar="FILE",
    multiple=True,
    help=message("Write all results: .csv, .jsonl, .parquet, .xlsx."),
)


RAW = option(
    "--raw-csv", is_flag=True, help=message("Leave text in CSV as it is, also where a spreadsheet would run it.")
)


JOBS = option("--jobs", "-j", type=Whole("N"), help=message("Processes.  [default: one for each core]"))


EXECUTOR = option(
    "--executor",
    type=click.Choice(["local", "inline", "dask"]),
    help=message("Where to solve.  [default: local; dask with --scheduler]"),
)


SCHEDULER = option(
    "--scheduler", metavar="ADDRESS", help=message("A Dask scheduler: tcp://host:port or tls://host:port.")
)


TLS_CA = option("--tls-ca", metavar="FILE", help=message("For tls://: who signed the cluster's certificates, PEM."))


TLS_CERT = option("--tls-cert", metavar="FILE", help=message("For tls://: your own certificate, PEM."))


TLS_KEY = option("--tls-key", metavar="FILE", help=message("For tls://: its key, PEM."))


PATIENCE = option(
    "--patience",
    type=Number("SECONDS"),
    default="120",
    help=message("With --server, how long it may be away.  [default: 120]"),
)


QUIET = option("--quiet", "-q", is_flag=True, help=message("Say nothing but errors."))


FORMAT = option(
    "--format", "form", type=click.Choice(["table", "json", "jsonl"]), default="table", help=message("How to print.")
)


PLAIN_FORMAT = option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", help=message("How to print.")
)


FAIL_FAST = option("--fail-fast", is_flag=True, help=message("Stop at the first scenario that fails."))


CATALOG = option(
    "--catalog",
    type=FileName("DIR"),
    metavar="DIR",
    multiple=True,
    help=message("A folder of your own entries; repeatable."),
)


QUOTES = option(
    "--quotes",
    type=FileName(),
    metavar="FILE",
    multiple=True,
    help=message("Vendors' quotes, CSV or XLSX; repeatable."),
)


BASE = option("--base", metavar="FILE", help=message("A problem file that all scenarios change, for tables."))


def checked_targets(outputs: tuple[str, ...]) -> None:
    """Refuse files of `-o` that could not be written in the end.

    Raises:
        InvalidProblem: a name or package that does not do.
    """
    if outputs:
        from solver.sweep.export import checked_target

        for target in outputs:
            checked_target(target)


def library_of_options(options: dict[str, Any]) -> Any:
    """The shipped catalogue with your own folders and quotes laid over it; the run keeps it as it is now."""
    library = library_from(options)
    if not options["quotes"]:
        return library
    from dataclasses import replace

    from solver.catalog.quotes import read_quotes, with_quotes

    quotes = read_quotes(map(Path, options["quotes"]), library.catalog)
    tell(quotes.notes)
    return replace(library, catalog=with_quotes(library.catalog, quotes))


def checked_patience(options: dict[str, Any]) -> None:
    """Refuse a `--patience` outside 0 to 1,000,000 seconds.

    Raises:
        InvalidProblem: it is.
    """
    if not 0 <= options["patience"] <= 10**6:
        raise InvalidProblem.of("--patience", options["patience"], say("must be between 0 and 1,000,000 seconds"))
    options["patience"] = float(options["patience"])


def jobs_of(given: int | None) -> int:
    """How many processes: as given, or one for each core that may be used.

    Raises:
        InvalidProblem: not between 1 and 1,024.
    """
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= given <= 1024:
        raise InvalidProblem.of("--jobs", given, say("must be between 1 and 1,024"))
    return given


def cluster_of(options: dict[str, Any]) -> dict[str, Any]:
    """The executor, and for a cluster where it is; asked before anything is read or registered."""
    cluster = {name: options[name] or "" for name in ("scheduler", "tls_ca", "tls_cert", "tls_key")}
    executor = options["executor"] or ("dask" if cluster["scheduler"] else "local")
    if executor != "dask":
        for name, value in cluster.items():
            if value:
                raise InvalidProblem.of(f"--{name.replace('_', '-')}", value, say("goes with --executor dask only"))
        return {"executor": executor}
    from solver.sweep.cluster import check_cluster

    check_cluster(**cluster)
    return {"executor": executor, "cluster": cluster}


def store_path(given: str | None) -> Path:
    """The run store of `--store`, or the user's own."""
    from solver.sweep.store import default_path

    return default_path() if given is None else Path(given)
