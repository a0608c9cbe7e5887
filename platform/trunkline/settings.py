"""Settings from the environment: read once, all mistakes reported together. The only module that reads it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

from pydantic import Field, PlainValidator, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from trunkline import overrides
from trunkline.given import calls_of, credentials_of, host_of, postgres_of, read_file, redis_or_sentinels_of
from trunkline.overrides import CallOverrides
from trunkline.policies.breaker import PRESETS, BreakerSettings
from trunkline.policies.concurrency import LimitSettings
from trunkline.policies.credentials import Lists as CredentialLists
from trunkline.redaction import redacted
from trunkline.redis_settings import RedisSettings
from trunkline.tls import TlsFiles

Profile = Literal["development", "test", "production"]
UNTOLD = frozenset({"REDIS_URL", "TRUNKLINE_REGISTRY_URL"})
"""Variables whose value may hold a password: never printed, not even when it is wrong."""


class PlatformSettings(RedisSettings):
    """Settings of the platform, the same in every service. Each is read from TRUNKLINE_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="TRUNKLINE_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True,
        allow_inf_nan=False,
    )  # fmt: skip

    profile: Profile = "production"
    """development: reflection on, unset peers are looked for on this machine; test: as production, for tests."""
    listen_host: str = "127.0.0.1"
    """Address to serve on."""
    var_dir: Path = Path("var")
    """Where services keep their databases, secrets and last public keys."""
    credential_file: Path | None = None
    """File (mode 0600) with this process's own credential; without it calls of its own fail."""
    token_file: Path | None = None
    """File (mode 0600) with a token that somebody else keeps fresh; for `token` in `credentials`."""
    credentials: Annotated[CredentialLists, NoDecode, PlainValidator(credentials_of)] = ()
    """Credentials in the order in which they are tried, by target: see trunkline.policies.credentials."""
    registry_url: str = ""
    """Redis in which servers register, and callers find those of whom nothing else says where they are; unset: none."""
    registry_url_file: Path | None = None
    """File that holds registry_url instead."""
    registry_lease_s: float = Field(default=6.0, ge=1, le=300)
    """Seconds after its last sign of life that a server is believed to live."""
    advertise_host: str = ""
    """Address at which others reach this server, for the registry; unset: listen_host."""
    tls_cert_file: Path | None = None
    """Certificate chain of this process in PEM, for both ends; its alternative names hold the service's name. With the
    next two: all traffic is mutual TLS."""
    tls_key_file: Path | None = None
    """Private key of that certificate (mode 0600)."""
    tls_ca_file: Path | None = None
    """Authorities that both ends trust."""
    token_issuer: str = "trunkline"  # noqa: S105 - a name, no secret
    """`iss` and `aud` of this system's tokens."""
    drain_wait_s: float = Field(default=0.5, ge=0, le=60)
    """Seconds between NOT_SERVING and the end of accepting calls, for callers to notice."""
    drain_s: float = Field(default=10.0, ge=0, le=600)
    """Seconds that running calls have to finish after that."""
    max_connection_age_s: float = Field(default=0.0, ge=0, le=2_000_000)
    """Seconds after which a caller is asked to connect anew, give or take a tenth; calls that run finish; 0: never."""
    max_connection_age_grace_s: float = Field(default=0.0, ge=0, le=2_000_000)
    """Seconds that calls then have to finish before they are cut off; 0: as long as their deadlines allow."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that serve on the one port."""
    max_concurrent_calls: int = Field(default=256, ge=1, le=1_000_000)
    """Calls a server runs at once at most; more are refused with a push-back. Streams are counted apart."""
    min_concurrent_calls: int = Field(default=16, ge=1, le=1_000_000)
    """Calls a server runs at once however slow they get; above it the limit adapts, up to max_concurrent_calls."""
    max_connections: int = Field(default=4096, ge=1, le=1_000_000)
    """Connections a server holds; more are closed at once. Fewer where `ulimit -n` is low."""
    max_streams_per_connection: int = Field(default=128, ge=1, le=1_000_000)
    """Calls a connection carries at once; the caller's gRPC keeps more waiting."""
    max_message_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=1024**3)
    """Longest message a server takes or sends."""
    max_metadata_bytes: int = Field(default=16 * 1024, ge=8 * 1024, le=1024**2)
    """Most metadata a call may bring, 32 bytes an entry included. Two of the longest tokens need 5 KB."""
    handshake_timeout_s: float = Field(default=5.0, gt=0, le=600)
    """Seconds after which a connection is closed on which no HTTP/2 has begun."""
    request_timeout_s: float = Field(default=8.0, gt=0, le=600)
    """Seconds that a request may take to arrive."""
    rate_per_tenant: float = Field(default=0.0, ge=0, le=1_000_000)
    """Calls a second a tenant may make of a service, or whoever calls without a tenant; 0 means no limit."""
    retry_attempts: int = Field(default=3, ge=1, le=5)
    """Attempts of a call in all, where its contract allows repeating."""
    retry_budget_ratio: float = Field(default=0.2, ge=0, le=1)
    """Retries allowed for each call to a target, over ten seconds."""
    retry_backoff_base_s: float = Field(default=0.05, gt=0, le=10)
    """Upper bound of the first wait before a repeat, in seconds; it doubles every attempt."""
    retry_backoff_cap_s: float = Field(default=1.0, gt=0, le=60)
    """No wait before a repeat that we choose is longer, in seconds."""
    calls: Annotated[CallOverrides, NoDecode, PlainValidator(calls_of)] = CallOverrides()
    """What is changed of the contracts' policies, a JSON object by target or method: see trunkline.overrides."""
    breaker: str = Field(default="default", pattern="^(" + "|".join(PRESETS) + ")$")
    """Preset of the circuit breakers: default, three-in-a-minute or five-in-a-minute. The next ones override parts."""
    breaker_consecutive_failures: int | None = Field(default=None, ge=1)
    """Failures in a row that open a breaker."""
    breaker_failure_ratio: float | None = Field(default=None, gt=0, le=1)
    """Share of failures in the window that opens it."""
    breaker_minimum_calls: int | None = Field(default=None, ge=1)
    """Calls in the window below which the share says nothing."""
    breaker_window_s: float | None = Field(default=None, gt=0)
    """Seconds over which the share is counted."""
    breaker_open_s: float | None = Field(default=None, gt=0)
    """Seconds it stays open the first time."""
    breaker_open_cap_s: float | None = Field(default=None, gt=0)
    """It never stays open longer, in seconds."""
    breaker_probes: int | None = Field(default=None, ge=1)
    """Calls let through at once while it is half-open."""
    faultpoints: str = ""
    """Steps at which this process is to die, fail or stop: for tests. See trunkline.faultpoints."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_messages: Literal["never", "failures", "always"] = "never"
    """Whether log lines of calls show requests and answers: redacted, and cut at two kilobytes."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of the Prometheus endpoint; 0 picks a free one; unset: there is none."""
    trace_ratio: float = Field(default=0.01, ge=0, le=1)
    """Share of calls without a trace that begin one."""
    otlp_endpoint: str = ""
    """Collector that takes traces (OTLP over gRPC), such as http://127.0.0.1:4317; empty: nothing is traced."""

    @model_validator(mode="before")
    @classmethod
    def _read_urls(cls, told: Any) -> Any:
        return read_file(read_file(told, "REDIS_URL", "REDIS_URL"), "TRUNKLINE_REGISTRY_URL", "registry_url")

    @field_validator("redis_url", "registry_url")
    @classmethod
    def _redis(cls, url: str) -> str:
        return redis_or_sentinels_of(url)

    @field_validator("listen_host", "advertise_host")
    @classmethod
    def _host(cls, given: str) -> str:
        return host_of(given)

    @model_validator(mode="after")
    def _all_of_tls(self) -> Self:
        given = [self.tls_cert_file, self.tls_key_file, self.tls_ca_file]
        if any(given) and not all(given):
            raise ValueError("TRUNKLINE_TLS_CERT_FILE, _KEY_FILE and _CA_FILE are given together, or none of them")
        return self

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.registry_url and not self.advertise_host and self.listen_host in ("0.0.0.0", "::"):  # noqa: S104
            raise ValueError("TRUNKLINE_ADVERTISE_HOST is not set: nobody reaches this server at any address it has")
        return self

    def tls_files(self) -> TlsFiles | None:
        """Where the certificates are; None: plaintext."""
        if self.tls_cert_file is None or self.tls_key_file is None or self.tls_ca_file is None:
            return None
        return TlsFiles(self.tls_cert_file, self.tls_key_file, self.tls_ca_file)

    def limit_settings(self) -> LimitSettings:
        """Bounds of the adaptive limit."""
        return LimitSettings(floor=self.min_concurrent_calls, ceiling=self.max_concurrent_calls)

    @model_validator(mode="after")
    def _has_token_file(self) -> Self:
        named = {choice.name for _, choices in self.credentials for choice in choices}
        if "token" in named and self.token_file is None:
            raise ValueError("TRUNKLINE_CREDENTIALS names token, and TRUNKLINE_TOKEN_FILE is not set")
        return self

    def breaker_settings(self) -> BreakerSettings:
        """The preset, with what is overridden."""
        names = [field.name for field in fields(BreakerSettings)]
        given = {name: value for name in names if (value := getattr(self, f"breaker_{name}", None)) is not None}
        return replace(PRESETS[self.breaker], **given)


class ServiceSettings(BaseSettings):
    """Settings that every service has. A service subclasses it with its own prefix, such as POS_ITEM_."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    port: int = Field(default=0, ge=0, le=65535)
    """Port to serve on; 0 picks a free one."""
    database: Path | None = None
    """File of the service's database; default `<var_dir>/<service>/<service>.db`."""

    database_url: str = ""
    """PostgreSQL instead of a file: `postgresql://user@host:5432/report`; passwords are best in PGPASSFILE."""

    @field_validator("database")
    @classmethod
    def _is_file(cls, path: Path | None) -> Path | None:
        # Path() has folded `//` into `/` already.
        if path is not None and re.match(r"[a-z][a-z0-9+]*:/", str(path)):
            raise ValueError("it is an address: the variable that ends in _DATABASE_URL takes one")
        return path

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: str) -> str:
        return postgres_of(url)


S = TypeVar("S", bound=BaseSettings)


def load(*classes: type[S]) -> list[S]:
    """Reads settings from the environment.

    All mistakes of all classes are printed together, one a line; the process then ends with 2.
    """
    loaded, mistakes = read(*classes)
    if mistakes:
        refuse(mistakes)
    return loaded


def read(*classes: type[S]) -> tuple[list[S], list[str]]:
    """Reads settings from the environment; gives those without a mistake, and all mistakes of the others."""
    loaded: list[S] = []
    mistakes: list[str] = []
    for settings_class in classes:
        try:
            loaded.append(settings_class())
        except ValidationError as error:
            mistakes.extend(_mistakes(settings_class, error))
        except SettingsError as error:
            mistakes.append(str(error))
    return loaded, mistakes


def refuse(mistakes: Sequence[str]) -> NoReturn:
    """Says what is wrong, one mistake a line, and ends the process with 2."""
    plural = "s" if len(mistakes) > 1 else ""
    print(f"cannot start: {len(mistakes)} setting{plural} to mend", file=sys.stderr)
    for mistake in mistakes:
        print(f"  {mistake}", file=sys.stderr)
    raise SystemExit(2)


def _mistakes(settings_class: type[BaseSettings], error: ValidationError) -> list[str]:
    prefix = settings_class.model_config.get("env_prefix", "")
    found = []
    for one in error.errors():
        if not one["loc"]:
            found.append(f"{prefix}*: {one['msg']}")
            continue
        name = str(one["loc"][0])
        variable = name if name.isupper() else f"{prefix}{name}".upper()
        if one["type"] == "missing":
            found.append(f"{variable} is not set")
        elif variable == overrides.VARIABLE:
            found.extend(str(one["ctx"]["error"]).splitlines())
        elif variable in UNTOLD or variable.endswith("_DATABASE_URL"):
            found.append(f"{variable}: {one['msg']}")
        else:
            found.append(f"{variable}={one['input']!r}: {one['msg']}")
    return found


def describe(*settings: BaseSettings) -> dict[str, Any]:
    """The effective settings, to be printed at start; passwords inside addresses are hidden."""
    return {
        f"{one.model_config.get('env_prefix', '')}{name}".lower(): redacted(str(value))
        for one in settings
        for name, value in one
    }


def taken(name: str) -> str:
    """A variable that is meant for this process alone: it is forgotten, so that no child is given it."""
    return os.environ.pop(name, "")  # noqa: TID251 - here they are read


def environment() -> Mapping[str, str]:
    """The environment, for what is discovered by name (`ITEM_SERVICE_HOST`) or handed to child processes."""
    return os.environ  # noqa: TID251 - here they are read
