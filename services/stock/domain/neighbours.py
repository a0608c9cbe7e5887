"""What stock needs to know from other services. The adapters in peers/ fulfil these."""

from __future__ import annotations

from typing import Protocol


class Items(Protocol):
    """The items of a tenant."""

    async def require(self, item_code: str) -> None:
        """Refuses an item that does not exist: NotFound / ITEM_NOT_FOUND."""
        ...
