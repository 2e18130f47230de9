"""What a process of the service may be told, by environment (`CHRONICLE_…`) or by a TOML file; checked at start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from chronicle_ledger.store import urls

PREFIX = "CHRONICLE_"
CONFIG_FILE = f"{PREFIX}CONFIG_FILE"
DATABASE_SCHEMES = ("postgresql://", "postgres://", "cockroachdb://")

Seconds = Annotated[float, Field(ge=0.001, le=3600, allow_inf_nan=False)]
"""Not below a millisecond, the unit of databases: of a shorter time they would hear 0, which means no limit."""


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message names it as the environment spells it."""


class Settings(BaseSettings):
    """The settings of every role. The environment wins over the file, the file over the defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    database_url: str = Field(repr=False, description="libpq URL; several hosts may be given, comma-separated")
    status_database_url: str | None = Field(
        default=None,
        repr=False,
        description="the same database, as a user who may read the state of its nodes, for /health alone",
    )
    proof_database_url: str | None = Field(
        default=None, repr=False, description="the same database, as a user who may only read, for GET /v1/proof"
    )
    database_pool_size: int = Field(
        default=8,
        ge=2,
        le=500,
        description="connections of an API replica: half for postings, half for reads; two more for its own probes",
    )
    database_wait: Seconds = Field(default=2.0, description="seconds that a read waits for a connection, at most")
    database_max_waiting: int = Field(
        default=64, ge=1, le=10_000, description="reads that may wait for one; more are answered 503 overloaded at once"
    )
    database_pooler: Literal["none", "transaction"] = Field(
        default="none", description="transaction: behind PgBouncer in transaction mode (pool_mode = transaction)"
    )
    statement_timeout: Seconds = 3.0
    request_deadline: Seconds = 8.0

    listen_host: str = "127.0.0.1"
    listen_port: int = Field(default=8080, ge=0, le=65535, description="0 takes a free port and logs it")
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    keys_file: Path | None = Field(default=None, description="JSON or TOML with hashes of API keys; none: open")
    seal_public_keys: Annotated[tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...], NoDecode] = Field(
        default=(),
        description="keys (hex, with commas between) that may have signed seals, for proofs; none: the first one's",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="public names, with commas between, to which a ledger without keys answers"
    )
    body_limit: int = Field(default=1 << 20, ge=1024, description="largest request body, in bytes")
    batch_bytes: int = Field(
        default=4 << 20,
        ge=1 << 16,
        le=1 << 30,
        description="bytes of one message to the database up to which requests share a batch; a larger one goes alone",
    )

    tenant: str = Field(default="default", min_length=1, max_length=100)
    region: str = ""
    instance: str = Field(default_factory=lambda: os.uname().nodename)

    drain_delay: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = Field(
        default=0.5, description="seconds of still accepting after SIGTERM, so that load balancers see /readyz first"
    )
    drain_timeout: Seconds = Field(default=20.0, description="seconds that requests in flight may still take")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    log_requests: Literal["slow", "all"] = Field(default="slow", description="slow: failed (5xx) and slow requests")
    slow_request: Seconds = 1.0

    clock_tolerance: Seconds = Field(
        default=2.0, description="seconds by which this process' clock and the database's may differ"
    )
    hold_expiry_interval: Seconds = Field(default=1.0, description="seconds between two looks for expired holds")

    nats_urls: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="comma-separated; none: no events")
    nats_ca_file: Path | None = None
    nats_cert_file: Path | None = None
    nats_key_file: Path | None = None
    nats_user: str | None = None
    nats_password_file: Path | None = None
    nats_replicas: Literal[1, 3, 5] = 1
    lag_limit: int = Field(default=10_000, ge=1, description="events behind which the read model counts as degraded")
    outbox_retention: Seconds = Field(default=60.0, description="age in seconds at which an unsent event is alarming")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then the TOML file that `CHRONICLE_CONFIG_FILE` names."""
        del dotenv_settings, file_secret_settings
        sources = (init_settings, env_settings)
        if path := os.environ.get(CONFIG_FILE):
            return (*sources, TomlConfigSettingsSource(settings_cls, Path(path)))
        return sources

    @field_validator("nats_urls", "allowed_hosts", "seal_public_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(url.strip() for url in value.split(",") if url.strip())
        return value

    @field_validator("nats_urls")
    @classmethod
    def _nats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, url in enumerate(value, start=1):
            # Not the URL itself: it may hold a password.
            if not _leads_to_nats(url):
                raise ValueError(f"URL {number} of {len(value)} is not nats://HOST:PORT or tls://HOST:PORT")
        return value

    @field_validator("nats_replicas", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        # Literal[int] does not read the text that an environment holds.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("database_url", "status_database_url", "proof_database_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(DATABASE_SCHEMES):
            raise ValueError(f"must begin with one of {', '.join(DATABASE_SCHEMES)}")
        url = value.replace("cockroachdb://", "postgresql://", 1)
        urls.check(url)
        return url

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for one, other in (("tls_cert_file", "tls_key_file"), ("nats_cert_file", "nats_key_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{_env(one)} and {_env(other)} go together: set both or neither")
        files = ("tls_cert_file", "tls_key_file", "keys_file", "nats_ca_file", "nats_cert_file", "nats_key_file",
                 "nats_password_file")  # fmt: skip
        for name in files:
            path = getattr(self, name)
            if path is not None and not os.access(path, os.R_OK):
                raise ValueError(f"{_env(name)}: {path} does not exist or cannot be read")
        if self.statement_timeout >= self.request_deadline:
            raise ValueError(
                f"{_env('statement_timeout')} ({self.statement_timeout:g} s) must be shorter than"
                f" {_env('request_deadline')} ({self.request_deadline:g} s), or no retry fits into a request"
            )
        return self

    @property
    def database_urls(self) -> tuple[str, ...]:
        """Every URL of the database that is set."""
        return tuple(it for it in (self.database_url, self.status_database_url, self.proof_database_url) if it)

    def require(self, role: str, *fields: str) -> None:
        """Check that what `role` cannot work without is set. Raises SettingsError."""
        missing = [name for name in fields if getattr(self, name) in (None, "", ())]
        if missing:
            raise SettingsError(
                "\n".join(
                    f"{_env(name)}: is not set, and the {role} cannot work without it; give it in the environment or in"
                    f" the file that {CONFIG_FILE} names"
                    for name in missing
                )
            )


def _leads_to_nats(url: str) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        return parts.scheme in {"nats", "tls"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _env(field: str) -> str:
    return PREFIX + field.upper()


def load(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over environment and file. Raises SettingsError with one line a problem."""
    path = os.environ.get(CONFIG_FILE)
    if path and not os.access(path, os.R_OK):
        raise SettingsError(f"{CONFIG_FILE}: {path} does not exist or cannot be read")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_line(detail["loc"], detail["msg"]) for detail in error.errors())) from None
    except ValueError as error:  # a TOML file that is not TOML
        raise SettingsError(f"{CONFIG_FILE}: {path}: {error}") from None


def _line(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:  # a rule between settings, whose message names them itself
        return text
    if text == "Field required":
        text = "is not set; give it in the environment or in the file that " + CONFIG_FILE + " names"
    return f"{_env(str(location[0]))}: {text}"
