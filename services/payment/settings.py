"""Settings of the payment service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class PaymentSettings(ServiceSettings):
    """Each is read from POS_PAYMENT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_PAYMENT_", frozen=True, extra="ignore")
