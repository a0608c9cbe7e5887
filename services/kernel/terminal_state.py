"""Where a terminal stands in its day."""

from __future__ import annotations

from enum import StrEnum


class TerminalState(StrEnum):
    """States of terminals: IDLE was never opened; OPENED may sell; CLOSED may be opened again."""

    IDLE = "IDLE"
    OPENED = "OPENED"
    CLOSED = "CLOSED"
