"""The server's settings: flags, then SOLVER_SERVER_* in the environment, then a TOML file, then the defaults here."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from solver.domain.errors import InvalidProblem, from_validation_error

_PREFIX = "SOLVER_SERVER_"
_KUBERNETES = re.compile(_PREFIX + r"(SERVICE_|PORT(_|$))")
"""What Kubernetes sets in every pod for a service named solver-server."""
_ADDRESS = re.compile(r"^(?P<host>\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9_.-]+):(?P<port>\d{1,5})$")


def _address(text: str) -> str:
    match = _ADDRESS.match(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:50051")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """Everything that can be set; each field is a flag (--tls-cert) and a variable (SOLVER_SERVER_TLS_CERT)."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, extra="forbid", frozen=True, cli_kebab_case=True, cli_implicit_flags=True,
        cli_prog_name="solver-server", cli_hide_none_type=True, cli_avoid_json=True, cli_exit_on_error=False,
    )  # fmt: skip

    listen: Address = Field("127.0.0.1:50051", description="Address to listen on; port 0 takes a free one")
    insecure: bool = Field(False, description="Listen beyond loopback without TLS")
    tls_cert: Path | None = Field(None, description="Certificate chain of the server, PEM")
    tls_key: Path | None = Field(None, description="Its private key, PEM")
    tls_client_ca: Path | None = Field(
        None, description="Clients must show a certificate signed by one of these, PEM (mTLS)"
    )
    token_file: Path | None = Field(
        None, description="Callers must send one of these bearer tokens, one a line; readable by its owner only"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        os.cpu_count() or 1, description="Solver processes: calls answered at once"
    )
    spare_workers: Annotated[int, Field(ge=0, le=64)] = Field(
        1, description="Further warm processes that stand in for one that dies"
    )
    queue_length: Annotated[int, Field(ge=0, le=100_000)] = Field(64, description="Calls that may wait for a solver")
    max_time_s: Annotated[float, Field(gt=0, le=1_000_000)] = Field(60.0, description="Longest search, seconds")
    max_search_workers: Annotated[int, Field(ge=1, le=256)] = Field(
        os.cpu_count() or 1, description="Most CP-SAT workers a call may ask for"
    )
    max_message_mib: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="Largest request, MiB")
    max_catalog_entries: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="Most cards, platforms, offers, prices and ids in one request"
    )
    memory_limit_mib: Annotated[int, Field(ge=1024, le=10_000_000)] = Field(
        4096, description="Address space of one solver process, MiB"
    )
    catalogs: dict[str, Path] = Field(
        default_factory=dict,
        description="Catalogue folders by name, as NAME=FOLDER; 'default' replaces the shipped one",
    )
    run_store: Path | None = Field(
        None, description="Keep runs of what-if scenarios in this file and offer RunService; one server a file"
    )
    max_run_file_mib: Annotated[int, Field(ge=1, le=1024)] = Field(8, description="Largest scenario file, MiB")
    max_run_scenarios: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        1_000_000, description="Most scenarios of one run"
    )
    max_open_runs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        16, description="Most runs of one caller that are not over"
    )
    max_kept_runs: Annotated[int, Field(ge=1, le=1_000_000)] = Field(10_000, description="Most runs in the store")
    max_watchers: Annotated[int, Field(ge=1, le=10_000)] = Field(64, description="Most calls that watch runs at once")
    drain_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        30.0, description="Seconds that running calls get after SIGTERM"
    )
    metrics_listen: Address | None = Field(None, description="Serve Prometheus metrics over HTTP at this address")
    reflection: bool = Field(True, description="Describe the API to clients that ask (gRPC reflection)")
    log_format: Literal["json", "text"] = Field("json", description="Form of the log on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    config: Path | None = Field(None, description="TOML file with settings under the names above")
    print_config: bool = Field(False, description="Print the settings in force and exit")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must be given together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        for name in ("listen", "metrics_listen"):
            address = getattr(self, name)
            plain = name != "listen" or self.tls_cert is None
            if address is not None and plain and not self.insecure and not is_loopback(address):
                way = "give tls_cert and tls_key, or insecure" if name == "listen" else "give insecure"
                raise ValueError(f"{name} = {address} is beyond loopback and not encrypted: {way}")
        return self

    def as_toml(self) -> str:
        """The settings in force, in the form of the settings file; those without a value as comments."""
        lines = []
        for name, value in self.model_dump(mode="json", exclude={"config", "print_config"}).items():
            if isinstance(value, dict):
                entries = ", ".join(f"{json.dumps(key)} = {json.dumps(each)}" for key, each in value.items())
                lines.append(f"{name} = {{{entries}}}")
            else:
                lines.append(f"# {name} is not set" if value is None else f"{name} = {json.dumps(value)}")
        return "\n".join(lines) + "\n"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """After the flags: the environment, then the file, whose values `read_settings` passes in."""
        return env_settings, init_settings


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT is reachable from this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Which of the environment's variables look like settings and are none: misspelt, or of another version."""
    ours = {_PREFIX + name.upper() for name in Settings.model_fields}
    found = (name for name in names if name.upper().startswith(_PREFIX) and name.upper() not in ours)
    return sorted(name for name in found if not _KUBERNETES.match(name))


def read_settings(arguments: list[str]) -> Settings:
    """The settings that flags, environment and file make.

    Raises:
        InvalidProblem: a setting is unknown or out of its range.
        SystemExit: --help was asked for, or a flag is unknown.
    """
    try:
        source: Any = CliSettingsSource(Settings, cli_parse_args=arguments)
        file = source().get("config") or os.environ.get("SOLVER_SERVER_CONFIG")
        values = {} if file is None else _from_file(Path(file))
        return Settings(_cli_settings_source=source, **values)
    except ValidationError as error:
        raise from_validation_error(error, known={"": Settings.model_fields}) from None
    except SettingsError as error:
        raise InvalidProblem.of("settings", None, str(error)) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise InvalidProblem.of("config", str(path), "no such file, or it cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidProblem.of("config", str(path), f"is not TOML: {error}") from None
    for name in ("config", "print_config"):
        if name in values:
            raise InvalidProblem.of(f"config.{name}", None, "cannot be set in the file")
    return values
