"""Settings of the local system."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from trunkline.settings import PlatformSettings, load

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout."""


class LocalSettings(BaseSettings):
    """Each is read from POS_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_", frozen=True, extra="ignore")

    base_port: int = Field(default=50050, ge=1024, le=65000)
    """Port of account; the other services follow it in the order of the design."""
    redis_port: int = Field(default=50079, ge=1024, le=65535)
    """Port of the embedded Redis-compatible server, where REDIS_URL names no other."""
    metrics_port: int | None = Field(default=None, ge=1024, le=65000)
    """Port of account's Prometheus endpoint; the other services' follow it. Unset: there are none."""
    redis_persistent: bool = True
    """Whether that server keeps its data over restarts."""


def read_settings() -> tuple[PlatformSettings, LocalSettings]:
    """The settings of this shell; mistakes are reported all at once, and end the process with 2."""
    platform, local = load(PlatformSettings, LocalSettings)
    assert isinstance(platform, PlatformSettings)
    assert isinstance(local, LocalSettings)
    # The commands here are the development profile: they look for services in what runs on this machine.
    own = {"profile": "development", "var_dir": platform.var_dir.absolute()}
    return platform.model_copy(update=own), local
