"""What a report needs to know from other services. The adapters in peers/ fulfil these."""

from __future__ import annotations

from typing import Protocol

from services.kernel.ids import TerminalId
from services.report.domain.daily import OpeningId
from services.report.domain.issue import Till
from services.report.domain.scope import Scope


class Terminals(Protocol):
    """The terminals, as the terminal service knows them."""

    async def till(self, terminal_id: TerminalId) -> Till:
        """The terminal as it is now."""
        ...

    async def openings(self, scope: Scope) -> dict[OpeningId, bool]:
        """The openings of what is reported, and whether each is closed."""
        ...
