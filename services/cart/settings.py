"""Settings of the cart service."""

from __future__ import annotations

from typing import Literal

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class CartSettings(ServiceSettings):
    """Each is read from POS_CART_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_CART_", frozen=True, extra="ignore")

    cache: Literal["off", "redis"] = "redis"
    """redis: what GetCart answers for long carts is kept there for ten hours, by version; off: it is computed anew."""
