"""`solver-cli --server HOST:PORT ...`: the same commands and the same output, answered by a server."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from solver.domain.errors import InvalidProblem

if TYPE_CHECKING:
    from solver.client import Client

REMOTE_COMMANDS = frozenset({"optimize", "explain", "frontier", "check", "whatif"})
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Server:
    """Where to ask, and how to be let in."""

    address: str
    tls: bool
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    token_file: Path | None


def server_options(function: Callable[[], None]) -> Callable[..., None]:
    """Add the options of the whole command line that name a server."""

    @click.option(
        "--server", metavar="HOST:PORT", envvar="SOLVER_CLI_SERVER", help="Ask this server instead of solving here."
    )
    @click.option("--tls", is_flag=True, envvar="SOLVER_CLI_TLS", help="Encrypt; implied by the files below.")
    @click.option("--tls-ca", type=_FILE, envvar="SOLVER_CLI_TLS_CA", help="Authorities to trust, PEM.")
    @click.option("--tls-cert", type=_FILE, envvar="SOLVER_CLI_TLS_CERT", help="Our certificate, PEM.")
    @click.option("--tls-key", type=_FILE, envvar="SOLVER_CLI_TLS_KEY", help="Its private key, PEM.")
    @click.option("--token-file", type=_FILE, envvar="SOLVER_CLI_TOKEN_FILE", help="File with a bearer token.")
    @functools.wraps(function)
    def with_server(server: str | None, **access: Any) -> None:
        ctx = click.get_current_context()
        if server is not None:
            if ctx.invoked_subcommand not in REMOTE_COMMANDS:
                if ctx.get_parameter_source("server") is not ParameterSource.COMMANDLINE:
                    return  # the variable is for the commands that can; the others work here
                known = ", ".join(sorted(REMOTE_COMMANDS))
                raise click.UsageError(f"--server does not go with {ctx.invoked_subcommand}; it goes with {known}")
            ctx.obj = Server(server, **access)
        function()

    return with_server


def named_on_command_line() -> bool:
    """Whether a server was named before the command, rather than by the variable."""
    ctx = click.get_current_context().find_root()
    return isinstance(ctx.obj, Server) and ctx.get_parameter_source("server") is ParameterSource.COMMANDLINE


def remote() -> Client | None:
    """A client of the server named before the command; None where there is none. Closed when the command ends."""
    ctx = click.get_current_context().find_root()
    if not isinstance(ctx.obj, Server):
        return None
    from solver.client import Client

    server: Server = ctx.obj
    client = Client(
        server.address,
        tls=server.tls,
        tls_ca=server.tls_ca,
        tls_cert=server.tls_cert,
        tls_key=server.tls_key,
        token=None if server.token_file is None else _token(server.token_file),
    )
    ctx.call_on_close(client.close)
    return client


def _token(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InvalidProblem.of("--token-file", str(path), "cannot be read") from None
    token = next((line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    if not token.isascii() or not token:
        raise InvalidProblem.of("--token-file", str(path), "must hold a token")
    return token
