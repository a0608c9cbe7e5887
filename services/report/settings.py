"""Settings of the report service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class ReportSettings(ServiceSettings):
    """Each is read from POS_REPORT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_REPORT_", frozen=True, extra="ignore")
