"""When a report may be made."""

from __future__ import annotations

from enum import StrEnum


class ReportKind(StrEnum):
    """Kinds of reports: FLASH at any time, DAILY of a finished day."""

    FLASH = "FLASH"
    DAILY = "DAILY"
