"""Settings of the store service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class StoreSettings(ServiceSettings):
    """Each is read from POS_STORE_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_STORE_", frozen=True, extra="ignore")
