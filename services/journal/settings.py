"""Settings of the journal service."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict
from trunkline.settings import ServiceSettings


class JournalSettings(ServiceSettings):
    """Each is read from POS_JOURNAL_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="POS_JOURNAL_", frozen=True, extra="ignore")
