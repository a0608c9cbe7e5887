"""Settings of the stock service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class StockSettings(ServiceSettings):
    """Each is read from POS_STOCK_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_STOCK_", frozen=True, extra="ignore")
