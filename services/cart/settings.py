"""Settings of the cart service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class CartSettings(ServiceSettings):
    """Each is read from POS_CART_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_CART_", frozen=True, extra="ignore")
