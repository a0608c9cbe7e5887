"""Settings of the account service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class AccountSettings(ServiceSettings):
    """Each is read from POS_ACCOUNT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_ACCOUNT_", frozen=True, extra="ignore")
