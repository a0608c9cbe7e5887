"""Settings of the account service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from trunkline.auth.key_files import LISTED_FIRST_S
from trunkline.settings import ServiceSettings


class AccountSettings(ServiceSettings):
    """Each is read from POS_ACCOUNT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_ACCOUNT_", frozen=True, extra="ignore")

    listed_first_s: float = Field(default=LISTED_FIRST_S, ge=0, le=86_400)
    """Seconds a new signing key is listed before it signs. Below 60, some do not know it when it does."""
    refusals_per_s: float = Field(default=20.0, gt=0)
    """Wrong credentials a second, and as many wrong passwords; beyond that they are not looked at. Bursts of 5 s."""
    refusals_per_s_each: float = Field(default=2.0, gt=0)
    """The same of one API key, or of one user."""
