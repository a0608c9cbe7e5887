"""Settings of the terminal service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class TerminalSettings(ServiceSettings):
    """Each is read from POS_TERMINAL_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_TERMINAL_", frozen=True, extra="ignore")
