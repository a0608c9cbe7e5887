"""Settings of the item service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class ItemSettings(ServiceSettings):
    """Each is read from POS_ITEM_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_ITEM_", frozen=True, extra="ignore")
